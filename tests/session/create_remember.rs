//! `POST /identity/sessions`: sessions that are not remembered

use serde_json::json;

use crate::harness::{Answer, Latchkey, PASSWORD, Request, User, claims, latchkey, number, otp};

/// Seconds, the greatest lifetime of a session that is not remembered.
const HALF_A_DAY: i64 = 43_200;

fn sign_in(latchkey: &Latchkey, user: &User, remember: &str) -> Request {
    latchkey.post("/identity/sessions").form(&[
        ("email", &user.email),
        ("password", &user.password),
        ("remember", remember),
    ])
}

/// Asserts that the response sets nothing but a session cookie that ends with the browser.
#[track_caller]
fn is_for_this_browser_session(answer: &Answer) {
    assert_eq!(answer.status, 201, "{answer:?}");
    let cookie = format!(
        "_barong_session={}; Path=/; HttpOnly; Secure; SameSite=Lax",
        answer.session()
    );
    let cookies = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie");
    let values: Vec<&str> = cookies.map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, [cookie]);
}

/// Asserts that the response sets cookies that outlive the browser.
#[track_caller]
fn is_remembered(answer: &Answer) {
    assert_eq!(answer.status, 201, "{answer:?}");
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; Max-Age=86400"), "{cookie}");
    assert!(!answer.device_cookie().is_empty());
}

#[tokio::test]
async fn a_session_is_remembered_unless_the_sign_in_says_otherwise() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("remember").await;
    for value in ["true", "", " "] {
        is_remembered(&sign_in(latchkey, &user, value).send().await);
    }
    is_remembered(&latchkey.sign_in(&user.email, PASSWORD).send().await);
    let json = |remember: serde_json::Value| {
        let body = json!({ "email": user.email, "password": PASSWORD, "remember": remember });
        latchkey.post("/identity/sessions").json(&body).send()
    };
    is_remembered(&json(json!(true)).await);
    is_remembered(&json(json!(null)).await);
    is_for_this_browser_session(&json(json!(false)).await);
    is_for_this_browser_session(&json(json!("false")).await);
    is_for_this_browser_session(&sign_in(latchkey, &user, "false").send().await);
}

#[tokio::test]
async fn any_other_value_is_rejected_and_not_counted() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("remember-other").await;
    for value in [
        "1", "0", "yes", "on", "TRUE", "False", " true", "null", "\0",
    ] {
        let request = sign_in(latchkey, &user, value);
        let keys = ["identity.session.invalid_remember"];
        latchkey.refuses(&user, request, 422, &keys).await;
    }
    for value in [json!(1), json!(0), json!(1.5)] {
        let body = json!({ "email": user.email, "password": PASSWORD, "remember": value });
        let request = latchkey.post("/identity/sessions").json(&body);
        let keys = ["identity.session.invalid_remember"];
        latchkey.refuses(&user, request, 422, &keys).await;
    }
    for value in [json!({}), json!([true])] {
        let body = json!({ "email": user.email, "password": PASSWORD, "remember": value });
        let request = latchkey.post("/identity/sessions").json(&body);
        latchkey
            .refuses(&user, request, 400, &["request.malformed_body"])
            .await;
    }
    // Missing and blank parameters are reported alone.
    let fields = [("email", user.email.as_str()), ("remember", "maybe")];
    latchkey
        .post("/identity/sessions")
        .form(&fields)
        .send()
        .await
        .is_refused(400, &["identity.session.missing_password"]);
    assert_eq!(latchkey.failures(&user.email).await, 0);
}

#[tokio::test]
async fn a_session_that_is_not_remembered_ends_after_12_hours_even_in_use() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("remember-end").await;
    let answer = sign_in(latchkey, &user, "false").send().await;
    let session = answer.session();
    let item = latchkey.session_item(&user, &session).await.unwrap();
    assert_eq!(
        number(&item, "expires_at") - number(&item, "began_at"),
        HALF_A_DAY
    );
    let token = claims(&session);
    let life = token["exp"].as_i64().unwrap() - token["iat"].as_i64().unwrap();
    assert_eq!(life, HALF_A_DAY);
    let status = async || {
        let me = latchkey.get("/resource/users/me").cookie(&session);
        me.send().await.status
    };
    latchkey.age_session(&user, &session, HALF_A_DAY - 60).await;
    latchkey.use_session(&user, &session).await;
    assert_eq!(status().await, 200);
    latchkey.age_session(&user, &session, 60).await;
    latchkey.use_session(&user, &session).await;
    assert_eq!(status().await, 401);
}

#[tokio::test]
async fn sessions_that_replace_it_are_not_remembered_either() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("remember-kept").await;
    let mut answer = sign_in(latchkey, &user, "false").send().await;
    let first = latchkey
        .session_item(&user, &answer.session())
        .await
        .unwrap();
    for _ in 0..2 {
        answer = latchkey
            .post("/resource/sessions/current")
            .form(&[("password", PASSWORD)])
            .bearer(&answer.session())
            .send()
            .await;
        is_for_this_browser_session(&answer);
        let renewed = latchkey
            .session_item(&user, &answer.session())
            .await
            .unwrap();
        assert_eq!(number(&renewed, "expires_at"), number(&first, "expires_at"));
    }
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    let confirmed = latchkey
        .post("/identity/users/email/confirm_code")
        .form(&[("token", mail.confirmation_token().unwrap())])
        .cookie(&answer.session())
        .send()
        .await;
    is_for_this_browser_session(&confirmed);
    let item = latchkey
        .session_item(&user, &confirmed.session())
        .await
        .unwrap();
    assert_eq!(
        number(&item, "expires_at") - number(&item, "began_at"),
        HALF_A_DAY
    );
    // A remembered session stays remembered.
    let answer = latchkey.sign_in(&user.email, PASSWORD).send().await;
    let renewed = latchkey
        .post("/resource/sessions/current")
        .form(&[("password", PASSWORD)])
        .bearer(&answer.session())
        .send()
        .await;
    assert!(renewed.header("set-cookie").unwrap().contains("; Max-Age="));
    assert!(!renewed.device_cookie().is_empty());
}

#[tokio::test]
async fn a_second_factor_does_not_set_a_device_cookie_either() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("remember-otp").await;
    let answer = latchkey
        .post("/identity/sessions")
        .form(&[
            ("email", &user.email),
            ("password", &user.password),
            ("otp_code", &authenticator.recovery_codes[0]),
            ("remember", "false"),
        ])
        .send()
        .await;
    is_for_this_browser_session(&answer);
}

#[tokio::test]
async fn a_session_of_90_days_is_kept_by_one_write_a_minute_and_one_round_trip_a_check() {
    const QUARTER: i64 = 7_776_000;
    let latchkey = Latchkey::start(&[
        otp::FOR_RACES[1],
        ("IDENTITY_SESSION_EXPIRE_TIME", "7776000"),
        ("IDENTITY_SESSION_MAX_AGE", "7776000"),
    ])
    .await;
    let user = latchkey.signed_up("remember-phone").await;
    for (remember, life) in [("true", QUARTER), ("false", HALF_A_DAY)] {
        let answer = sign_in(&latchkey, &user, remember).send().await;
        let session = answer.session();
        let item = latchkey.session_item(&user, &session).await.unwrap();
        assert_eq!(
            number(&item, "expires_at") - number(&item, "began_at"),
            life
        );
        latchkey.age_session(&user, &session, life - 60).await;
        let me = || latchkey.get("/resource/users/me").cookie(&session).send();
        assert_eq!(me().await.status, 200);
        let once = latchkey.session_item(&user, &session).await.unwrap();
        assert_eq!(me().await.status, 200);
        let again = latchkey.session_item(&user, &session).await.unwrap();
        assert_eq!(again, once, "a second use within a minute writes nothing");
    }
    // The first sign-in also publishes the public keys.
    let sign_ins = latchkey.invocations("session-create", "answered", 2).await;
    assert_eq!(sign_ins[1]["round_trips"], 2, "{sign_ins:?}");
    let checks = latchkey.invocations("user-me", "answered", 4).await;
    let trips: Vec<_> = checks.iter().map(|line| &line["round_trips"]).collect();
    // A check that records the use takes one more, at most once a minute.
    assert_eq!(json!(trips), json!([2, 1, 2, 1]), "{checks:?}");
}
