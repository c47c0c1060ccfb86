//! A WebAuthn authenticator and client in software, for tests. It shares no code with the verifier.
//!
//! [`Passkey::create`] and [`Passkey::get`] return valid ceremonies, whose parts are public: a test
//! changes one of them before it asks for the response.

#![expect(
    clippy::missing_panics_doc,
    reason = "the keys are constants, and a failure to sign fails the test"
)]

pub mod cbor;
mod ceremony;
mod key;

pub use ceremony::{Authentication, AuthenticatorData, Credential, Passkey, Registration, Site};
pub use key::{Key, cose};

/// The user was present.
pub const UP: u8 = 0x01;
/// The user was verified.
pub const UV: u8 = 0x04;
/// The credential may be backed up.
pub const BE: u8 = 0x08;
/// The credential is backed up.
pub const BS: u8 = 0x10;
/// The authenticator data contains a credential.
pub const AT: u8 = 0x40;
/// The authenticator data contains extensions.
pub const ED: u8 = 0x80;
