//! `GET /identity/users/register_geetest`

use serde_json::json;

use crate::harness::{
    ExternalServices, Latchkey,
    captcha::{CHALLENGE, ID, SECRET, SECRET_NAME},
    latchkey,
};

const PATH: &str = "/identity/users/register_geetest";

#[tokio::test]
async fn the_challenge_is_derived_from_that_of_the_provider_and_the_secret_key() {
    let services = ExternalServices::start().await;
    // The provider's older servers respond with plain text.
    for id in [ID, "plain"] {
        let latchkey = services
            .stack_with_captcha("geetest", &[("IDENTITY_CAPTCHA_ID", id)])
            .await;
        let answer = latchkey.get(PATH).send().await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({ "gt": id, "challenge": CHALLENGE }))
        );
        answer.has_names(&["gt", "challenge"]);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let received = services.requests().pop().unwrap();
        assert_eq!(
            (
                received.method.as_str(),
                received.path.as_str(),
                received.fields["gt"].as_str()
            ),
            ("GET", "/register.php", id)
        );
        assert!(!format!("{received:?}{answer:?}{:?}", latchkey.log()).contains(SECRET));
    }
}

#[tokio::test]
async fn without_a_challenge_of_the_provider_the_service_is_unavailable() {
    let services = ExternalServices::start().await;
    for id in ["zero", "page", "error"] {
        let latchkey = services
            .stack_with_captcha("geetest", &[("IDENTITY_CAPTCHA_ID", id)])
            .await;
        let answer = latchkey.get(PATH).send().await;
        answer.is_refused(503, &["server.unavailable"]);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let latchkey = services
        .stack_with_captcha("geetest", &[("IDENTITY_CAPTCHA_URL", "http://127.0.0.1:9")])
        .await;
    latchkey
        .get(PATH)
        .send()
        .await
        .is_refused(503, &["server.unavailable"]);
}

#[tokio::test]
async fn other_providers_have_no_challenge() {
    let services = ExternalServices::start().await;
    latchkey()
        .await
        .get(PATH)
        .send()
        .await
        .is_refused(404, &["record.not_found"]);
    for provider in ["recaptcha", "hcaptcha", "turnstile"] {
        services
            .stack_with_captcha(provider, &[])
            .await
            .get(PATH)
            .send()
            .await
            .is_refused(404, &["record.not_found"]);
    }
    assert_eq!(services.requests().len(), 0);
}

#[tokio::test]
async fn a_challenge_is_available_for_any_set_of_protected_operations() {
    let services = ExternalServices::start().await;
    let url = services.url.as_str();
    let latchkey = Latchkey::start(&[
        ("IDENTITY_CAPTCHA", "geetest"),
        ("IDENTITY_CAPTCHA_ID", ID),
        ("IDENTITY_CAPTCHA_SECRET_ARN", SECRET_NAME),
        ("IDENTITY_CAPTCHA_URL", url),
        ("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", "password_reset"),
    ])
    .await;
    assert_eq!(latchkey.get(PATH).send().await.status, 200);
}
