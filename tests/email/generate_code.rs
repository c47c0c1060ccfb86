//! `POST /identity/users/email/generate_code`

use serde_json::{Value, json};

use crate::harness::{Latchkey, Mail, PASSWORD, claims, latchkey, now, number};

const PATH: &str = "/identity/users/email/generate_code";

fn is_confirmation(mail: &Mail) -> bool {
    mail.confirmation_token().is_some()
}

#[tokio::test]
async fn a_missing_or_empty_address_is_rejected() {
    let latchkey = latchkey().await;
    latchkey
        .post(PATH)
        .send()
        .await
        .is_refused(400, &["identity.user.missing_email"]);
    latchkey
        .post(PATH)
        .form(&[("email", " "), ("lang", "en")])
        .send()
        .await
        .is_refused(400, &["identity.user.empty_email"]);
}

#[tokio::test]
async fn a_new_confirmation_mail_invalidates_the_previous_one() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirmation-again").await;
    let first = latchkey.mail_to(&user.email, 1, is_confirmation).await;
    latchkey
        .post(PATH)
        .form(&[("email", &user.email.to_uppercase()), ("lang", "de")])
        .send()
        .await
        .is_empty(201);
    let second = latchkey.mail_to(&user.email, 2, is_confirmation).await;
    let token = second.confirmation_token().unwrap();
    let link = format!(
        "{}/accounts/confirmation?confirmation_token={token}&lang=de",
        latchkey.domain()
    );
    assert_eq!(second.link(), Some(link.as_str()));
    let code = latchkey.grant(&user, "CONFIRM").await.expect("a code");
    assert!((now() + 3600 - number(&code, "expires_at")).abs() < 60);
    assert_eq!(claims(token)["jti"], *code["jti"].as_s().unwrap());

    let confirm = |mail: &Mail| {
        latchkey.post("/identity/users/email/confirm_code").form(&[
            ("token", mail.confirmation_token().unwrap()),
            ("password", PASSWORD),
        ])
    };
    confirm(&first)
        .send()
        .await
        .is_refused(422, &["identity.user.utilized_token"]);
    assert_eq!(confirm(&second).send().await.status, 201);
}

#[tokio::test]
async fn every_address_gets_the_same_answer_and_only_a_pending_user_gets_a_mail() {
    let latchkey = Latchkey::start(&[]).await;
    let waiting = latchkey.signed_up("waiting").await;
    let expected = latchkey
        .post(PATH)
        .form(&[("email", &waiting.email)])
        .send()
        .await
        .comparable();
    expected.is_empty(201);
    latchkey.mail_to(&waiting.email, 2, is_confirmation).await;
    for state in ["active", "deleted", "banned", "locked"] {
        let user = latchkey.signed_up(state).await;
        latchkey.set_state(&user, state).await;
    }
    let before = latchkey.everything().await;
    for email in [
        "nobody@example.com",
        "active@example.com",
        "deleted@example.com",
        "banned@example.com",
        "locked@example.com",
        "no address",
        "a@b",
    ] {
        assert_eq!(
            latchkey
                .post(PATH)
                .form(&[("email", email)])
                .send()
                .await
                .comparable(),
            expected,
            "{email}"
        );
    }
    assert_eq!(latchkey.everything().await, before);
}

#[tokio::test]
async fn a_captcha_response_is_text_or_an_object() {
    let latchkey = latchkey().await;
    let request_with = |captcha: Value| {
        latchkey
            .post(PATH)
            .json(&json!({ "email": "nobody@example.com", "captcha_response": captcha }))
            .send()
    };
    request_with(json!(1))
        .await
        .is_refused(422, &["identity.user.invalid_captcha_format"]);
    request_with(json!({ "geetest_challenge": "x" }))
        .await
        .is_empty(201);
}
