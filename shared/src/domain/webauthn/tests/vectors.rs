//! The test vectors of WebAuthn level 3, section 16, apart from the one for ES512, whose challenge
//! does not have 32 bytes.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};

use super::super::{
    AuthenticationResponse, Challenge, PublicKey, Refusal, RegistrationResponse, RelyingParty,
    StoredCredential, attestation, authenticator_data::AuthenticatorData,
};

/// The verdicts on registration and authentication. Most vectors lack user verification in one of
/// them; two are cross-origin, and two have algorithms that are not offered.
const VERDICTS: [(&str, Option<Refusal>, Option<Refusal>); 14] = [
    (
        "ES256 Credential with No Attestation",
        Some(Refusal::UserVerification),
        Some(Refusal::UserVerification),
    ),
    (
        "ES256 Credential with Self Attestation",
        None,
        Some(Refusal::UserVerification),
    ),
    (
        "ES256 Credential with \"crossOrigin\": true in clientDataJSON",
        Some(Refusal::CrossOrigin),
        Some(Refusal::CrossOrigin),
    ),
    (
        "ES256 Credential with \"topOrigin\" in clientDataJSON",
        Some(Refusal::CrossOrigin),
        Some(Refusal::CrossOrigin),
    ),
    (
        "ES256 Credential with very long credential ID",
        Some(Refusal::UserVerification),
        None,
    ),
    ("Packed Attestation with ES256 Credential", None, None),
    (
        "Packed Attestation with ES384 Credential",
        Some(Refusal::UserVerification),
        None,
    ),
    (
        "Packed Attestation with RS256 Credential",
        None,
        Some(Refusal::UserVerification),
    ),
    (
        "Packed Attestation with Ed25519 Credential",
        Some(Refusal::UserVerification),
        Some(Refusal::UserVerification),
    ),
    (
        "Packed Attestation with Ed448 Credential",
        Some(Refusal::UserVerification),
        None,
    ),
    ("TPM Attestation with ES256 Credential", None, None),
    (
        "Android Key Attestation with ES256 Credential",
        None,
        Some(Refusal::UserVerification),
    ),
    (
        "Apple Anonymous Attestation with ES256 Credential",
        Some(Refusal::UserVerification),
        Some(Refusal::UserVerification),
    ),
    (
        "FIDO U2F Attestation with ES256 Credential",
        Some(Refusal::UserVerification),
        Some(Refusal::UserVerification),
    ),
];

fn bytes(vector: &Value, pointer: &str) -> Vec<u8> {
    let hex = vector.pointer(pointer).and_then(Value::as_str).unwrap();
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn text(vector: &Value, pointer: &str) -> String {
    BASE64URL_NOPAD.encode(&bytes(vector, pointer))
}

fn challenge(vector: &Value, pointer: &str) -> Challenge {
    Challenge::from_bytes(bytes(vector, pointer).try_into().unwrap())
}

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn registration(vector: &Value) -> RegistrationResponse {
    let id = text(vector, "/registration/credentialId");
    RegistrationResponse::from_json(&json!({
        "id": id,
        "rawId": id,
        "type": "public-key",
        "response": {
            "clientDataJSON": text(vector, "/registration/clientDataJSON"),
            "attestationObject": text(vector, "/registration/attestationObject"),
        },
    }))
    .unwrap()
}

fn authentication(vector: &Value) -> AuthenticationResponse {
    let id = text(vector, "/registration/credentialId");
    AuthenticationResponse::from_json(&json!({
        "id": id,
        "rawId": id,
        "type": "public-key",
        "response": {
            "clientDataJSON": text(vector, "/authentication/clientDataJSON"),
            "authenticatorData": text(vector, "/authentication/authenticatorData"),
            "signature": text(vector, "/authentication/signature"),
            "userHandle": "dXNlcg",
        },
    }))
    .unwrap()
}

/// The registered key, also of a vector whose registration is refused.
fn public_key(registration: &RegistrationResponse) -> Result<PublicKey, Refusal> {
    let data = attestation::authenticator_data(&registration.attestation_object)?;
    let data = AuthenticatorData::parse(data)?;
    let credential = data.credential.ok_or(Refusal::AuthenticatorData)?;
    PublicKey::from_cose(credential.public_key)
}

fn is_backup_eligible(registration: &RegistrationResponse) -> bool {
    let data = attestation::authenticator_data(&registration.attestation_object).unwrap();
    AuthenticatorData::parse(data).unwrap().is_backup_eligible()
}

#[test]
fn ceremonies_of_the_specification_have_the_expected_verdicts() {
    let relying_party = RelyingParty {
        id: "example.org".to_owned(),
        origins: vec!["https://example.org".to_owned()],
    };
    let vectors = vectors();
    assert_eq!(vectors.len(), VERDICTS.len());
    for (vector, (name, registered, authenticated)) in vectors.iter().zip(VERDICTS) {
        assert_eq!(vector["name"], name);
        let response = registration(vector);
        let verified = relying_party
            .verify_registration(&challenge(vector, "/registration/challenge"), &response);
        assert_eq!(verified.as_ref().err().copied(), registered, "{name}");
        let Ok(public_key) = public_key(&response) else {
            assert_eq!(authenticated, None, "{name}");
            continue;
        };
        let credential = StoredCredential {
            id: &response.id,
            user_handle: b"user",
            public_key: &public_key,
            sign_count: 0,
            backup_eligible: is_backup_eligible(&response),
        };
        let verified = relying_party.verify_authentication(
            &challenge(vector, "/authentication/challenge"),
            &authentication(vector),
            &credential,
        );
        assert_eq!(verified.err(), authenticated, "{name}");
    }
}

#[test]
fn signatures_of_the_specification_are_valid() {
    let mut verified = 0;
    for vector in vectors() {
        let Ok(public_key) = public_key(&registration(&vector)) else {
            continue;
        };
        let response = authentication(&vector);
        let hash = digest(&SHA256, &response.client_data);
        let mut message = [&response.authenticator_data, hash.as_ref()].concat();
        assert_eq!(public_key.verify(&message, &response.signature), Ok(()));
        message[0] ^= 1;
        assert_eq!(
            public_key.verify(&message, &response.signature),
            Err(Refusal::Signature)
        );
        verified += 1;
    }
    assert_eq!(verified, 12);
}
