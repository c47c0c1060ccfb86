//! Delivery of mails from the outbox

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value, json};

use crate::harness::{Item, Latchkey, Mail, User, eventually, latchkey, now, number, text};

const FUNCTION: &str = "MailSendFunction";

/// The stream record of a write of the item.
pub fn event(item: &Item) -> Value {
    let attributes = |names: &dyn Fn(&str) -> bool| -> Value {
        let chosen = item
            .iter()
            .filter(|(name, _)| names(name))
            .map(|(name, value)| (name.clone(), attribute(value)));
        chosen.collect::<Map<_, _>>().into()
    };
    json!({ "Records": [{
        "eventID": "1",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": now(),
            "Keys": attributes(&|name| ["pk", "sk"].contains(&name)),
            "NewImage": attributes(&|name| !["settled_at", "leased_until"].contains(&name)),
            "SequenceNumber": "1",
            "SizeBytes": 100,
            "StreamViewType": "NEW_IMAGE",
        },
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/GrantsTable/stream/1",
    }]})
}

fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        other => panic!("unexpected attribute of a mail: {other:?}"),
    }
}

/// Waits until the confirmation mail is settled, and returns its item.
async fn settled_mail(latchkey: &Latchkey, user: &User) -> Item {
    eventually("the mail is settled", || async {
        latchkey
            .queued_mails(user)
            .await
            .into_iter()
            .find(|mail| mail.contains_key("settled_at"))
    })
    .await
}

#[tokio::test]
async fn a_mail_is_sent_and_settled() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("delivery").await;
    let mail = settled_mail(latchkey, &user).await;
    assert!((now() - number(&mail, "settled_at")).abs() < 60);
    assert_eq!(latchkey.mails_to(&user.email).await.len(), 1);
}

#[tokio::test]
async fn a_repeated_record_sends_no_second_mail() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("delivery-again").await;
    let mail = settled_mail(latchkey, &user).await;
    for _ in 0..3 {
        latchkey
            .invoke(FUNCTION, event(&mail))
            .await
            .expect("the record is skipped");
    }
    assert_eq!(latchkey.mails_to(&user.email).await.len(), 1);
}

#[tokio::test]
async fn a_mail_that_is_not_settled_is_sent_until_its_code_expires() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("delivery-late").await;
    let mail = settled_mail(latchkey, &user).await;
    let key = text(&mail, "sk").to_owned();

    latchkey
        .edit_grant(&user, &key, |item| drop(item.remove("settled_at")))
        .await;
    latchkey
        .invoke(FUNCTION, event(&mail))
        .await
        .expect("the mail is sent");
    assert_eq!(latchkey.mails_to(&user.email).await.len(), 2);

    let expired = AttributeValue::N((now() - 1).to_string());
    let late = mail
        .clone()
        .into_iter()
        .chain([("expires_at".to_owned(), expired)])
        .collect::<Item>();
    latchkey
        .edit_grant(&user, &key, |item| {
            *item = late
                .clone()
                .into_iter()
                .filter(|(name, _)| name != "settled_at")
                .collect();
        })
        .await;
    latchkey
        .invoke(FUNCTION, event(&late))
        .await
        .expect("the record is skipped");
    assert_eq!(latchkey.mails_to(&user.email).await.len(), 2);
}

#[tokio::test]
async fn an_undeliverable_address_does_not_block_other_mails() {
    let latchkey = Latchkey::start(&[]).await;
    let earlier = latchkey.signed_up("delivery-earlier").await;
    let mail = latchkey.queued_mails(&earlier).await.remove(0);
    // SES rejects addresses whose local part is not ASCII, which earlier versions accepted.
    for number in 0..3 {
        let mut undeliverable = mail.clone();
        let id = format!("undeliverable-{number}");
        for (name, value) in [
            ("sk", format!("MAIL#{id}")),
            ("id", id),
            ("email", format!("жанна{number}@example.com")),
            // Mails of other kinds with a code are sent to the address of the user only.
            ("kind", "email_change".to_owned()),
        ] {
            undeliverable.insert(name.to_owned(), AttributeValue::S(value));
        }
        for name in ["leased_until", "leased_by", "released_at", "settled_at"] {
            undeliverable.remove(name);
        }
        latchkey.put_grant(undeliverable).await;
    }
    latchkey.log_with(3, "the mail was refused").await;
    let user = latchkey.signed_up("delivery-next").await;
    assert_eq!(
        latchkey.mail_to(&user.email, 1, |_| true).await.to,
        [user.email]
    );
}

/// An error would make the stream deliver the record again, before the mails of other users.
#[tokio::test]
async fn a_mail_to_an_unreadable_user_is_refused_and_does_not_block_other_mails() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("delivery-unreadable").await;
    let mail = settled_mail(latchkey, &user).await;
    let key = text(&mail, "sk").to_owned();
    latchkey
        .edit_user(&user, |item| drop(item.remove("role")))
        .await;
    latchkey
        .edit_grant(&user, &key, |item| drop(item.remove("settled_at")))
        .await;
    latchkey
        .invoke(FUNCTION, event(&mail))
        .await
        .expect("the mail is refused");
    assert!(
        latchkey.queued_mails(&user).await[0].contains_key("settled_at"),
        "the mail is not settled"
    );
    assert_eq!(latchkey.mails_to(&user.email).await.len(), 1);
}

#[tokio::test]
async fn an_internationalised_domain_is_sent_in_punycode() {
    let latchkey = latchkey().await;
    latchkey
        .signed_up_with("-", &json!({ "email": "bestellung@bücher.example" }))
        .await;
    let mail: Mail = latchkey
        .mail_to("bestellung@xn--bcher-kva.example", 1, |_| true)
        .await;
    assert!(mail.confirmation_token().is_some());
}
