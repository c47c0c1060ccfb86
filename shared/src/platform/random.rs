//! The only source of random bytes.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};

/// `N` bytes from a cryptographically secure generator.
///
/// # Panics
/// If the generator fails. No secret can be generated safely then.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the only source of random bytes")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    assert!(
        aws_lc_rs::rand::fill(&mut bytes).is_ok(),
        "the random number generator failed"
    );
    bytes
}

/// The generator of aws-lc-rs, for signatures. Signing takes one as a parameter and ignores it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the only source of random bytes")]
pub fn generator() -> SystemRandom {
    SystemRandom::new()
}

/// An identifier that cannot be guessed: 32 random bytes as 43 characters of unpadded base64url
/// (RFC 4648, section 5).
#[must_use]
pub fn identifier() -> String {
    BASE64URL_NOPAD.encode(&bytes::<32>())
}

/// The SHA-256 hash of a secret as 64 hexadecimal digits, for storage in place of the secret. Not
/// for passwords, which require a slow hash.
#[must_use]
pub fn sha256_hex(secret: &str) -> String {
    sha256_hex_of(secret.as_bytes())
}

/// As [`sha256_hex`], of bytes.
#[must_use]
pub fn sha256_hex_of(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}
