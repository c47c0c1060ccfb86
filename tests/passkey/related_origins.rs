//! `GET /.well-known/webauthn`

use serde_json::json;

use crate::harness::{Latchkey, latchkey};

const PATH: &str = "/.well-known/webauthn";

#[tokio::test]
async fn configured_origins_are_listed_and_not_cached() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_PASSKEY_RP_ID", "example.com"),
        (
            "IDENTITY_PASSKEY_ORIGINS",
            "https://example.com,https://example.co.uk:8443",
        ),
    ])
    .await;
    let answer = latchkey.get(PATH).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let origins = ["https://example.com", "https://example.co.uk:8443"];
    assert_eq!(answer.json(), json!({ "origins": origins }));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn nothing_is_found_without_configured_origins() {
    let answer = latchkey().await.get(PATH).send().await;
    answer.is_refused(404, &["record.not_found"]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}
