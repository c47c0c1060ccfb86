//! `GET /identity/configs`

use serde_json::json;

use crate::harness::{ExternalServices, Latchkey, PASSWORD, captcha, latchkey};

const DEFAULT_REGEXP: &str = r"^(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=[^0-9]*[0-9])[\s\S]{8,80}$";

#[tokio::test]
async fn the_public_configuration_is_cacheable_for_a_minute() {
    let answer = latchkey().await.get("/identity/configs").send().await;
    assert_eq!(answer.status, 200);
    let cache = answer.header("cache-control").unwrap();
    assert!(
        cache.contains("max-age=60") && !cache.contains("no-store"),
        "{cache}"
    );
    // Without a captcha there is no `captcha_id`.
    let expected = json!({
        "session_expire_time": 1800,
        "captcha_type": "none",
        "password_min_entropy": 25,
        "password_regexp": DEFAULT_REGEXP,
    });
    assert_eq!(answer.json(), expected);
    answer.has_names(&[
        "session_expire_time",
        "captcha_type",
        "password_min_entropy",
        "password_regexp",
    ]);
}

#[tokio::test]
async fn the_published_password_rules_are_the_enforced_ones() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_SESSION_EXPIRE_TIME", "600"),
        ("IDENTITY_PASSWORD_REGEXP", "^[a-z ]{10,40}$"),
        ("IDENTITY_PASSWORD_MIN_ENTROPY", "40.5"),
    ])
    .await;
    let configs = latchkey.get("/identity/configs").send().await.json();
    assert_eq!(configs["session_expire_time"], 600);
    assert_eq!(configs["password_regexp"], "^[a-z ]{10,40}$");
    assert_eq!(configs["password_min_entropy"], 40.5);

    let sign_up = |email: &str, password: &str| {
        latchkey
            .post("/identity/users")
            .form(&[("email", email), ("password", password)])
            .send()
    };
    sign_up("rules@example.com", PASSWORD)
        .await
        .is_refused(422, &["password.requirements"]);
    sign_up("rules@example.com", "aaaaaaaaaaaa")
        .await
        .is_refused(422, &["password.weak"]);
    assert_eq!(
        sign_up("rules@example.com", "mangrove lantern quiver")
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn the_configuration_names_the_captcha_provider_and_its_public_key() {
    let services = ExternalServices::start().await;
    for provider in captcha::PROVIDERS {
        let answer = services
            .stack_with_captcha(provider, &[])
            .await
            .get("/identity/configs")
            .send()
            .await;
        let configs = answer.json();
        assert_eq!(
            (&configs["captcha_type"], &configs["captcha_id"]),
            (&json!(provider), &json!(captcha::ID))
        );
        answer.has_names(&[
            "session_expire_time",
            "captcha_type",
            "captcha_id",
            "password_min_entropy",
            "password_regexp",
        ]);
        assert!(
            !answer.text().contains(captcha::SECRET)
                && !answer.text().contains(captcha::SECRET_NAME)
        );
    }
}
