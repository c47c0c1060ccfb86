//! The one source of randomness.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// When that generator fails, which leaves nothing that could safely be done.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that draws random bytes"
)]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    assert!(
        aws_lc_rs::rand::fill(&mut bytes).is_ok(),
        "the system's random generator failed"
    );
    bytes
}

/// An identifier that nobody can guess: 256 random bits, as 43 characters that are safe in a URL.
#[must_use]
pub fn identifier() -> String {
    BASE64URL_NOPAD.encode(&bytes::<32>())
}

/// SHA-256 as 64 hexadecimal digits: what is stored of a random secret that must be recognised
/// again.
#[must_use]
pub fn sha256_hex(secret: &str) -> String {
    HEXLOWER.encode(digest(&SHA256, secret.as_bytes()).as_ref())
}
