//! Private keys in PEM, as an operator brings them.

use aws_lc_rs::{
    encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der},
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair},
};
use data_encoding::BASE64;

/// The name of the secret that holds the operator's key.
pub const KEY_NAME: &str = "AccessTokenKey";

type Generate = fn() -> String;

/// The kinds of keys, with their algorithms.
pub const KINDS: [(&str, Generate); 3] = [
    ("RS256", rsa_key),
    ("ES256", p256_key),
    ("EdDSA", ed25519_key),
];

/// A new RSA key of 2048 bits in PKCS#1, as `openssl genrsa -traditional` writes it, and Barong has
/// it.
pub fn rsa_key() -> String {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    // The PKCS#1 form follows the header of PKCS#8.
    pem("RSA PRIVATE KEY", &der.as_ref()[26..])
}

/// A new P-256 key in SEC1, as `openssl ecparam -genkey` writes it.
pub fn p256_key() -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
    pem("EC PRIVATE KEY", der.as_ref())
}

/// A new Ed25519 key in PKCS#8, as `openssl genpkey -algorithm ed25519` writes it.
pub fn ed25519_key() -> String {
    let pair = Ed25519KeyPair::generate().unwrap();
    pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref())
}

fn pem(label: &str, der: &[u8]) -> String {
    let content = BASE64.encode(der);
    let lines: Vec<&str> = content
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
