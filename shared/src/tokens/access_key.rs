//! Key pairs of access tokens: derived from the token secret, or an operator's private key in PEM
//! (RFC 7468).

use std::fmt;

use aws_lc_rs::{
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    BoxError,
    platform::random,
    tokens::signed_token::{key_pair, public_key_id},
};

/// Minimum length of the modulus of an RSA key, in bytes (RFC 7518, section 3.3).
const MIN_RSA_BYTES: usize = 256;

/// The HKDF label of the derived key.
const DERIVED: &[u8] = b"ed25519 access token key";

/// The bytes of a coordinate of P-256.
const P256_BYTES: usize = 32;

/// A key pair that signs access tokens. Its kind determines the algorithm.
pub struct AccessKey {
    pair: Pair,
    jwk: Jwk,
    public_key: Vec<u8>,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A public key (RFC 7517; RFC 7518, section 6; RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Jwk {
    #[serde(flatten)]
    parameters: Parameters,
    kid: String,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
}

/// The parameters of a public key by its kind, in base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kty")]
enum Parameters {
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
    #[serde(rename = "EC")]
    P256 {
        crv: &'static str,
        x: String,
        y: String,
    },
    #[serde(rename = "OKP")]
    Ed25519 { crv: &'static str, x: String },
}

#[derive(Serialize)]
struct Header<'a> {
    typ: &'static str,
    alg: &'static str,
    kid: &'a str,
}

/// The reason for which a text contains no usable private key. It quotes nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusableKey {
    /// The text is not PEM, or contains no private key.
    NoPem,
    /// A passphrase protects the key.
    Encrypted,
    /// The key is damaged, of another kind or too short.
    Unsupported,
}

impl fmt::Display for UnusableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPem => "it contains no private key in PEM",
            Self::Encrypted => "the private key is encrypted; store it without a passphrase",
            Self::Unsupported => {
                "the private key is neither an RSA key of 2048 to 8192 bits nor a P-256 key nor an \
                 Ed25519 key"
            }
        })
    }
}

impl AccessKey {
    /// Derives the Ed25519 key of a stack without an operator's key from the token secret. No other
    /// key of the stack is derived with its label, so it verifies no token of another kind.
    pub fn derive(secret: &str) -> Result<Self, BoxError> {
        Ok(Self::of_ed25519(key_pair(secret, DERIVED)?))
    }

    /// Reads a private key in PEM: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) or SEC1 (RFC 5915).
    pub fn from_pem(text: &str) -> Result<Self, UnusableKey> {
        let (label, der) = private_key(text)?;
        let key = match label {
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der)
                .map(Self::of_rsa)
                .or_else(|_| {
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
                        .map(Self::of_p256)
                })
                .or_else(|_| {
                    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
                        .map(|pair| Some(Self::of_ed25519(pair)))
                }),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).map(Self::of_rsa),
            "EC PRIVATE KEY" => {
                EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
                    .map(Self::of_p256)
            }
            "ENCRYPTED PRIVATE KEY" => return Err(UnusableKey::Encrypted),
            _ => return Err(UnusableKey::Unsupported),
        };
        key.ok().flatten().ok_or(UnusableKey::Unsupported)
    }

    /// The claims as a signed JWT in compact form (RFC 7515, section 3.1).
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, BoxError> {
        let header = Header {
            typ: "JWT",
            alg: self.jwk.alg,
            kid: &self.jwk.kid,
        };
        let header = BASE64URL_NOPAD.encode(&serde_json::to_vec(&header)?);
        let claims = BASE64URL_NOPAD.encode(&serde_json::to_vec(claims)?);
        let message = format!("{header}.{claims}");
        let signature = BASE64URL_NOPAD.encode(&self.pair.sign(message.as_bytes())?);
        Ok(format!("{message}.{signature}"))
    }

    /// The key id: it follows from the public key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.jwk.kid
    }

    /// The public key, in the encoding that is usual for its kind.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The public key, for services that verify tokens.
    #[must_use]
    pub const fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// `None` if the key is too short.
    fn of_rsa(pair: RsaKeyPair) -> Option<Self> {
        if pair.public_modulus_len() < MIN_RSA_BYTES {
            return None;
        }
        let components = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let parameters = Parameters::Rsa {
            n: BASE64URL_NOPAD.encode(&components.n),
            e: BASE64URL_NOPAD.encode(&components.e),
        };
        let public_key = pair.public_key().as_ref().to_vec();
        Some(Self::new(Pair::Rsa(pair), public_key, "RS256", parameters))
    }

    /// `None` if the public key has no coordinates.
    fn of_p256(pair: EcdsaKeyPair) -> Option<Self> {
        let public_key = pair.public_key().as_ref().to_vec();
        // SEC 1, section 2.3.3: 4, then both coordinates.
        let (x, y) = public_key.get(1..)?.split_at_checked(P256_BYTES)?;
        let parameters = Parameters::P256 {
            crv: "P-256",
            x: BASE64URL_NOPAD.encode(x),
            y: BASE64URL_NOPAD.encode(y),
        };
        Some(Self::new(Pair::P256(pair), public_key, "ES256", parameters))
    }

    fn of_ed25519(pair: Ed25519KeyPair) -> Self {
        let public_key = pair.public_key().as_ref().to_vec();
        let parameters = Parameters::Ed25519 {
            crv: "Ed25519",
            x: BASE64URL_NOPAD.encode(&public_key),
        };
        Self::new(Pair::Ed25519(pair), public_key, "EdDSA", parameters)
    }

    fn new(pair: Pair, public_key: Vec<u8>, alg: &'static str, parameters: Parameters) -> Self {
        let jwk = Jwk {
            parameters,
            kid: public_key_id(&public_key),
            usage: "sig",
            alg,
        };
        Self {
            pair,
            jwk,
            public_key,
        }
    }
}

impl Pair {
    /// The signature as JWS has it (RFC 7518, sections 3.3 and 3.4; RFC 8037, section 3.1).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        let failed = |_| "the access token could not be signed";
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &random::generator(),
                    message,
                    &mut signature,
                )
                .map_err(failed)?;
                Ok(signature)
            }
            Self::P256(pair) => {
                let signature = pair.sign(&random::generator(), message).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// The label and the bytes of the first private key in PEM. Other blocks before it, such as
/// `EC PARAMETERS`, are ignored.
fn private_key(text: &str) -> Result<(&str, Zeroizing<Vec<u8>>), UnusableKey> {
    let mut blocks = text.split("-----BEGIN ").skip(1);
    let block = blocks.find_map(|block| {
        let (label, rest) = block.split_once("-----")?;
        label.ends_with("PRIVATE KEY").then_some((label, rest))
    });
    let (label, rest) = block.ok_or(UnusableKey::NoPem)?;
    let (content, _) = rest
        .split_once(&format!("-----END {label}-----"))
        .ok_or(UnusableKey::NoPem)?;
    // OpenSSL's older form of encryption adds headers (RFC 1421).
    if content.contains("Proc-Type:") {
        return Err(UnusableKey::Encrypted);
    }
    let encoded: Zeroizing<Vec<u8>> = Zeroizing::new(
        content
            .bytes()
            .filter(|b| !b.is_ascii_whitespace())
            .collect(),
    );
    let der = BASE64.decode(&encoded).map_err(|_| UnusableKey::NoPem)?;
    Ok((label, Zeroizing::new(der)))
}

#[cfg(test)]
mod tests;
