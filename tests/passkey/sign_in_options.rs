//! `POST /identity/sessions/passkey/options`

use serde_json::json;

use crate::harness::{Latchkey, claims, latchkey};

const PATH: &str = "/identity/sessions/passkey/options";

#[tokio::test]
async fn the_options_name_no_credential_and_require_user_verification() {
    let latchkey = latchkey().await;
    let answer = latchkey.post(PATH).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.has_names(&["publicKey", "state"]);
    let body = answer.json();
    let state = body["state"].as_str().unwrap();
    assert_eq!(
        body["publicKey"],
        json!({
            "challenge": claims(state)["jti"],
            "rpId": "localhost",
            "timeout": 300_000,
            "userVerification": "required",
            "allowCredentials": [],
        })
    );
    let claims = claims(state);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        300
    );
}

#[tokio::test]
async fn each_ceremony_has_its_own_challenge_of_32_bytes() {
    let latchkey = latchkey().await;
    let mut challenges = Vec::new();
    for _ in 0..2 {
        let ceremony = latchkey.passkey_request().await;
        challenges.push(ceremony.options["challenge"].as_str().unwrap().to_owned());
    }
    assert_ne!(challenges[0], challenges[1]);
    // Without padding.
    assert!(challenges.iter().all(|challenge| challenge.len() == 43));
}

#[tokio::test]
async fn nothing_is_stored_and_requests_of_a_client_are_limited() {
    let latchkey = Latchkey::start(&[("IDENTITY_REQUESTS_PER_MINUTE", "3")]).await;
    // A minute may end in between.
    let mut limited = None;
    for _ in 0..8 {
        let answer = latchkey.post(PATH).send().await;
        if answer.status == 429 {
            limited = Some(answer);
        }
    }
    let limited = limited.expect("a limited request");
    limited.is_refused(429, &["request.too_many_attempts"]);
    assert!(limited.header("retry-after").is_some());
    let stored = latchkey.stored().await;
    assert!(
        stored
            .keys()
            .all(|key| key.contains("LIMIT#requests#") || key.contains("KEYS#tokens")),
        "{stored:?}"
    );
}

#[tokio::test]
async fn the_rp_id_is_configured() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_PASSKEY_RP_ID", "example.com"),
        ("IDENTITY_PASSKEY_ORIGINS", "https://app.example"),
    ])
    .await;
    let ceremony = latchkey.passkey_request().await;
    assert_eq!(ceremony.options["rpId"], "example.com");
}

#[tokio::test]
async fn a_malformed_body_is_rejected() {
    let latchkey = latchkey().await;
    latchkey
        .post(PATH)
        .body("application/json", "{")
        .send()
        .await
        .is_refused(400, &["request.malformed_body"]);
}
