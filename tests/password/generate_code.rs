//! `POST /identity/users/password/generate_code`

use serde_json::{Value, json};

use crate::harness::{Latchkey, all_at_once, claims, event, latchkey, now, number, text};

const PATH: &str = "/identity/users/password/generate_code";

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
        .form(&[("lang", "en")])
        .send()
        .await
        .is_refused(400, &["identity.user.missing_email"]);
    for blank in ["", " \t", "\u{2003}"] {
        latchkey
            .ask_for_code(blank)
            .send()
            .await
            .is_refused(400, &["identity.user.empty_email"]);
    }
}

#[tokio::test]
async fn an_invalid_address_is_rejected() {
    for email in [
        "nobody",
        "a@b",
        "@example.com",
        "a b@example.com",
        "a@example..com",
        "a@b@example.com",
        "a\u{200b}@example.com",
    ] {
        latchkey()
            .await
            .ask_for_code(email)
            .send()
            .await
            .is_refused(422, &["email.invalid"]);
    }
}

#[tokio::test]
async fn an_unknown_address_or_a_deleted_account_gets_no_code() {
    let latchkey = latchkey().await;
    latchkey
        .ask_for_code("nobody@example.com")
        .send()
        .await
        .is_refused(404, &["identity.password.user_doesnt_exist"]);
    let user = latchkey.signed_up("code-deleted").await;
    latchkey.set_state(&user, "deleted").await;
    let before = latchkey.items_of(&user).await;
    latchkey
        .ask_for_code(&user.email)
        .send()
        .await
        .is_refused(404, &["identity.password.user_doesnt_exist"]);
    assert_eq!(latchkey.items_of(&user).await, before);
}

#[tokio::test]
async fn a_captcha_response_is_text_or_an_object() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("code-captcha").await;
    let before = latchkey.items_of(&user).await;
    let request_with = |captcha: Value| {
        latchkey
            .post(PATH)
            .json(&json!({ "email": user.email, "captcha_response": captcha }))
            .send()
    };
    for captcha in [json!(1), json!(false), json!([])] {
        request_with(captcha)
            .await
            .is_refused(422, &["identity.user.invalid_captcha_format"]);
    }
    assert_eq!(latchkey.items_of(&user).await, before);
    for captcha in [
        json!("token"),
        json!({ "geetest_challenge": "x" }),
        json!(null),
    ] {
        request_with(captcha).await.is_empty(201);
    }
}

#[tokio::test]
async fn a_code_is_stored_and_mailed() {
    let latchkey = latchkey().await;
    for state in ["pending", "active", "banned"] {
        let user = latchkey.signed_up(&format!("code-{state}")).await;
        latchkey.set_state(&user, state).await;
        let session = latchkey.session_item(&user, &user.session).await;
        let item = latchkey.user_item(&user).await;

        let answer = latchkey
            .ask_for_code(&user.email.to_uppercase())
            .send()
            .await;
        answer.is_empty(201);
        assert_eq!(answer.header("set-cookie"), None);
        let code = latchkey.grant(&user, "RESET").await.expect("a code");
        assert!((now() + 3600 - number(&code, "expires_at")).abs() < 60);
        let mail = latchkey
            .mail_to(&user.email, 1, |mail| mail.reset_token().is_some())
            .await;
        let claims = claims(mail.reset_token().unwrap());
        assert_eq!(
            (&claims["sub"], &claims["jti"], &claims["uid"]),
            (
                &json!("reset"),
                &json!(text(&code, "jti")),
                &json!(user.uid)
            )
        );
        assert_eq!(claims["exp"], number(&code, "expires_at"));
        // Anyone can request a code, so nothing else of the user may change.
        assert_eq!(
            (
                latchkey.session_item(&user, &user.session).await,
                latchkey.user_item(&user).await
            ),
            (session, item)
        );
    }
}

#[tokio::test]
async fn only_the_newest_code_of_a_user_works() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("code-newest").await;
    let older = latchkey.reset_token(&user).await;
    let newest = latchkey.reset_token(&user).await;
    let before = latchkey.items_of(&user).await;
    latchkey
        .confirm(&older, "Newer-Horse-7-Battery")
        .send()
        .await
        .is_refused(422, &["identity.user.utilized_token"]);
    assert_eq!(latchkey.items_of(&user).await, before);
    latchkey
        .confirm(&newest, "Newer-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
}

#[tokio::test]
async fn of_concurrently_requested_codes_only_one_works() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("code-race").await;
    for answer in all_at_once((0..8).map(|_| latchkey.ask_for_code(&user.email))).await {
        answer.is_empty(201);
    }
    let is_reset = |mail: &crate::harness::Mail| mail.reset_token().is_some();
    latchkey.mail_to(&user.email, 8, is_reset).await;
    let mut confirmed = 0;
    for mail in latchkey
        .mails_to(&user.email)
        .await
        .iter()
        .filter(|mail| is_reset(mail))
    {
        let answer = latchkey
            .confirm(mail.reset_token().unwrap(), "Newer-Horse-7-Battery")
            .send()
            .await;
        if answer.status == 201 {
            confirmed += 1;
        } else {
            answer.is_refused(422, &["identity.user.utilized_token"]);
        }
    }
    assert_eq!(confirmed, 1);
}

#[tokio::test]
async fn the_link_uses_the_configured_domain_and_no_header() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("code-host").await;
    let headers = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "ftp"),
        ("forwarded", "host=evil.example"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/"),
    ];
    let request = headers.iter().fold(
        latchkey.ask_for_code(&user.email),
        |request, (name, value)| request.header(name, value),
    );
    request.send().await.is_empty(201);
    // The development stack rejects foreign hosts, so this event does not come through its gateway.
    let mut event = event("POST", PATH);
    event["headers"] = json!({
        "host": "evil.example",
        "content-type": "application/x-www-form-urlencoded",
    });
    event["requestContext"]["domainName"] = json!("evil.example");
    event["body"] = json!(format!("email={}", user.email));
    let answer = latchkey.invoke("PasswordGenerateCodeFunction", event).await;
    assert_eq!(answer.unwrap()["statusCode"], 201);
    for count in [1, 2] {
        let mail = latchkey
            .mail_to(&user.email, count, |mail| mail.reset_token().is_some())
            .await;
        let expected = format!(
            "{}/accounts/password_reset?reset_token={}&lang=en",
            latchkey.domain(),
            mail.reset_token().unwrap()
        );
        assert_eq!(mail.link(), Some(expected.as_str()));
        assert!(!format!("{mail:?}").contains("evil.example"));
    }
}

#[tokio::test]
async fn with_existence_errors_prevented_an_unknown_address_gets_the_answer_of_a_known_one() {
    let latchkey = Latchkey::start(&[("IDENTITY_PREVENT_USER_EXISTENCE_ERRORS", "true")]).await;
    let known = latchkey.signed_up("known").await;
    let deleted = latchkey.signed_up("deleted").await;
    latchkey.set_state(&deleted, "deleted").await;
    let success = latchkey
        .ask_for_code(&known.email)
        .send()
        .await
        .comparable();
    success.is_empty(201);
    let before = latchkey.everything().await;
    for email in ["nobody@example.com", &deleted.email] {
        assert_eq!(
            latchkey.ask_for_code(email).send().await.comparable(),
            success,
            "{email}"
        );
    }
    assert_eq!(latchkey.everything().await, before);
    // Errors that do not depend on an account are still reported.
    latchkey
        .ask_for_code("nobody")
        .send()
        .await
        .is_refused(422, &["email.invalid"]);
    latchkey
        .ask_for_code("")
        .send()
        .await
        .is_refused(400, &["identity.user.empty_email"]);
    // A sign-up must report a taken address.
    let taken = latchkey
        .post("/identity/users")
        .form(&[("email", &known.email), ("password", &known.password)])
        .send()
        .await;
    taken.is_refused(422, &["email.taken"]);
}
