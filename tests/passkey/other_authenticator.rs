//! Another authenticator and its client: 1Password's `passkey`, which shares no code with this
//! project

use async_trait::async_trait;
use passkey::{
    authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod},
    client::{Client, DefaultClientData},
    crypto::AvailableBackend,
    types::{
        Passkey,
        ctap2::{Aaguid, Ctap2Error},
        webauthn::{CredentialCreationOptions, CredentialRequestOptions},
    },
};
use reqwest::Url;
use serde_json::json;

use crate::harness::{PASSWORD, User, latchkey};

/// Consents to each ceremony, and passes user verification.
struct Owner;

#[async_trait]
impl UserValidationMethod for Owner {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _hint: UiHint<'a, Passkey>,
        presence: bool,
        verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck {
            presence,
            verification,
        })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

#[tokio::test]
async fn a_passkey_of_another_authenticator_is_added_and_signs_in() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("other-authenticator").await;
    let store: Option<Passkey> = None;
    let authenticator = Authenticator::new(Aaguid::new_empty(), store, Owner, AvailableBackend);
    let mut client = Client::new(authenticator).allows_insecure_localhost(true);
    let origin = Url::parse(&latchkey.domain()).unwrap();

    let ceremony = latchkey.passkey_creation(&user).await;
    let options: CredentialCreationOptions =
        serde_json::from_value(json!({ "publicKey": ceremony.options })).unwrap();
    let created = client
        .register(&origin, options, DefaultClientData)
        .await
        .unwrap();
    let created = serde_json::to_value(created).unwrap();
    let answer = latchkey.create_passkey(&user, &ceremony, &created);
    let answer = answer.send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["id"], created["id"]);

    for _ in 0..2 {
        let ceremony = latchkey.passkey_request().await;
        let options: CredentialRequestOptions =
            serde_json::from_value(json!({ "publicKey": ceremony.options })).unwrap();
        let credential = client
            .authenticate(&origin, options, DefaultClientData)
            .await
            .unwrap();
        let credential = serde_json::to_value(credential).unwrap();
        let answer = latchkey
            .post("/identity/sessions/passkey")
            .json(&ceremony.body(&credential))
            .send()
            .await;
        assert_eq!(User::from_answer(&answer, PASSWORD).uid, user.uid);
    }
}
