//! Our verifier.

use serde_json::Value;
use shared::domain::webauthn::{
    AuthenticationResponse, Challenge, CredentialId, PublicKey, Refusal, RegistrationResponse,
    RelyingParty, StoredCredential,
};

use crate::case::{CHALLENGE_BYTE, Case, Kind, ORIGINS, RP_ID, USER_HANDLE};

/// `Err` if the ceremony is refused.
pub fn verify(case: &Case<'_>, json: &Value) -> Result<(), Refusal> {
    let relying_party = RelyingParty {
        id: RP_ID.to_owned(),
        origins: ORIGINS.map(str::to_owned).to_vec(),
    };
    let challenge = Challenge::from_bytes([CHALLENGE_BYTE; 32]);
    match case.kind {
        Kind::Registration => {
            let response = RegistrationResponse::from_json(json)?;
            relying_party
                .verify_registration(&challenge, &response)
                .map(drop)
        }
        Kind::Authentication => {
            let response = AuthenticationResponse::from_json(json)?;
            let id = data_encoding::BASE64URL_NOPAD.encode(&case.passkey.id);
            let credential = StoredCredential {
                id: &CredentialId::parse(&id)?,
                user_handle: &USER_HANDLE,
                public_key: &PublicKey::from_cose(&case.passkey.key.cose())?,
                sign_count: case.stored_sign_count,
                backup_eligible: case.stored_backup_eligible,
            };
            relying_party
                .verify_authentication(&challenge, &response, &credential)
                .map(drop)
        }
    }
}
