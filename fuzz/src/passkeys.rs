//! Fuzz targets for the parsers of passkeys. The JSON around the input is always valid.

use std::sync::LazyLock;

use authenticator::{Authentication, Key, Passkey, Registration, Site};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use shared::domain::webauthn::{
    AuthenticationResponse, Challenge, NewCredential, PublicKey, Refusal, RegistrationResponse,
    RelyingParty,
};

const ORIGIN: &str = "https://example.com";
const CHALLENGE: Challenge = Challenge::from_bytes([0x5a; 32]);

static RELYING_PARTY: LazyLock<RelyingParty> = LazyLock::new(|| RelyingParty {
    id: "example.com".to_owned(),
    origins: vec![ORIGIN.to_owned()],
});
static PASSKEY: LazyLock<Passkey> = LazyLock::new(|| Passkey::new(Key::es256(), b"ID0123456789"));

fn create() -> Registration {
    let challenge = CHALLENGE.encoded();
    PASSKEY.create(site(&challenge))
}

fn get() -> Authentication<'static> {
    let challenge = CHALLENGE.encoded();
    PASSKEY.get(site(&challenge))
}

fn site(challenge: &str) -> Site<'_> {
    Site {
        rp_id: "example.com",
        origin: ORIGIN,
        challenge,
    }
}

/// Authenticates with a credential that is unknown: [`Refusal::Signature`] means that all steps
/// before the signature succeeded.
fn authenticate(json: &Value) -> Refusal {
    match AuthenticationResponse::from_json(json) {
        Ok(response) => RELYING_PARTY.refuse_unknown(&CHALLENGE, &response),
        Err(refusal) => panic!("the JSON is valid: {refusal}"),
    }
}

/// Input: client data, as bytes.
pub fn client_data(input: &[u8]) {
    let mut authentication = get();
    authentication.client_data = input.to_vec();
    match authenticate(&authentication.response_with(b"")) {
        Refusal::Signature => {
            let json = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
            let value: Value =
                serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(value["type"], "webauthn.get");
            assert_eq!(value["challenge"], CHALLENGE.encoded());
            assert_eq!(value["origin"], ORIGIN);
            assert!(value.get("crossOrigin").is_none_or(|value| value == false));
            assert!(value.get("topOrigin").is_none());
        }
        Refusal::ClientData
        | Refusal::Type
        | Refusal::Challenge
        | Refusal::Origin
        | Refusal::CrossOrigin => {}
        refusal => panic!("client data cannot cause this refusal: {refusal}"),
    }
}

/// Input: the authenticator data of an authentication.
pub fn authenticator_data(input: &[u8]) {
    let authentication = get();
    let valid = authentication.authenticator_data.encode();
    let mut json = authentication.response_with(b"");
    json["response"]["authenticatorData"] = BASE64URL_NOPAD.encode(input).into();
    match authenticate(&json) {
        Refusal::Signature => {
            assert_eq!(input[..32], valid[..32]);
            let flags = input[32];
            assert_eq!(flags & 0x45, 0x05);
            assert_ne!(flags & 0x18, 0x10);
            assert_eq!(flags & 0x80 != 0, input.len() > 37);
        }
        Refusal::AuthenticatorData
        | Refusal::RpId
        | Refusal::UserPresence
        | Refusal::UserVerification
        | Refusal::BackupState => {}
        refusal => panic!("authenticator data cannot cause this refusal: {refusal}"),
    }
}

/// Input: an attestation object.
pub fn attestation_object(input: &[u8]) {
    let json = create().response_with(input);
    let response = match RegistrationResponse::from_json(&json) {
        Ok(response) => response,
        Err(refusal) => panic!("the JSON is valid: {refusal}"),
    };
    match RELYING_PARTY.verify_registration(&CHALLENGE, &response) {
        Ok(credential) => assert_credential(input, &credential),
        Err(
            Refusal::AttestationObject
            | Refusal::AuthenticatorData
            | Refusal::RpId
            | Refusal::UserPresence
            | Refusal::UserVerification
            | Refusal::BackupState
            | Refusal::Algorithm
            | Refusal::PublicKey
            | Refusal::CredentialId,
        ) => {}
        Err(refusal) => panic!("an attestation object cannot cause this refusal: {refusal}"),
    }
}

/// The credential is a part of the object, and can be stored and read again.
fn assert_credential(object: &[u8], credential: &NewCredential) {
    let cose = credential.public_key.as_cose();
    let part = [credential.id.as_bytes(), cose].concat();
    assert!(object.windows(part.len()).any(|window| window == part));
    assert_eq!(
        PublicKey::from_cose(cose).as_ref(),
        Ok(&credential.public_key)
    );
    assert!(credential.backup_eligible || !credential.backed_up);
}

/// Input: a `COSE_Key`.
pub fn cose_key(input: &[u8]) {
    match PublicKey::from_cose(input) {
        Ok(key) => {
            assert_eq!(key.as_cose(), input);
            // The bytes of a valid key end with the key.
            assert!(PublicKey::from_cose(&[input, &[0]].concat()).is_err());
        }
        Err(Refusal::PublicKey | Refusal::Algorithm) => {}
        Err(refusal) => panic!("a key cannot cause this refusal: {refusal}"),
    }
}

#[cfg(test)]
mod tests {
    use authenticator::{BE, BS, ED, cbor};

    use super::*;
    use crate::tests::{seed, sow};

    #[test]
    fn client_data_is_fuzzed() {
        sow("client_data", client_data);
    }

    #[test]
    fn authenticator_data_is_fuzzed() {
        sow("authenticator_data", authenticator_data);
    }

    #[test]
    fn attestation_objects_are_fuzzed() {
        sow("attestation_object", attestation_object);
    }

    #[test]
    fn cose_keys_are_fuzzed() {
        sow("cose_key", cose_key);
    }

    /// Without valid inputs, the targets would only test refusals.
    #[test]
    fn the_seeds_include_valid_passkeys() {
        assert_eq!(seed("client_data", "valid"), get().client_data);
        let mut data = get().authenticator_data;
        assert_eq!(seed("authenticator_data", "valid"), data.encode());
        data.flags |= ED | BE | BS;
        data.rest = cbor::map(&[(cbor::text("x"), cbor::integer(1))]);
        assert_eq!(seed("authenticator_data", "extensions"), data.encode());
        let [es256, eddsa, rs256] = Key::all().map(|key| key.cose());
        for (name, key) in [("es256", es256), ("eddsa", eddsa), ("rs256", rs256)] {
            assert_eq!(seed("cose_key", name), key);
            let mut registration = create();
            if let Some(credential) = &mut registration.authenticator_data.credential {
                credential.public_key = key;
            }
            let object = registration.attestation_object();
            assert_eq!(seed("attestation_object", name), object);
        }
    }
}
