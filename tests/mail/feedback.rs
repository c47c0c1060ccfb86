//! Bounces and complaints reported by SES

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::platform::clock::Timestamp;

use super::delivery::event as record_of;
use crate::harness::{
    Latchkey, Mail, User, all_at_once, eventually, latchkey, now, number, only_changed, text,
};

const FUNCTION: &str = "MailFeedbackFunction";

/// An event of SES about a mail to the user.
fn event(user: &User, kind: &str, details: &Value) -> Value {
    let mut detail = json!({
        "eventType": kind,
        "mail": { "destination": [user.email], "tags": { "uid": [user.uid], "mail": ["some-mail"] } },
    });
    detail[kind.to_lowercase()] = details.clone();
    json!({ "source": "aws.ses", "id": "event", "detail-type": "Email Bounced", "detail": detail })
}

fn bounce_at(user: &User, address: &str, kind: &str, at: i64) -> Value {
    let details = json!({
        "bounceType": kind,
        "bouncedRecipients": [{ "emailAddress": address }],
        "timestamp": Timestamp::from_seconds(at).rfc3339(),
    });
    event(user, "Bounce", &details)
}

fn bounce(user: &User, address: &str) -> Value {
    bounce_at(user, address, "Permanent", now())
}

fn complaint(user: &User, kind: Option<&str>) -> Value {
    let details = json!({
        "complainedRecipients": [{ "emailAddress": user.email }],
        "complaintFeedbackType": kind,
        "timestamp": Timestamp::from_seconds(now()).rfc3339(),
    });
    event(user, "Complaint", &details)
}

/// The labels of the user as `private email: verified`.
async fn labels(latchkey: &Latchkey, user: &User) -> Vec<String> {
    let item = latchkey.user_item(user).await;
    let labels = item["labels"]
        .as_l()
        .unwrap()
        .iter()
        .map(|label| label.as_m().unwrap());
    labels
        .map(|label| {
            format!(
                "{} {}: {}",
                text(label, "scope"),
                text(label, "key"),
                text(label, "value")
            )
        })
        .collect()
}

/// Waits until every mail to the user is settled, and returns their number.
async fn settled(latchkey: &Latchkey, user: &User) -> usize {
    eventually("every mail settled", || async {
        let mails = latchkey.queued_mails(user).await;
        mails
            .iter()
            .all(|mail| mail.contains_key("settled_at"))
            .then_some(mails.len())
    })
    .await
}

/// A new user whose confirmation mail is settled.
async fn signed_up(latchkey: &Latchkey, name: &str) -> User {
    let user = latchkey.signed_up(name).await;
    assert_eq!(settled(latchkey, &user).await, 1);
    user
}

#[tokio::test]
async fn an_address_that_bounced_is_labelled_and_gets_no_more_mail() {
    let latchkey = Latchkey::start(&[]).await;
    for mailbox in ["bounce", "suppressionlist"] {
        let email = format!("{mailbox}+label@simulator.amazonses.com");
        let user = latchkey
            .signed_up_with("-", &json!({ "email": email }))
            .await;
        eventually("the label", || async {
            (labels(&latchkey, &user).await == ["private email: bounced"]).then_some(())
        })
        .await;

        latchkey.ask_for_code(&email).send().await.is_empty(201);
        assert_eq!(settled(&latchkey, &user).await, 2);
        assert_eq!(latchkey.mails_to(&email).await.len(), 1);
        // The user can still sign in.
        let answer = latchkey.sign_in(&email, &user.password).send().await;
        assert_eq!(
            (answer.status, answer.json()["labels"][0]["value"].as_str()),
            (201, Some("bounced"))
        );
    }
    let log = latchkey
        .log_with(2, "not sent: mails to the address bounce")
        .await;
    assert_eq!(
        log.iter()
            .filter(|line| line.contains("not sent: mails to the address bounce"))
            .count(),
        2,
        "{log:#?}"
    );
    // Addresses are masked.
    assert!(!log.iter().any(|line| line.contains("+label@")), "{log:#?}");
}

#[tokio::test]
async fn addresses_are_matched_in_the_spelling_of_ses() {
    let latchkey = latchkey().await;
    let jane = signed_up(latchkey, "feedback-Jane").await;
    let address = "Jane <FEEDBACK-jane@example.com>";
    latchkey
        .invoke(FUNCTION, bounce(&jane, address))
        .await
        .unwrap();
    assert_eq!(labels(latchkey, &jane).await, ["private email: bounced"]);

    let user = latchkey
        .signed_up_with("-", &json!({ "email": "feedback@bücher.example" }))
        .await;
    settled(latchkey, &user).await;
    latchkey
        .invoke(FUNCTION, bounce(&user, "feedback@xn--bcher-kva.example"))
        .await
        .unwrap();
    assert_eq!(labels(latchkey, &user).await, ["private email: bounced"]);
}

#[tokio::test]
async fn transient_bounces_and_other_events_have_no_effect() {
    let latchkey = latchkey().await;
    let user = signed_up(latchkey, "feedback-transient").await;
    let before = latchkey.items_of(&user).await;
    for event in [
        bounce_at(&user, &user.email, "Transient", now()),
        bounce_at(&user, &user.email, "Undetermined", now()),
        complaint(&user, Some("not-spam")),
        event(&user, "Delivery", &json!({ "recipients": [user.email] })),
    ] {
        latchkey
            .invoke(FUNCTION, event.clone())
            .await
            .unwrap_or_else(|error| panic!("{event}: {error}"));
        assert_eq!(latchkey.items_of(&user).await, before, "{event}");
    }
}

#[tokio::test]
async fn malformed_events_and_events_without_a_matching_user_are_ignored() {
    let latchkey = Latchkey::start(&[]).await;
    let user = signed_up(&latchkey, "feedback-odd").await;
    let other = signed_up(&latchkey, "feedback-other").await;
    let unknown = User {
        uid: "ID0000000000".to_owned(),
        ..user.clone()
    };
    let without = |path: &str| {
        let mut event = bounce(&user, &user.email);
        let (parent, name) = path.rsplit_once('/').unwrap();
        event
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(name)
            .expect(path);
        event
    };
    let before = latchkey.everything().await;
    for event in [
        // Another user's address, and an unknown uid.
        bounce(&user, &other.email),
        bounce(&unknown, &user.email),
        bounce(&user, ""),
        without("/detail/mail/tags/uid"),
        without("/detail/mail"),
        without("/detail/bounce"),
        without("/detail/bounce/bouncedRecipients"),
        without("/detail"),
        json!({}),
        json!([]),
        json!(null),
        json!("Bounce"),
        json!({ "detail": { "mail": { "tags": { "uid": [] } } } }),
        json!({ "detail": { "mail": { "tags": { "uid": [7], "mail": ["m"] } } } }),
    ] {
        latchkey
            .invoke(FUNCTION, event.clone())
            .await
            .unwrap_or_else(|error| panic!("{event}: {error}"));
    }
    assert_eq!(latchkey.everything().await, before);
    let log = latchkey.log_with(14, "ignored: ").await;
    assert_eq!(
        log.iter().filter(|line| line.contains("ignored: ")).count(),
        14,
        "{log:#?}"
    );
}

#[tokio::test]
async fn repeated_and_concurrent_events_have_no_further_effect() {
    let latchkey = latchkey().await;
    let user = signed_up(latchkey, "feedback-again").await;
    let events = [bounce(&user, &user.email), complaint(&user, None)];
    let (first, second, third, fourth) = tokio::join!(
        latchkey.invoke(FUNCTION, events[0].clone()),
        latchkey.invoke(FUNCTION, events[1].clone()),
        latchkey.invoke(FUNCTION, events[0].clone()),
        latchkey.invoke(FUNCTION, events[1].clone()),
    );
    for answer in [first, second, third, fourth] {
        answer.unwrap();
    }
    assert_eq!(labels(latchkey, &user).await, ["private email: bounced"]);
    let marked = latchkey.user_item(&user).await;
    for event in events {
        latchkey.invoke(FUNCTION, event).await.unwrap();
    }
    assert_eq!(latchkey.user_item(&user).await, marked);
}

#[tokio::test]
async fn a_later_confirmation_of_the_address_resumes_mail() {
    let latchkey = latchkey().await;
    let user = signed_up(latchkey, "feedback-confirmed").await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    let event = bounce_at(&user, &user.email, "Permanent", now() - 5);
    latchkey.invoke(FUNCTION, event.clone()).await.unwrap();
    assert_eq!(labels(latchkey, &user).await, ["private email: bounced"]);

    let confirmed = latchkey
        .post("/identity/users/email/confirm_code")
        .form(&[("token", mail.confirmation_token().unwrap())])
        .cookie(&user.session);
    assert_eq!(confirmed.send().await.status, 201);
    assert_eq!(labels(latchkey, &user).await, ["private email: verified"]);
    assert!(
        latchkey
            .reset_mail(&user.email)
            .await
            .reset_token()
            .is_some()
    );

    // A repeated report of the earlier bounce has no effect.
    let before = latchkey.user_item(&user).await;
    latchkey.invoke(FUNCTION, event).await.unwrap();
    assert_eq!(latchkey.user_item(&user).await, before);
    // A later bounce changes only the label and the revision.
    latchkey
        .invoke(FUNCTION, bounce(&user, &user.email))
        .await
        .unwrap();
    let after = latchkey.user_item(&user).await;
    assert_eq!(labels(latchkey, &user).await, ["private email: bounced"]);
    assert!((now() - number(&after, "updated_at")).abs() < 60);
    only_changed(&before, &after, &["labels", "updated_at"]);
}

/// A new user who reported the confirmation mail as spam.
async fn complained(latchkey: &Latchkey, label: &str) -> User {
    let email = format!("complaint+{label}@simulator.amazonses.com");
    let user = latchkey
        .signed_up_with("-", &json!({ "email": email }))
        .await;
    eventually("the label", || async {
        (labels(latchkey, &user).await == ["private email: complained"]).then_some(())
    })
    .await;
    assert_eq!(settled(latchkey, &user).await, 1);
    user
}

/// Asks for a reset mail, which is answered as always, and returns the reset mails that were sent.
async fn reset_mails_after_a_request(latchkey: &Latchkey, user: &User) -> Vec<Mail> {
    latchkey
        .ask_for_code(&user.email)
        .send()
        .await
        .is_empty(201);
    settled(latchkey, user).await;
    let mails = latchkey.mails_to(&user.email).await;
    mails
        .into_iter()
        .filter(|mail| mail.reset_token().is_some())
        .collect()
}

/// Sets the time of the last reset mail back.
async fn wait_since_reset(latchkey: &Latchkey, user: &User, seconds: i64) {
    latchkey
        .edit_user(user, |item| {
            let Some(AttributeValue::M(reset)) = item.get_mut("complaint_reset") else {
                panic!("no reset mail was requested")
            };
            let at = AttributeValue::N((now() - seconds).to_string());
            reset.insert("at".to_owned(), at);
        })
        .await;
}

#[tokio::test]
async fn after_a_complaint_one_reset_mail_a_day_is_sent_and_strangers_cannot_void_it() {
    let latchkey = latchkey().await;
    let user = complained(latchkey, "daily").await;
    let mails = reset_mails_after_a_request(latchkey, &user).await;
    assert_eq!(mails.len(), 1);
    for _ in 0..3 {
        assert_eq!(reset_mails_after_a_request(latchkey, &user).await.len(), 1);
    }
    wait_since_reset(latchkey, &user, 86_390).await;
    assert_eq!(reset_mails_after_a_request(latchkey, &user).await.len(), 1);
    // The code of the mail is still the newest one.
    latchkey
        .confirm(mails[0].reset_token().unwrap(), "Newer-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
    // The notice about it is not sent.
    settled(latchkey, &user).await;
    assert_eq!(latchkey.mails_to(&user.email).await.len(), 2);
    wait_since_reset(latchkey, &user, 86_401).await;
    assert_eq!(reset_mails_after_a_request(latchkey, &user).await.len(), 2);
}

#[tokio::test]
async fn concurrent_requests_after_a_complaint_send_one_mail() {
    let latchkey = latchkey().await;
    let user = complained(latchkey, "race").await;
    let answers = all_at_once((0..16).map(|_| latchkey.ask_for_code(&user.email))).await;
    for answer in &answers {
        assert!([201, 503].contains(&answer.status), "{answer:?}");
    }
    settled(latchkey, &user).await;
    let mails = latchkey.mails_to(&user.email).await;
    let resets = mails.iter().filter(|mail| mail.reset_token().is_some());
    assert_eq!(resets.count(), 1);
    // Every request is an activity of the user.
    let activities = latchkey.activities(&user).await;
    let requests = activities
        .iter()
        .filter(|activity| *activity == "request password reset succeed")
        .count();
    let answered = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(requests, answered, "{activities:?}");
}

#[tokio::test]
async fn repeated_records_after_a_complaint_send_no_second_mail() {
    let latchkey = latchkey().await;
    let user = complained(latchkey, "repeated").await;
    assert_eq!(reset_mails_after_a_request(latchkey, &user).await.len(), 1);
    let mails = latchkey.queued_mails(&user).await;
    let reset = mails
        .iter()
        .find(|mail| text(mail, "kind") == "password_reset")
        .unwrap();
    let records: Vec<_> = (0..4)
        .map(|_| latchkey.invoke_later("MailSendFunction", record_of(reset)))
        .collect();
    for record in records {
        record.await.unwrap().expect("the record is skipped");
    }
    assert_eq!(latchkey.mails_to(&user.email).await.len(), 2);
}

#[tokio::test]
async fn a_reset_mail_that_was_queued_before_the_complaint_is_not_sent_after_it() {
    let latchkey = latchkey().await;
    let user = signed_up(latchkey, "feedback-queued").await;
    latchkey
        .ask_for_code(&user.email)
        .send()
        .await
        .is_empty(201);
    settled(latchkey, &user).await;
    latchkey
        .invoke(FUNCTION, complaint(&user, Some("abuse")))
        .await
        .unwrap();
    let mails = latchkey.queued_mails(&user).await;
    let reset = mails
        .iter()
        .find(|mail| text(mail, "kind") == "password_reset")
        .unwrap();
    let key = text(reset, "sk").to_owned();
    latchkey
        .edit_grant(&user, &key, |item| drop(item.remove("settled_at")))
        .await;
    latchkey
        .invoke("MailSendFunction", record_of(reset))
        .await
        .expect("the mail is settled");
    assert_eq!(latchkey.mails_to(&user.email).await.len(), 2);
    // A new request is sent.
    assert_eq!(reset_mails_after_a_request(latchkey, &user).await.len(), 2);
}

#[tokio::test]
async fn the_label_of_an_earlier_version_is_read_as_a_bounce() {
    let latchkey = latchkey().await;
    let user = signed_up(latchkey, "feedback-earlier").await;
    latchkey
        .invoke(FUNCTION, bounce(&user, &user.email))
        .await
        .unwrap();
    assert!(
        reset_mails_after_a_request(latchkey, &user)
            .await
            .is_empty()
    );
    // A complaint does not weaken it.
    latchkey
        .invoke(FUNCTION, complaint(&user, Some("abuse")))
        .await
        .unwrap();
    assert_eq!(labels(latchkey, &user).await, ["private email: bounced"]);
    assert!(
        reset_mails_after_a_request(latchkey, &user)
            .await
            .is_empty()
    );
}
