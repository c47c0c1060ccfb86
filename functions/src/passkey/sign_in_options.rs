//! `POST /identity/sessions/passkey/options`: begins a sign-in or a re-authentication with a
//! passkey.

use serde::Serialize;

use shared::{
    Error,
    domain::{passkey::CEREMONY_LIFETIME, rate_limit::Limits, webauthn::RelyingParty},
    http::{Body, Form, Request, Response, StatusCode, client, json},
    platform::clock::Timestamp,
    store::{Signer, Store},
    tokens::ceremony::CeremonyOptions,
};

pub struct SignInOptions {
    pub store: Store,
    pub keys: Signer,
    pub limits: Limits,
    pub relying_party: RelyingParty,
}

#[derive(Serialize)]
struct Output<'a> {
    #[serde(rename = "publicKey")]
    public_key: PublicKey<'a>,
    state: &'a str,
}

/// `PublicKeyCredentialRequestOptionsJSON` (WebAuthn level 3, section 5.1.10).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublicKey<'a> {
    challenge: &'a str,
    rp_id: &'a str,
    /// In milliseconds.
    timeout: i64,
    user_verification: &'static str,
    /// Empty: the user chooses among the passkeys on the device.
    allow_credentials: [(); 0],
}

impl SignInOptions {
    /// Returns the options and their signed state. Nothing is stored before the ceremony succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let network = client(&request).network();
        Form::read(request).await?;
        self.store
            .count_request(&network, &self.limits, now)
            .await?;
        let keys = self.keys.signing_keys(now).await?;
        let options = CeremonyOptions::of_sign_in(&keys, now)?;
        let output = Output {
            public_key: PublicKey {
                challenge: &options.challenge,
                rp_id: &self.relying_party.id,
                timeout: CEREMONY_LIFETIME * 1000,
                user_verification: "required",
                allow_credentials: [],
            },
            state: &options.state,
        };
        json(StatusCode::CREATED, &output)
    }
}
