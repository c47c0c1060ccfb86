//! The known differences, each with the property of the response that causes it.
//!
//! The other implementation accepts only what authenticators and browsers produce today, byte for
//! byte. We accept what the specification allows, apart from the four cases in [`WE_REFUSE`].

use ed25519_dalek::VerifyingKey;
use serde_json::Value;

use crate::case::{Case, Kind, Verifier};

type Property = (&'static str, fn(&Response) -> bool);

/// What only we accept.
const WE_ACCEPT: [Property; 7] = [
    // Section 6.1: reserved for future use. A relying party that refuses them breaks then.
    ("reserved flags", |it| {
        it.flags().is_some_and(|flags| flags & 0x22 != 0)
    }),
    // Sections 7.1-28 and 7.2-23: a relying party may ignore extensions that it did not request. The
    // other implementation knows three, and checks their combinations.
    ("extensions", |it| {
        it.flags().is_some_and(|flags| flags & 0x80 != 0)
    }),
    // Attestation is not requested, so that statements are not evaluated, whatever their format. The
    // members may have any order, and lengths need not be in the shortest form.
    ("form of the attestation object", |it| {
        it.object
            .as_ref()
            .is_some_and(|object| !has_usual_form(object))
    }),
    // The parameters of a key may have any order, and integers need not be in the shortest form.
    ("form of the key", |it| {
        it.key()
            .is_some_and(|key| !USUAL_KEYS.iter().any(|usual| key.starts_with(usual)))
    }),
    // The specification recommends 16 bytes to authenticators, but has no lower limit.
    ("credential id of less than 16 bytes", |it| {
        it.json["id"].as_str().is_some_and(|id| id.len() < 22)
    }),
    // A point whose y coordinate has no x. No signature of such a key is valid, so that only the
    // client that registers it is affected.
    ("Ed25519 point that does not exist", |it| {
        it.ed25519()
            .is_some_and(|point| VerifyingKey::from_bytes(&point).is_err())
    }),
    // The member repeats a part of the attestation object, and is ignored.
    ("authenticatorData in a registration", |it| {
        it.object.is_some() && it.json["response"].get("authenticatorData").is_some()
    }),
];

/// What only we refuse.
const WE_REFUSE: [Property; 4] = [
    // The other implementation reads texts as bytes, with replacement characters.
    ("client data that is not JSON in UTF-8", |it| {
        it.client_data().is_none()
    }),
    // Browsers write `crossOrigin` as a boolean, and `topOrigin` only as text.
    ("null in client data", |it| {
        it.client_data().is_some_and(|members| {
            let is_null = |name| members.get(name).is_some_and(Value::is_null);
            is_null("crossOrigin") || is_null("topOrigin")
        })
    }),
    // Signatures of a key of low order are valid for many messages, and a point that is not
    // canonical gives a key two spellings.
    ("Ed25519 point of low order or not canonical", |it| {
        it.ed25519().is_some_and(|point| {
            VerifyingKey::from_bytes(&point)
                .is_ok_and(|key| key.is_weak() || key.to_edwards().compress().0 != point)
        })
    }),
    // The time of a verification grows with the square of the length, so 4096 bits are our limit. The
    // other implementation counts bytes, so that 2047 bits are enough. An even number is not the
    // product of two primes.
    (
        "RSA modulus of more than 4096 bits, of 2047 or less, or even",
        |it| {
            it.rsa_modulus().is_some_and(|modulus| {
                let is_short = modulus.len() == 256 && modulus[0] < 0x80;
                is_short || modulus.len() > 512 || modulus.last().is_some_and(|byte| byte & 1 == 0)
            })
        },
    ),
];

/// The usual start of an ES256, an `EdDSA` and an RS256 key.
const USUAL_KEYS: [&[u8]; 3] = [
    &[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32],
    &[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32],
    &[0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59],
];

/// The names of all differences.
pub fn names() -> impl Iterator<Item = &'static str> {
    WE_ACCEPT.iter().chain(&WE_REFUSE).map(|(name, _)| *name)
}

/// The name of the known difference that explains why only one implementation accepts the case.
pub fn known(case: &Case<'_>, we_accept: bool) -> Option<&'static str> {
    let response = Response::of(case);
    let properties: &[Property] = if we_accept { &WE_ACCEPT } else { &WE_REFUSE };
    properties
        .iter()
        .find(|(_, holds)| holds(&response))
        .map(|(name, _)| *name)
}

/// The parts of a response, as far as they can be found.
struct Response {
    json: Value,
    object: Option<Vec<u8>>,
    data: Vec<u8>,
}

impl Response {
    fn of(case: &Case<'_>) -> Self {
        let json = case.response(Verifier::Theirs);
        let (object, data) = match case.kind {
            Kind::Registration => {
                let object = decoded(&json, "attestationObject");
                let data = data_in(&object).unwrap_or_default().to_vec();
                (Some(object), data)
            }
            Kind::Authentication => (None, decoded(&json, "authenticatorData")),
        };
        Self { json, object, data }
    }

    fn flags(&self) -> Option<u8> {
        self.data.get(32).copied()
    }

    /// The key in the authenticator data, with what follows.
    fn key(&self) -> Option<&[u8]> {
        let (&length, rest) = self.data.get(53..)?.split_first_chunk()?;
        self.object.as_ref()?;
        rest.get(usize::from(u16::from_be_bytes(length))..)
    }

    fn ed25519(&self) -> Option<[u8; 32]> {
        let point = self.key()?.strip_prefix(USUAL_KEYS[1])?;
        point.first_chunk().copied()
    }

    fn rsa_modulus(&self) -> Option<&[u8]> {
        let (&length, rest) = self
            .key()?
            .strip_prefix(USUAL_KEYS[2])?
            .split_first_chunk()?;
        rest.get(..usize::from(u16::from_be_bytes(length)))
    }

    fn client_data(&self) -> Option<Value> {
        let bytes = decoded(&self.json, "clientDataJSON");
        let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        serde_json::from_slice(json).ok()
    }
}

fn decoded(json: &Value, name: &str) -> Vec<u8> {
    let text = json["response"][name].as_str().unwrap_or_default();
    data_encoding::BASE64URL_NOPAD
        .decode(text.as_bytes())
        .unwrap_or_default()
}

/// The authenticator data in an attestation object.
fn data_in(object: &[u8]) -> Option<&[u8]> {
    let name = b"hauthData";
    let place = object
        .windows(name.len())
        .position(|window| window == name)?;
    let rest = &object[place + name.len()..];
    match *rest {
        [0x58, _, ref data @ ..] | [0x59, _, _, ref data @ ..] => Some(data),
        _ => None,
    }
}

/// Whether an object has the format `none`, an empty statement, and its members in the usual order.
fn has_usual_form(object: &[u8]) -> bool {
    object
        .strip_prefix(b"\xa3cfmtdnonegattStmt\xa0hauthData")
        .is_some_and(|rest| match *rest {
            [0x58, length, ..] => length >= 24,
            [0x59, length, ..] => length > 0,
            _ => false,
        })
}
