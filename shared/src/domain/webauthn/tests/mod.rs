//! Tests with the software authenticator. Each breaks one step of a valid ceremony, and expects the
//! refusal of that step.

mod authentication;
mod cbor;
mod client_data;
mod identifiers;
mod public_key;
mod registration;
mod response;
mod vectors;

use authenticator::{Authentication, Key, Passkey, Registration, Site};

use super::{
    Algorithm, AuthenticationResponse, Challenge, CredentialId, NewCredential, PublicKey, Refusal,
    RegistrationResponse, RelyingParty, StoredCredential,
};

const RP_ID: &str = "example.com";
const ORIGIN: &str = "https://accounts.example.com";
const OTHER_ORIGIN: &str = "https://example.com:8443";
const USER_HANDLE: &[u8] = b"ID0123456789";
const CHALLENGE: Challenge = Challenge::from_bytes([0x5a; 32]);

fn relying_party() -> RelyingParty {
    RelyingParty {
        id: RP_ID.to_owned(),
        origins: vec![ORIGIN.to_owned(), OTHER_ORIGIN.to_owned()],
    }
}

fn passkey(key: Key) -> Passkey {
    Passkey::new(key, USER_HANDLE)
}

/// A valid registration.
fn create(passkey: &Passkey) -> Registration {
    passkey.create(Site {
        rp_id: RP_ID,
        origin: ORIGIN,
        challenge: &CHALLENGE.encoded(),
    })
}

/// A valid authentication.
fn get(passkey: &Passkey) -> Authentication<'_> {
    passkey.get(Site {
        rp_id: RP_ID,
        origin: ORIGIN,
        challenge: &CHALLENGE.encoded(),
    })
}

fn register(registration: &Registration) -> Result<NewCredential, Refusal> {
    let response = RegistrationResponse::from_json(&registration.response())?;
    relying_party().verify_registration(&CHALLENGE, &response)
}

/// A registration with ES256, changed before it is signed.
fn register_with(change: impl FnOnce(&mut Registration)) -> Result<NewCredential, Refusal> {
    let mut registration = create(&passkey(Key::es256()));
    change(&mut registration);
    register(&registration)
}

/// Replaces a part of client data.
fn replace(client_data: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(client_data.clone()).unwrap();
    assert!(text.contains(from));
    *client_data = text.replace(from, to).into_bytes();
}
