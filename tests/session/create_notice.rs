//! Notices of sign-ins from new devices

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::harness::{Latchkey, PASSWORD, Request, User, all_at_once, now, number, otp, text};

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

async fn stack() -> Latchkey {
    Latchkey::start(&[otp::FOR_RACES[1], ("IDENTITY_SIGN_IN_NOTICE", "on")]).await
}

fn sign_in(latchkey: &Latchkey, user: &User) -> Request {
    latchkey
        .sign_in(&user.email, PASSWORD)
        .header("user-agent", CHROME)
}

/// The number of queued notices.
async fn notices(latchkey: &Latchkey, user: &User) -> usize {
    let mails = latchkey.queued_mails(user).await.into_iter();
    mails
        .filter(|mail| text(mail, "kind") == "new_sign_in")
        .count()
}

/// Moves the newest notice back by an hour.
async fn wait_an_hour(latchkey: &Latchkey, user: &User) {
    latchkey
        .edit_user(user, |item| {
            let sent = number(item, "sign_in_notice_at") - 3600;
            item.insert(
                "sign_in_notice_at".to_owned(),
                AttributeValue::N(sent.to_string()),
            );
        })
        .await;
}

#[tokio::test]
async fn a_sign_in_from_a_new_device_is_mailed_in_the_language_of_the_user() {
    let latchkey = stack().await;
    let user = latchkey
        .signed_up_with("notice", &json!({ "data": r#"{"language":"de"}"# }))
        .await;
    latchkey.set_state(&user, "active").await;
    let answer = sign_in(&latchkey, &user).send().await;
    assert_eq!(answer.status, 201);
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| {
            mail.subject.contains("Neue Anmeldung")
        })
        .await;
    for part in [
        "Chrome auf Windows",
        "127.0.0.1",
        "UTC",
        "/accounts/password_reset?lang=de",
    ] {
        assert!(mail.text.contains(part), "{part}: {}", mail.text);
        assert!(mail.html.contains(part), "{part}: {}", mail.html);
    }
    assert!((now() - number(&latchkey.user_item(&user).await, "sign_in_notice_at")).abs() < 60);
    // In two round trips, as without a notice.
    let lines = latchkey.invocations("session-create", "answered", 1).await;
    assert_eq!(lines[0]["round_trips"], json!(2), "{lines:?}");
}

#[tokio::test]
async fn a_known_device_is_not_mailed_and_others_once_an_hour() {
    let latchkey = stack().await;
    let user = latchkey.confirmed("notice-hour").await;
    let known = sign_in(&latchkey, &user).send().await.device_cookie();
    assert_eq!(notices(&latchkey, &user).await, 1);
    // Within the hour, no sign-in is mailed.
    assert_eq!(sign_in(&latchkey, &user).send().await.status, 201);
    assert_eq!(notices(&latchkey, &user).await, 1);
    wait_an_hour(&latchkey, &user).await;
    let request = sign_in(&latchkey, &user).device(&known);
    assert_eq!(request.send().await.status, 201);
    assert_eq!(notices(&latchkey, &user).await, 1, "a known device");
    let request = latchkey.post("/identity/sessions").json(&json!({
        "email": user.email, "password": PASSWORD, "remember": false,
    }));
    assert_eq!(request.send().await.status, 201);
    assert_eq!(
        notices(&latchkey, &user).await,
        2,
        "a session that is not remembered"
    );
}

#[tokio::test]
async fn a_token_of_an_earlier_epoch_or_of_another_account_is_no_known_device() {
    let latchkey = stack().await;
    let other = latchkey.confirmed("notice-other").await;
    let foreign = sign_in(&latchkey, &other).send().await.device_cookie();
    let user = latchkey.confirmed("notice-epoch").await;
    let own = sign_in(&latchkey, &user).send().await.device_cookie();
    latchkey
        .edit_user(&user, |item| {
            item.insert("device_epoch".to_owned(), AttributeValue::N("7".to_owned()));
        })
        .await;
    for (cookie, count) in [(own, 2), (foreign, 3)] {
        wait_an_hour(&latchkey, &user).await;
        let request = sign_in(&latchkey, &user).device(&cookie);
        assert_eq!(request.send().await.status, 201);
        assert_eq!(notices(&latchkey, &user).await, count);
    }
}

#[tokio::test]
async fn a_sign_in_with_a_code_is_mailed_and_a_refused_one_is_not() {
    let latchkey = stack().await;
    let user = latchkey.confirmed("notice-otp").await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    let with = |code: &str| {
        latchkey.post("/identity/sessions").form(&[
            ("email", user.email.as_str()),
            ("password", PASSWORD),
            ("otp_code", code),
        ])
    };
    sign_in(&latchkey, &user)
        .send()
        .await
        .is_refused(401, &["identity.session.missing_otp"]);
    with(&otp::wrong_code_of(otp::SECRET))
        .send()
        .await
        .is_refused(403, &["identity.session.invalid_otp"]);
    assert_eq!(notices(&latchkey, &user).await, 0);
    let first = with(&otp::code(otp::step())).send().await;
    assert_eq!(first.status, 201);
    assert_eq!(notices(&latchkey, &user).await, 1);
    wait_an_hour(&latchkey, &user).await;
    let request = with(&otp::code(otp::step() + 1)).device(&first.device_cookie());
    assert_eq!(request.send().await.status, 201);
    assert_eq!(notices(&latchkey, &user).await, 1, "a known device");
}

/// The address of an unconfirmed account may belong to another person.
#[tokio::test]
async fn an_unconfirmed_account_and_a_sign_up_are_not_mailed() {
    let latchkey = stack().await;
    let user = latchkey.signed_up("notice-pending").await;
    assert_eq!(sign_in(&latchkey, &user).send().await.status, 201);
    assert_eq!(notices(&latchkey, &user).await, 0);
}

#[tokio::test]
async fn sixteen_concurrent_sign_ins_succeed_and_queue_one_notice() {
    let latchkey = Latchkey::start(&[
        otp::FOR_RACES[0],
        otp::FOR_RACES[1],
        ("IDENTITY_SIGN_IN_NOTICE", "on"),
    ])
    .await;
    let user = latchkey.confirmed("notice-race").await;
    let answers = all_at_once((0..16).map(|_| sign_in(&latchkey, &user))).await;
    assert!(
        answers.iter().all(|answer| answer.status == 201),
        "{answers:?}"
    );
    assert_eq!(notices(&latchkey, &user).await, 1);
    for answer in &answers {
        let me = latchkey
            .get("/resource/users/me")
            .header("user-agent", CHROME)
            .bearer(&answer.session());
        assert_eq!(me.send().await.status, 200);
    }
}

#[tokio::test]
async fn the_notice_can_be_switched_off() {
    let latchkey = Latchkey::start(&[otp::FOR_RACES[1], ("IDENTITY_SIGN_IN_NOTICE", "off")]).await;
    let user = latchkey.confirmed("notice-off").await;
    assert_eq!(sign_in(&latchkey, &user).send().await.status, 201);
    assert_eq!(notices(&latchkey, &user).await, 0);
}
