//! Failures of AWS services: the answer, and the absence of effects

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::harness::{Fault, Faulty, Mail, PASSWORD, Request, User, eventually, otp};

const OTHER: &str = "Other-Horse-7-Battery";
/// Attempts of a call by the SDK.
const TRIES: usize = 3;
/// All DynamoDB calls of the operations.
const CALLS: [&str; 5] = [
    "UpdateItem",
    "BatchWriteItem",
    "BatchGetItem",
    "TransactWriteItems",
    "Query",
];

#[track_caller]
pub(super) fn is_unavailable(answer: &crate::harness::Answer) {
    answer.is_refused(503, &["server.unavailable"]);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

/// A request of each kind, and the DynamoDB calls that it depends on.
pub(super) fn requests(
    faulty: &Faulty,
    user: &User,
    token: &str,
) -> Vec<(Request, &'static [&'static str])> {
    let latchkey = &faulty.latchkey;
    vec![
        (
            latchkey.sign_in(&user.email, PASSWORD),
            &["BatchGetItem", "UpdateItem", "BatchWriteItem"],
        ),
        (
            latchkey.sign_in("nobody@example.com", PASSWORD),
            &["BatchGetItem", "UpdateItem"],
        ),
        (
            latchkey.get("/resource/users/me").bearer(&user.session),
            &["BatchGetItem"],
        ),
        (
            latchkey.sign_out(&user.session),
            &["BatchGetItem", "TransactWriteItems"],
        ),
        (
            latchkey.ask_for_code(&user.email),
            &["BatchGetItem", "UpdateItem", "TransactWriteItems"],
        ),
        (
            latchkey.confirm(token, OTHER),
            &["BatchGetItem", "TransactWriteItems"],
        ),
        (
            latchkey.change_password(user, PASSWORD, OTHER),
            &["BatchGetItem", "UpdateItem", "TransactWriteItems"],
        ),
        (latchkey.by(user, "GET", "/resource/sessions"), &["Query"]),
        (
            latchkey.by(user, "DELETE", "/resource/sessions"),
            &["TransactWriteItems"],
        ),
        (
            latchkey.by(user, "POST", "/resource/otp/generate_qrcode"),
            &["BatchGetItem"],
        ),
        (
            latchkey
                .post("/identity/users")
                .form(&[("email", "sign-up@example.com"), ("password", PASSWORD)]),
            &["UpdateItem", "TransactWriteItems"],
        ),
    ]
}

/// Injects a fault into each call of each operation. Asserts 503 with `Retry-After`, few attempts
/// and no effect. (Lost answers have an effect: see `lost_answers`.)
pub(super) async fn leads_to_503_without_effect(fault: Fault, affected: &[&str]) {
    let faulty = Faulty::start(&[
        otp::FOR_RACES[1],
        ("IDENTITY_REQUESTS_PER_MINUTE", "100000"),
    ])
    .await;
    let user = faulty.latchkey.signed_up("faults").await;
    let token = faulty.latchkey.reset_token(&user).await;
    let before = faulty.latchkey.everything().await;
    for number in 0..requests(&faulty, &user, &token).len() {
        let calls = requests(&faulty, &user, &token).remove(number).1;
        for call in calls.iter().filter(|call| affected.contains(call)) {
            let (request, _) = requests(&faulty, &user, &token).remove(number);
            faulty.fail_always(call, fault);
            is_unavailable(&request.send().await);
            let tried = faulty.calls(call);
            // Calls that the SDK does not retry itself are retried for two seconds.
            let most = if Fault::QUICK.contains(&fault) || fault == Fault::Conflict {
                3 * TRIES
            } else {
                100
            };
            assert!(
                (1..=most).contains(&tried),
                "{fault:?} of {call}: {tried} times"
            );
            assert_eq!(
                faulty.latchkey.get("/identity/ping").send().await.status,
                200
            );
        }
    }
    faulty.heal();
    assert_eq!(faulty.latchkey.everything().await, before);
    // A transient fault has no effect on the answer.
    for call in ["BatchGetItem", "UpdateItem", "BatchWriteItem"]
        .iter()
        .filter(|call| affected.contains(call))
    {
        faulty.fail(call, TRIES - 1, fault);
        faulty.latchkey.signed_in(&user).await;
    }
}

#[tokio::test]
async fn a_throttled_database_leads_to_503_without_effect() {
    leads_to_503_without_effect(Fault::Throttled, &CALLS).await;
}

#[tokio::test]
async fn a_failing_database_leads_to_503_without_effect() {
    leads_to_503_without_effect(Fault::Failed, &CALLS).await;
}

#[tokio::test]
async fn a_database_that_closes_connections_leads_to_503_without_effect() {
    leads_to_503_without_effect(Fault::Cut, &CALLS).await;
}

#[tokio::test]
async fn an_answer_that_is_not_json_leads_to_503_without_effect() {
    leads_to_503_without_effect(Fault::Garbage, &CALLS).await;
}

#[tokio::test]
async fn truncated_answers_to_reads_lead_to_503_without_effect() {
    leads_to_503_without_effect(Fault::BodyCut, &["BatchGetItem", "Query"]).await;
}

#[tokio::test]
async fn without_the_counter_no_sign_in_succeeds() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let user = faulty.latchkey.signed_up("faults-counter").await;
    faulty.fail_always("UpdateItem", Fault::Throttled);
    for password in [PASSWORD, OTHER] {
        is_unavailable(&faulty.latchkey.sign_in(&user.email, password).send().await);
    }
    assert_eq!(
        (
            faulty.calls("BatchWriteItem"),
            faulty.calls("TransactWriteItems")
        ),
        (0, 0)
    );
}

#[tokio::test]
async fn a_silent_database_leads_to_503_before_the_timeout_of_the_function() {
    let faulty = Faulty::start(&[]).await;
    let user = faulty.latchkey.signed_up("faults-silence").await;
    // The delivery of the mail reads the user too.
    faulty.latchkey.mail_to(&user.email, 1, |_| true).await;
    faulty.fail_always("BatchGetItem", Fault::Silence);
    is_unavailable(
        &faulty
            .latchkey
            .get("/resource/users/me")
            .bearer(&user.session)
            .send()
            .await,
    );
    assert!(faulty.calls("BatchGetItem") <= TRIES);
}

#[tokio::test]
async fn the_token_secret_is_fetched_as_soon_as_it_is_available() {
    for fault in [Fault::Throttled, Fault::Failed, Fault::Cut, Fault::Garbage] {
        let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
        faulty.fail_always("GetSecretValue", fault);
        let fields = [
            ("email", "faults-secret@example.com"),
            ("password", PASSWORD),
        ];
        is_unavailable(
            &faulty
                .latchkey
                .post("/identity/users")
                .form(&fields)
                .send()
                .await,
        );
        assert!(faulty.latchkey.everything().await.is_empty());
        // Both versions, once at the start and once for the request.
        assert!(
            faulty.calls("GetSecretValue") <= 4 * TRIES,
            "{}",
            faulty.calls("GetSecretValue")
        );
        for path in ["ping", "time", "version", "configs"] {
            assert_eq!(
                faulty
                    .latchkey
                    .get(&format!("/identity/{path}"))
                    .send()
                    .await
                    .status,
                200
            );
        }
        faulty.heal();
        assert_eq!(
            faulty
                .latchkey
                .post("/identity/users")
                .form(&fields)
                .send()
                .await
                .status,
            201
        );
    }
}

#[tokio::test]
async fn a_mail_that_ses_rejects_for_a_while_is_sent_once() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    for fault in [Fault::Throttled, Fault::Failed, Fault::Cut, Fault::Garbage] {
        faulty.fail_always("SendEmail", fault);
        let user = faulty
            .latchkey
            .signed_up(&format!("faults-mail-{fault:?}"))
            .await;
        eventually("another call of SES", || async {
            (faulty.calls("SendEmail") >= 2).then_some(())
        })
        .await;
        assert!(faulty.latchkey.mails_to(&user.email).await.is_empty());
        faulty.heal();
        faulty
            .latchkey
            .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
            .await;
        eventually("the mail is settled", || async {
            faulty
                .latchkey
                .queued_mails(&user)
                .await
                .iter()
                .all(|mail| mail.contains_key("settled_at"))
                .then_some(())
        })
        .await;
        assert_eq!(faulty.latchkey.mails_to(&user.email).await.len(), 1);
    }
}

#[tokio::test]
async fn an_unreadable_mail_does_not_block_the_mails_behind_it() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.signed_up("faults-poison").await;
    latchkey.mail_to(&user.email, 1, |_| true).await;
    // Items of the same user, so that the next mail follows them in the stream.
    let mail = latchkey.queued_mails(&user).await.remove(0);
    for missing in ["kind", "email"] {
        let item = mail
            .clone()
            .into_iter()
            .filter(|(name, _)| !["settled_at", missing].contains(&name.as_str()));
        let id = [(
            "sk".to_owned(),
            AttributeValue::S(format!("MAIL#without-{missing}")),
        )];
        latchkey.put_grant(item.chain(id).collect()).await;
    }
    let token = latchkey.reset_token(&user).await;
    latchkey.confirm(&token, OTHER).send().await.is_empty(201);
    latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
    let log = latchkey.log_with(2, "mail_unreadable").await;
    assert_eq!(
        log.iter()
            .filter(|line| line.contains("mail_unreadable"))
            .count(),
        2
    );
    // A record that is not a mail is skipped too.
    let no_mail = json!({ "Records": [{
        "eventID": "1", "eventName": "INSERT", "awsRegion": "us-east-1",
        "dynamodb": { "ApproximateCreationDateTime": 0, "Keys": { "pk": { "N": "1" } }, "SequenceNumber": "1", "SizeBytes": 1 },
    }] });
    latchkey
        .invoke("MailSendFunction", no_mail)
        .await
        .expect("the record is skipped");
}

#[tokio::test]
async fn an_unreadable_user_item_is_an_internal_error_logged_once() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let user = faulty.latchkey.signed_up("faults-user").await;
    faulty
        .latchkey
        .edit_user(&user, |item| drop(item.remove("level")))
        .await;
    let before = faulty.latchkey.everything().await;
    faulty
        .latchkey
        .sign_in(&user.email, PASSWORD)
        .send()
        .await
        .is_refused(500, &["server.internal_error"]);
    assert_eq!(faulty.latchkey.everything().await, before);
    assert_eq!(
        faulty
            .latchkey
            .invocations("session-create", "the request failed", 1)
            .await
            .len(),
        1
    );
}
