//! `POST /resource/passkeys/options`

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use crate::harness::{
    Latchkey, claims, latchkey,
    passkeys::{Authenticator, LIMIT},
};

const PATH: &str = "/resource/passkeys/options";

#[tokio::test]
async fn the_options_require_a_discoverable_credential_and_verification_of_the_user() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("Key-Options").await;
    let answer = latchkey.by(&user, "POST", PATH).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.has_names(&["publicKey", "state"]);
    let body = answer.json();
    let state = claims(body["state"].as_str().unwrap());
    assert_eq!(
        body["publicKey"],
        json!({
            "rp": { "id": "localhost", "name": "Latchkey" },
            "user": {
                "id": BASE64URL_NOPAD.encode(user.uid.as_bytes()),
                "name": user.email,
                "displayName": user.email,
            },
            "challenge": state["jti"],
            "pubKeyCredParams": [
                { "type": "public-key", "alg": -7 },
                { "type": "public-key", "alg": -8 },
                { "type": "public-key", "alg": -257 },
            ],
            "timeout": 300_000,
            "excludeCredentials": [],
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": true,
                "userVerification": "required",
            },
            "attestation": "none",
            "extensions": { "credProps": true },
        })
    );
    assert_eq!(
        state["exp"].as_i64().unwrap() - state["iat"].as_i64().unwrap(),
        300
    );
    assert_eq!(state["uid"], json!(user.uid));
}

#[tokio::test]
async fn the_options_exclude_the_passkeys_of_the_user_and_no_others() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-exclude").await;
    let other = latchkey.confirmed("key-exclude-other").await;
    let mut authenticators = [(); 3].map(|()| latchkey.authenticator());
    let mut ids = Vec::new();
    for authenticator in &mut authenticators[..2] {
        let passkey = latchkey.add_passkey(&user, authenticator).await;
        ids.push(passkey["id"].clone());
    }
    latchkey.add_passkey(&other, &mut authenticators[2]).await;
    let ceremony = latchkey.passkey_creation(&user).await;
    let excluded = ceremony.options["excludeCredentials"].as_array().unwrap();
    assert_eq!(excluded.len(), 2);
    for id in ids {
        let descriptor =
            json!({ "type": "public-key", "id": id, "transports": ["internal", "hybrid"] });
        assert!(excluded.contains(&descriptor), "{excluded:?}");
    }
}

#[tokio::test]
async fn each_ceremony_has_another_challenge_and_stores_nothing() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-states").await;
    let [first, second] = [
        latchkey.passkey_creation(&user).await,
        latchkey.passkey_creation(&user).await,
    ];
    assert_ne!(first.options["challenge"], second.options["challenge"]);
    // Nothing is stored before the ceremony succeeds.
    let stored = latchkey.stored().await;
    assert!(!stored.keys().any(|key| {
        key.contains("CEREMONY#")
            && stored[key]["pk"]
                .as_s()
                .unwrap()
                .ends_with(&hash(&first.options["challenge"]))
    }));
    assert!(latchkey.passkey_items(&user).await.is_empty());
}

fn hash(challenge: &serde_json::Value) -> String {
    shared::platform::random::sha256_hex(challenge.as_str().unwrap())
}

#[tokio::test]
async fn a_user_without_a_confirmed_address_is_refused() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("key-pending").await;
    let request = latchkey.by(&user, "POST", PATH);
    let keys = ["resource.passkey.email_not_confirmed"];
    latchkey.refuses(&user, request, 422, &keys).await;
}

#[tokio::test]
async fn a_user_with_twenty_passkeys_is_refused() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-full").await;
    latchkey.add_passkeys(&user, LIMIT).await;
    let request = latchkey.by(&user, "POST", PATH);
    latchkey
        .refuses(&user, request, 422, &["resource.passkey.limit"])
        .await;
    // One is removed, and another one can be added.
    let id = latchkey.passkeys(&user).await[7]["id"].clone();
    let path = format!("/resource/passkeys/{}", id.as_str().unwrap());
    latchkey
        .by(&user, "DELETE", &path)
        .send()
        .await
        .is_empty(204);
    let ceremony = latchkey.passkey_creation(&user).await;
    let excluded = ceremony.options["excludeCredentials"].as_array().unwrap();
    assert_eq!(excluded.len(), LIMIT - 1);
}

#[tokio::test]
async fn a_recent_authentication_is_required() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-options-old").await;
    latchkey.age_authentication(&user, 901).await;
    let request = latchkey.by(&user, "POST", PATH);
    let keys = ["authz.reauthentication_required"];
    latchkey.refuses(&user, request, 401, &keys).await;
}

#[tokio::test]
async fn the_relying_party_comes_from_the_configuration() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_APP_NAME", "Example"),
        ("IDENTITY_PASSKEY_RP_ID", "example.com"),
        ("IDENTITY_PASSKEY_ORIGINS", "https://login.example.com"),
    ])
    .await;
    let user = latchkey.confirmed("key-rp").await;
    let ceremony = latchkey.passkey_creation(&user).await;
    let rp = json!({ "id": "example.com", "name": "Example" });
    assert_eq!(ceremony.options["rp"], rp);
    // A credential that was created elsewhere is refused, and not by the host of the request.
    for (origin, status) in [
        (latchkey.domain(), 422),
        ("https://login.example.com".to_owned(), 201),
    ] {
        let credential = Authenticator::new(&origin).register(&ceremony.options);
        let answer = latchkey.create_passkey(&user, &ceremony, &credential);
        assert_eq!(answer.send().await.status, status, "{origin}");
    }
}
