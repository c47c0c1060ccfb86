//! Requests that another site makes a browser send to operations which set a cookie without a CSRF
//! token (login CSRF)

use serde_json::{Value, json};

use crate::harness::{
    Answer, Latchkey, OPERATIONS, Operation, PASSWORD, Request, User, event, latchkey,
};

const REFUSED: (u16, &[&str]) = (403, &["authz.cross_site_request"]);
const EVIL: &str = "https://evil.example";

/// The operations that may set a cookie without a CSRF token.
fn cookie_setting() -> impl Iterator<Item = &'static Operation> {
    const PATHS: [&str; 5] = [
        "/identity/sessions",
        "/identity/sessions/passkey",
        "/identity/users",
        "/identity/users/email/confirm_code",
        "/identity/users/password/confirm_code",
    ];
    let operations = OPERATIONS
        .iter()
        .filter(|operation| operation.method == "POST" && PATHS.contains(&operation.path));
    assert_eq!(operations.clone().count(), PATHS.len());
    operations
}

fn with_headers(request: Request, headers: &[(&str, &str)]) -> Request {
    headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}

/// The response of a sign-in through the API `api.example`, as API Gateway delivers it.
async fn signed_in_from(latchkey: &Latchkey, user: &User, origin: &str) -> Value {
    let mut event = event("POST", "/identity/sessions");
    event["headers"]["content-type"] = json!("application/json");
    event["headers"]["origin"] = json!(origin);
    event["body"] = json!(json!({ "email": user.email, "password": PASSWORD }).to_string());
    latchkey
        .invoke("SessionCreateFunction", event)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_form_on_another_site_cannot_sign_a_browser_in_to_the_attackers_account() {
    let latchkey = latchkey().await;
    let attacker = latchkey.signed_up("login-csrf").await;
    let form = || latchkey.sign_in(&attacker.email, &attacker.password);
    for headers in [
        &[("origin", EVIL), ("sec-fetch-site", "cross-site")][..],
        &[("origin", EVIL), ("sec-fetch-site", "same-site")],
        // A browser without fetch metadata, a sandboxed frame, and a request without an origin.
        &[("origin", EVIL)],
        &[("origin", "null")],
        &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site")],
    ] {
        let (status, keys) = REFUSED;
        latchkey
            .refuses(&attacker, with_headers(form(), headers), status, keys)
            .await;
    }
}

#[tokio::test]
async fn every_operation_that_sets_a_cookie_refuses_other_sites_before_any_other_check() {
    let latchkey = Latchkey::start(&[("IDENTITY_REQUESTS_PER_MINUTE", "60")]).await;
    let user = latchkey.signed_up("cross-site").await;
    let reset = latchkey.reset_token(&user).await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    let confirmation = mail.confirmation_token().unwrap();
    let before = latchkey.stored().await;
    for operation in cookie_setting() {
        let request = || operation.request(&latchkey, &user).header("origin", EVIL);
        for invalid in [
            request(),
            request().body("text/plain", "x"),
            request().body("application/json", "{"),
        ] {
            is_refused(&invalid.send().await);
        }
    }
    for valid in [
        latchkey.sign_in(&user.email, PASSWORD),
        latchkey.sign_in(&user.email, "wrong"),
        latchkey.post("/identity/users").form(&[
            ("email", "cross-site-new@example.com"),
            ("password", PASSWORD),
        ]),
        latchkey
            .post("/identity/users/email/confirm_code")
            .form(&[("token", confirmation)]),
        latchkey.confirm(&reset, "Another-Horse-8-Battery"),
    ] {
        is_refused(&valid.header("origin", EVIL).send().await);
    }
    assert_eq!(
        latchkey.stored().await,
        before,
        "nothing is counted, used or created"
    );
    // The owner's own requests work.
    let [front_end, _] = Latchkey::ORIGINS;
    for (request, status) in [
        (latchkey.sign_in(&user.email, PASSWORD), 201),
        (
            latchkey
                .post("/identity/users/email/confirm_code")
                .form(&[("token", confirmation), ("password", PASSWORD)]),
            201,
        ),
        (latchkey.confirm(&reset, "Another-Horse-8-Battery"), 201),
    ] {
        let answer = request
            .header("origin", front_end)
            .header("sec-fetch-site", "same-site")
            .send()
            .await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[track_caller]
fn is_refused(answer: &Answer) {
    let (status, keys) = REFUSED;
    answer.is_refused(status, keys);
}

#[tokio::test]
async fn the_front_ends_the_apis_own_pages_and_programs_can_sign_in() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("same-site").await;
    let own = latchkey.url().to_owned();
    let pages = latchkey.domain();
    let [app, admin] = Latchkey::ORIGINS;
    for headers in [
        &[("origin", app), ("sec-fetch-site", "cross-site")][..],
        &[("origin", app), ("sec-fetch-site", "same-site")],
        &[("origin", admin)],
        &[("origin", own.as_str())],
        &[("origin", pages.as_str())],
        &[("sec-fetch-site", "same-origin"), ("origin", "null")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-site")],
        &[],
    ] {
        let request = with_headers(latchkey.sign_in(&user.email, &user.password), headers);
        assert_eq!(request.send().await.status, 201, "{headers:?}");
    }
}

#[tokio::test]
async fn the_own_origin_is_that_of_the_domain_name_of_the_api() {
    let variables = [("IDENTITY_PAGES_URL", "https://id.example")];
    let latchkey = Latchkey::start(&variables).await;
    let user = latchkey.signed_up("own-origin").await;
    for (origin, status) in [
        ("https://api.example", 201),
        ("https://id.example", 201),
        ("https://app.example", 201),
        ("http://api.example", 403),
        ("http://id.example", 403),
        ("https://api.example:8443", 403),
        ("https://api.example.evil.example", 403),
    ] {
        let answer = signed_in_from(&latchkey, &user, origin).await;
        assert_eq!(answer["statusCode"], status, "{origin}: {answer}");
    }
}

#[tokio::test]
async fn operations_that_set_no_cookie_or_require_a_csrf_token_are_not_affected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("cross-site-other").await;
    for (request, status) in [
        (latchkey.ask_for_code(&user.email), 201),
        (latchkey.by(&user, "GET", "/resource/users/me"), 200),
        (latchkey.by(&user, "DELETE", "/resource/sessions"), 204),
        (latchkey.sign_out(&user.session), 204),
    ] {
        let answer = request.header("origin", EVIL).send().await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}
