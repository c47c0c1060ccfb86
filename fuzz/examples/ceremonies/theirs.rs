//! The crate `webauthn_rp`, configured as our verifier is.

use std::num::NonZeroU32;

use authenticator::Key;
use serde_json::Value;
use webauthn_rp::{
    AuthenticatedCredential,
    bin::{Decode, Encode},
    request::{
        AsciiDomain, RpId,
        auth::{
            AuthenticationVerificationOptions, AuthenticatorAttachmentEnforcement,
            DiscoverableAuthenticationServerState, DiscoverableCredentialRequestOptions,
        },
        register::{
            CredProtect, PublicKeyCredentialCreationOptions, PublicKeyCredentialUserEntity,
            RegistrationServerState, RegistrationVerificationOptions, UserHandle,
        },
    },
    response::{
        AuthenticatorAttachment, Backup, CredentialId,
        auth::ser_relaxed::DiscoverableAuthenticationRelaxed16,
        register::{
            AuthenticatorExtensionOutputStaticState, CompressedP256PubKey, CompressedPubKey,
            CredentialProtectionPolicy, DynamicState, Ed25519PubKey, RsaPubKey, StaticState,
            ser_relaxed::RegistrationRelaxed,
        },
    },
};

use crate::case::{CHALLENGE_BYTE, Case, Kind, ORIGINS, RP_ID, USER_HANDLE};

type TheirKey<'a> = CompressedPubKey<&'a [u8], &'a [u8], &'a [u8], &'a [u8]>;

pub struct Theirs {
    rp_id: RpId,
    user_handle: UserHandle<16>,
    registration: Vec<u8>,
    authentication: Vec<u8>,
}

/// A failure of the setup, not of a ceremony.
fn must<T, E>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|_| panic!("{what}"))
}

impl Theirs {
    /// Starts the ceremonies once, and replaces their random challenge.
    pub fn new() -> Self {
        let domain = must(AsciiDomain::try_from(RP_ID.to_owned()), "the RP ID");
        let rp_id = RpId::Domain(domain);
        let user_handle = UserHandle::from(USER_HANDLE);
        let user = PublicKeyCredentialUserEntity::from(&user_handle);
        let mut creation = PublicKeyCredentialCreationOptions::passkey(&rp_id, user, Vec::new());
        creation.timeout = NonZeroU32::MAX;
        creation.extensions.cred_protect = CredProtect::None;
        let (state, _) = must(creation.start_ceremony(), "the creation options");
        let mut registration = must(state.encode(), "the state");
        registration[1..17].fill(CHALLENGE_BYTE);
        let mut request = DiscoverableCredentialRequestOptions::passkey(&rp_id);
        request.0.timeout = NonZeroU32::MAX;
        let (state, _) = must(request.start_ceremony(), "the request options");
        let mut authentication = must(state.encode(), "the state");
        authentication[..16].fill(CHALLENGE_BYTE);
        Self {
            rp_id,
            user_handle,
            registration,
            authentication,
        }
    }

    /// `Err` with the reason if the ceremony is refused.
    pub fn verify(&self, case: &Case<'_>, json: &Value) -> Result<(), String> {
        let text = json.to_string();
        // Version 0.3.0 panics in this case, which it was written to refuse.
        if case.kind == Kind::Authentication && !json["response"]["userHandle"].is_string() {
            return Err("no user handle".to_owned());
        }
        match case.kind {
            Kind::Registration => self.register(&text),
            Kind::Authentication => self.authenticate(case, &text),
        }
    }

    fn register(&self, text: &str) -> Result<(), String> {
        let response: RegistrationRelaxed =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        let state = must(
            RegistrationServerState::<16>::decode(&self.registration),
            "the state",
        );
        let options = RegistrationVerificationOptions::<'_, '_, &str, &str> {
            allowed_origins: &ORIGINS,
            error_on_unsolicited_extensions: false,
            client_data_json_relaxed: true,
            ..RegistrationVerificationOptions::default()
        };
        state
            .verify(&self.rp_id, &response.0, &options)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn authenticate(&self, case: &Case<'_>, text: &str) -> Result<(), String> {
        let response: DiscoverableAuthenticationRelaxed16 =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        let state = must(
            DiscoverableAuthenticationServerState::decode(&self.authentication),
            "the state",
        );
        let options = AuthenticationVerificationOptions::<'_, '_, &str, &str> {
            allowed_origins: &ORIGINS,
            error_on_unsolicited_extensions: false,
            auth_attachment_enforcement: AuthenticatorAttachmentEnforcement::Ignore(false),
            client_data_json_relaxed: true,
            ..AuthenticationVerificationOptions::default()
        };
        let parameters = case.passkey.key.parameters();
        let id = must(CredentialId::try_from(&case.passkey.id[..]), "the id");
        let mut credential = must(
            AuthenticatedCredential::new(
                id,
                &self.user_handle,
                StaticState {
                    credential_public_key: public_key(&case.passkey.key, &parameters),
                    extensions: AuthenticatorExtensionOutputStaticState {
                        cred_protect: CredentialProtectionPolicy::None,
                        hmac_secret: None,
                    },
                },
                DynamicState {
                    user_verified: true,
                    backup: if case.stored_backup_eligible {
                        Backup::Eligible
                    } else {
                        Backup::NotEligible
                    },
                    sign_count: case.stored_sign_count,
                    authenticator_attachment: AuthenticatorAttachment::None,
                },
            ),
            "the credential",
        );
        state
            .verify(&self.rp_id, &response.0, &mut credential, &options)
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

fn public_key<'a>(key: &Key, parameters: &'a [(i64, Vec<u8>)]) -> TheirKey<'a> {
    let bytes = |place: usize, head: usize| &parameters[place].1[head..];
    match key {
        Key::Es256(_) => {
            let is_odd = bytes(4, 2)[31] & 1 == 1;
            let point = CompressedP256PubKey::try_from((bytes(3, 2), is_odd));
            CompressedPubKey::P256(must(point, "the key"))
        }
        Key::EdDsa(_) => {
            CompressedPubKey::Ed25519(must(Ed25519PubKey::try_from(bytes(3, 2)), "the key"))
        }
        Key::Rs256(_) => {
            CompressedPubKey::Rsa(must(RsaPubKey::try_from((bytes(2, 3), 65537)), "the key"))
        }
    }
}
