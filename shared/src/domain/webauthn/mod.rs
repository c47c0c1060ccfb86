//! Verification of WebAuthn level 3 ceremonies by the relying party: registration (section 7.1) and
//! authentication (section 7.2). Step numbers in this module are those of these two sections.
//!
//! Policy: user verification is required, attestation is not evaluated, credentials are not used in
//! iframes of other sites, and algorithms are ES256, `EdDSA` (Ed25519) and RS256.

mod attestation;
mod authenticator_data;
mod cbor;
mod ceremony;
mod client_data;
mod identifiers;
mod public_key;
mod refusal;
mod response;

pub use ceremony::{Authentication, NewCredential, RelyingParty, StoredCredential};
pub use identifiers::{Aaguid, Challenge, CredentialId};
pub use public_key::{Algorithm, PublicKey};
pub use refusal::Refusal;
pub use response::{AuthenticationResponse, RegistrationResponse};

#[cfg(test)]
mod tests;
