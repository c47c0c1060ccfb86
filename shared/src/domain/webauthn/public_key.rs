//! Public keys in the format `COSE_Key` (RFC 9052, RFC 9053, RFC 8230; WebAuthn section 5.8.5).

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use cbor4ii::core::major;

use super::{
    Refusal,
    cbor::{Decoder, Invalid},
};

const KEY_TYPE: i64 = 1;
const ALGORITHM: i64 = 3;
const KEY_TYPE_OKP: Value<'_> = Value::Integer(1);
const KEY_TYPE_EC2: Value<'_> = Value::Integer(2);
const KEY_TYPE_RSA: Value<'_> = Value::Integer(3);
const CURVE_P256: Value<'_> = Value::Integer(1);
const CURVE_ED25519: Value<'_> = Value::Integer(6);

/// The bits of an RSA modulus.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// The longest RSA exponent, in bytes. 65537 is usual, and longer ones make verification slow.
const LONGEST_EXPONENT: usize = 4;

/// The algorithms that credentials may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// `EdDSA` with Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256, for Windows Hello on older TPMs.
    Rs256,
}

impl Algorithm {
    /// All algorithms, the preferred one first, for `pubKeyCredParams`.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// The identifier in the registry "COSE Algorithms" of IANA.
    #[must_use]
    pub const fn identifier(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::EdDsa => -8,
            Self::Rs256 => -257,
        }
    }

    fn of(identifier: i64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.identifier() == identifier)
    }
}

/// A valid public key of a credential. It is stored as the `COSE_Key` that the authenticator sent.
#[derive(Clone)]
pub struct PublicKey {
    cose: Vec<u8>,
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
}

impl PublicKey {
    /// Parses and validates a `COSE_Key`.
    ///
    /// The key has exactly the parameters of its type, in any order (section 6.5.1.1 forbids
    /// others). An elliptic curve point must be on the curve; compressed points are refused. Ed25519
    /// points must be canonical and not of low order. RSA keys have 2048 to 4096 bits.
    pub fn from_cose(bytes: &[u8]) -> Result<Self, Refusal> {
        let parameters = Parameters::parse(bytes).map_err(|Invalid| Refusal::PublicKey)?;
        let Some(Value::Integer(identifier)) = parameters.algorithm else {
            return Err(Refusal::PublicKey);
        };
        let algorithm = Algorithm::of(identifier).ok_or(Refusal::Algorithm)?;
        let parsed = match algorithm {
            Algorithm::Es256 => parameters.es256(),
            Algorithm::EdDsa => parameters.ed25519(),
            Algorithm::Rs256 => parameters.rs256(),
        };
        Ok(Self {
            cose: bytes.to_vec(),
            algorithm,
            parsed: parsed.ok_or(Refusal::PublicKey)?,
        })
    }

    /// The `COSE_Key`, for storage.
    #[must_use]
    pub fn as_cose(&self) -> &[u8] {
        &self.cose
    }

    /// The algorithm of the key.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Verifies a signature (section 6.5.5): DER for ES256, raw bytes for the others.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        self.parsed
            .verify_sig(message, signature)
            .map_err(|_| Refusal::Signature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.cose == other.cose
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?}, ..)", self.algorithm)
    }
}

/// The value of a parameter.
#[derive(Clone, Copy, PartialEq)]
enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
}

/// The parameters of a key by their labels: 1, 3, -1, -2 and -3. The meaning of the negative labels
/// depends on the key type.
#[derive(Default)]
struct Parameters<'a> {
    key_type: Option<Value<'a>>,
    algorithm: Option<Value<'a>>,
    first: Option<Value<'a>>,
    second: Option<Value<'a>>,
    third: Option<Value<'a>>,
}

impl<'a> Parameters<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Invalid> {
        let mut decoder = Decoder::new(bytes);
        let mut parameters = Self::default();
        for _ in 0..decoder.map()? {
            let parameter = match decoder.integer()? {
                KEY_TYPE => &mut parameters.key_type,
                ALGORITHM => &mut parameters.algorithm,
                -1 => &mut parameters.first,
                -2 => &mut parameters.second,
                -3 => &mut parameters.third,
                _ => return Err(Invalid),
            };
            let value = match decoder.major()? {
                major::BYTES => Value::Bytes(decoder.bytes()?),
                _ => Value::Integer(decoder.integer()?),
            };
            if parameter.replace(value).is_some() {
                return Err(Invalid);
            }
        }
        decoder.finish()?;
        Ok(parameters)
    }

    /// Key type EC2 with curve, x and y (RFC 9053, section 7.1.1). The library refuses points that
    /// are not on the curve.
    fn es256(&self) -> Option<ParsedPublicKey> {
        let (KEY_TYPE_EC2, CURVE_P256, Value::Bytes(x), Value::Bytes(y)) =
            (self.key_type?, self.first?, self.second?, self.third?)
        else {
            return None;
        };
        if x.len() != 32 || y.len() != 32 {
            return None;
        }
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, [&[0x04], x, y].concat()).ok()
    }

    /// Key type OKP with curve and x (RFC 9053, section 7.2).
    fn ed25519(&self) -> Option<ParsedPublicKey> {
        let (KEY_TYPE_OKP, CURVE_ED25519, Value::Bytes(x), None) =
            (self.key_type?, self.first?, self.second?, self.third)
        else {
            return None;
        };
        let point = x.try_into().ok()?;
        if !is_canonical(point) || is_of_low_order(point) {
            return None;
        }
        ParsedPublicKey::new(&ED25519, point).ok()
    }

    /// Key type RSA with modulus and exponent (RFC 8230, section 4).
    fn rs256(&self) -> Option<ParsedPublicKey> {
        let (KEY_TYPE_RSA, Value::Bytes(n), Value::Bytes(e), None) =
            (self.key_type?, self.first?, self.second?, self.third)
        else {
            return None;
        };
        let bits = 8 * n.len() - usize::try_from(n.first()?.leading_zeros()).ok()?;
        let has_exponent =
            *e.first()? != 0 && e.len() <= LONGEST_EXPONENT && e.last()? & 1 == 1 && e != [1];
        if n[0] == 0 || !MODULUS_BITS.contains(&bits) || n.last()? & 1 == 0 || !has_exponent {
            return None;
        }
        RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .ok()
    }
}

/// The y coordinate of an encoded Ed25519 point, in little-endian order.
fn y_coordinate(point: &[u8; 32]) -> [u8; 32] {
    let mut y = *point;
    y[31] &= 0x7f;
    y
}

/// Whether the y coordinate is less than 2^255 - 19 (RFC 8032, section 5.1.3).
fn is_canonical(point: &[u8; 32]) -> bool {
    let y = y_coordinate(point);
    !(y[0] >= 0xed && y[1..31].iter().all(|&byte| byte == 0xff) && y[31] == 0x7f)
}

/// Whether the order of the point divides 8. Signatures of such a key verify for many messages.
fn is_of_low_order(point: &[u8; 32]) -> bool {
    LOW_ORDER.contains(&y_coordinate(point))
}

/// The y coordinates of the eight points whose order divides 8: 0 (order 4), 1 (order 1),
/// -1 (order 2) and the two of order 8.
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    little_endian(1, 0, 0),
    little_endian(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// A number of which all bytes are equal, apart from the first and the last.
const fn little_endian(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}
