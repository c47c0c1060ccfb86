//! `POST /resource/passkeys/options`: begins to add a passkey.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

use shared::{
    Error,
    domain::{
        passkey::{CEREMONY_LIFETIME, Passkey},
        user::{User, Withheld},
        webauthn::{Algorithm, CredentialId, RelyingParty},
    },
    http::{Body, Form, Request, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
    store::Signer,
    tokens::ceremony::CeremonyOptions,
};

pub struct CreateOptions {
    pub authenticator: Authenticator,
    pub keys: Signer,
    pub relying_party: RelyingParty,
    /// The name of the application.
    pub app_name: String,
    /// Seconds, see
    /// [`require_recent_authentication`](shared::http::authentication::AuthenticatedSession::require_recent_authentication).
    pub reauthentication_time: i64,
}

#[derive(Serialize)]
struct Output<'a> {
    #[serde(rename = "publicKey")]
    public_key: PublicKey<'a>,
    state: &'a str,
}

/// `PublicKeyCredentialCreationOptionsJSON` (WebAuthn level 3, section 5.1.9).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublicKey<'a> {
    rp: Rp<'a>,
    user: UserEntity<'a>,
    challenge: &'a str,
    pub_key_cred_params: [Parameters; 3],
    /// In milliseconds.
    timeout: i64,
    exclude_credentials: Vec<Descriptor<'a>>,
    authenticator_selection: Selection,
    attestation: &'static str,
    extensions: Extensions,
}

#[derive(Serialize)]
struct Rp<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserEntity<'a> {
    /// The user handle. It is the uid, because it must not identify the person (section 14.6.1).
    id: String,
    name: &'a str,
    display_name: &'a str,
}

#[derive(Serialize)]
struct Parameters {
    r#type: &'static str,
    alg: i64,
}

/// A passkey that the user has. An authenticator that holds it creates no second one.
#[derive(Serialize)]
struct Descriptor<'a> {
    r#type: &'static str,
    id: &'a CredentialId,
    transports: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    resident_key: &'static str,
    /// For clients of level 1, which do not know `residentKey`.
    require_resident_key: bool,
    user_verification: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extensions {
    cred_props: bool,
}

impl CreateOptions {
    /// Returns the options and their signed state. Nothing is stored before the ceremony succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        signed_in.require_recent_authentication(self.reauthentication_time, now)?;
        // There are no parameters, but an invalid body is rejected as everywhere.
        Form::read(request).await?;
        let user = &signed_in.user;
        user.may_add_passkey()?;
        let (passkeys, keys) = tokio::try_join!(
            self.authenticator.store.passkeys(user),
            self.keys.signing_keys(now),
        )?;
        let options = CeremonyOptions::of_registration(user, &keys, now)?;
        let output = Output {
            public_key: self.public_key(user, &passkeys, &options.challenge),
            state: &options.state,
        };
        json(StatusCode::CREATED, &output)
    }

    fn public_key<'a>(
        &'a self,
        user: &'a User<Withheld>,
        passkeys: &'a [Passkey],
        challenge: &'a str,
    ) -> PublicKey<'a> {
        PublicKey {
            rp: Rp {
                id: &self.relying_party.id,
                name: &self.app_name,
            },
            user: UserEntity {
                id: BASE64URL_NOPAD.encode(user.uid.as_str().as_bytes()),
                name: user.email.as_typed(),
                display_name: user.email.as_typed(),
            },
            challenge,
            pub_key_cred_params: Algorithm::ALL.map(|algorithm| Parameters {
                r#type: "public-key",
                alg: algorithm.identifier(),
            }),
            timeout: CEREMONY_LIFETIME * 1000,
            exclude_credentials: passkeys
                .iter()
                .map(|passkey| Descriptor {
                    r#type: "public-key",
                    id: &passkey.id,
                    transports: &passkey.transports,
                })
                .collect(),
            authenticator_selection: Selection {
                resident_key: "required",
                require_resident_key: true,
                user_verification: "required",
            },
            attestation: "none",
            extensions: Extensions { cred_props: true },
        }
    }
}
