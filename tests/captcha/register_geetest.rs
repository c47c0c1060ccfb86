//! `GET /identity/users/register_geetest`

use serde_json::json;

use crate::harness::{
    Latchkey, Outside,
    captcha::{CHALLENGE, ID, SECRET, SECRET_NAME},
    latchkey,
};

const PATH: &str = "/identity/users/register_geetest";

#[tokio::test]
async fn a_captcha_is_begun_with_a_challenge_of_the_provider_that_carries_the_secret_key() {
    let outside = Outside::start().await;
    // The provider's older servers answer with the bare text.
    for id in [ID, "plain"] {
        let latchkey = outside
            .protects("geetest", &[("IDENTITY_CAPTCHA_ID", id)])
            .await;
        let answer = latchkey.get(PATH).send().await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({ "gt": id, "challenge": CHALLENGE }))
        );
        answer.has_names(&["gt", "challenge"]);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let asked = outside.asked().pop().unwrap();
        assert_eq!(
            (
                asked.method.as_str(),
                asked.path.as_str(),
                asked.fields["gt"].as_str()
            ),
            ("GET", "/register.php", id)
        );
        assert!(!format!("{asked:?}{answer:?}{:?}", latchkey.log()).contains(SECRET));
    }
}

#[tokio::test]
async fn without_a_challenge_of_the_provider_there_is_none() {
    let outside = Outside::start().await;
    for id in ["zero", "page", "error"] {
        let latchkey = outside
            .protects("geetest", &[("IDENTITY_CAPTCHA_ID", id)])
            .await;
        let answer = latchkey.get(PATH).send().await;
        answer.is_refused(503, &["server.unavailable"]);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let latchkey = outside
        .protects("geetest", &[("IDENTITY_CAPTCHA_URL", "http://127.0.0.1:9")])
        .await;
    latchkey
        .get(PATH)
        .send()
        .await
        .is_refused(503, &["server.unavailable"]);
}

#[tokio::test]
async fn other_captchas_are_not_begun() {
    let outside = Outside::start().await;
    latchkey()
        .await
        .get(PATH)
        .send()
        .await
        .is_refused(404, &["record.not_found"]);
    for provider in ["recaptcha", "hcaptcha", "turnstile"] {
        outside
            .protects(provider, &[])
            .await
            .get(PATH)
            .send()
            .await
            .is_refused(404, &["record.not_found"]);
    }
    assert_eq!(outside.asked().len(), 0);
}

#[tokio::test]
async fn it_is_begun_whatever_the_captcha_stands_before() {
    let outside = Outside::start().await;
    let url = outside.url.as_str();
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
