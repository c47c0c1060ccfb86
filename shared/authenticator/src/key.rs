//! Keys of credentials. Most are constants, so that tests are fast.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RsaKeyPair,
    },
};

use crate::cbor;

/// A key pair of one of the algorithms.
#[derive(Debug)]
pub enum Key {
    /// ECDSA with P-256 and SHA-256.
    Es256(EcdsaKeyPair),
    /// `EdDSA` with Ed25519.
    EdDsa(Ed25519KeyPair),
    /// RSASSA-PKCS1-v1_5 with SHA-256 and 2048 bits.
    Rs256(RsaKeyPair),
}

impl Key {
    /// The key for ES256.
    #[must_use]
    pub fn es256() -> Self {
        let pkcs8 = include_bytes!("keys/es256.pk8");
        match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8) {
            Ok(pair) => Self::Es256(pair),
            Err(error) => panic!("{error}"),
        }
    }

    /// Another key for ES256 each time.
    #[must_use]
    pub fn generate() -> Self {
        match EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING) {
            Ok(pair) => Self::Es256(pair),
            Err(error) => panic!("{error}"),
        }
    }

    /// The key for `EdDSA`.
    #[must_use]
    pub fn eddsa() -> Self {
        match Ed25519KeyPair::from_seed_unchecked(&[7; 32]) {
            Ok(pair) => Self::EdDsa(pair),
            Err(error) => panic!("{error}"),
        }
    }

    /// The key for RS256.
    #[must_use]
    pub fn rs256() -> Self {
        match RsaKeyPair::from_pkcs8(include_bytes!("keys/rs256.pk8")) {
            Ok(pair) => Self::Rs256(pair),
            Err(error) => panic!("{error}"),
        }
    }

    /// One key of each algorithm.
    #[must_use]
    pub fn all() -> [Self; 3] {
        [Self::es256(), Self::eddsa(), Self::rs256()]
    }

    /// The parameters of the public key as a `COSE_Key`: labels with their encoded values, in
    /// canonical order.
    #[must_use]
    pub fn parameters(&self) -> Vec<(i64, Vec<u8>)> {
        let integer = cbor::integer;
        match self {
            Self::Es256(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(32);
                vec![
                    (1, integer(2)),
                    (3, integer(-7)),
                    (-1, integer(1)),
                    (-2, cbor::bytes(x)),
                    (-3, cbor::bytes(y)),
                ]
            }
            Self::EdDsa(pair) => vec![
                (1, integer(1)),
                (3, integer(-8)),
                (-1, integer(6)),
                (-2, cbor::bytes(pair.public_key().as_ref())),
            ],
            Self::Rs256(pair) => {
                // RFC 8017, section A.1.1: a sequence of two integers, n and e = 65537. Their
                // lengths are known, and n is preceded by a zero byte.
                let der = pair.public_key().as_ref();
                let n = &der[9..265];
                let e = &der[267..];
                vec![
                    (1, integer(3)),
                    (3, integer(-257)),
                    (-1, cbor::bytes(n)),
                    (-2, cbor::bytes(e)),
                ]
            }
        }
    }

    /// The public key as a `COSE_Key`.
    #[must_use]
    pub fn cose(&self) -> Vec<u8> {
        cose(&self.parameters())
    }

    /// Signs a message.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "signing takes a generator and ignores it"
    )]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let signed = match self {
            Self::Es256(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec()),
            Self::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
        };
        signed.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A `COSE_Key` with these parameters.
#[must_use]
pub fn cose(parameters: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<_> = parameters
        .iter()
        .map(|(label, value)| (cbor::integer(*label), value.clone()))
        .collect();
    cbor::map(&entries)
}
