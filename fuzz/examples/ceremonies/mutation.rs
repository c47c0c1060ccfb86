//! Mutations of client data, authenticator data, signatures and the JSON. Those of keys and
//! attestation objects are in `encoding`.

use authenticator::{AT, BE, BS, Credential, ED, UP, UV, cbor};
use serde_json::json;

use crate::{
    case::{Case, JsonEdit, Kind, SignatureEdit, TextEdit},
    encoding,
    random::Random,
};

type Mutation = (&'static str, fn(&mut Case<'_>, &mut Random));

/// Mutations of either ceremony.
const BOTH: [Mutation; 18] = [
    ("type", ceremony_type),
    ("challenge", challenge),
    ("origin", origin),
    ("crossOrigin", cross_origin),
    ("topOrigin", top_origin),
    ("member of client data", member),
    ("member twice", member_twice),
    ("form of client data", form),
    ("byte of client data", |case, random| {
        random.damage(&mut case.client_data);
    }),
    ("RP ID hash", rp_id_hash),
    ("flags", flags),
    ("signature counter", sign_count),
    ("rest of authenticator data", rest),
    ("byte of authenticator data", byte_of_data),
    ("id", id),
    ("JSON member", json_member),
    ("JSON type", json_type),
    ("base64", base64),
];

const REGISTRATION: [Mutation; 6] = [
    ("parameters of the key", encoding::parameters),
    ("value in the key", encoding::value),
    ("special key", encoding::special_key),
    ("byte of the key", encoding::byte_of_key),
    ("attestation object", encoding::object),
    ("byte of the attestation object", encoding::byte_of_object),
];

const AUTHENTICATION: [Mutation; 4] = [
    ("signature", signature),
    ("signature", signature),
    ("user handle", user_handle),
    ("stored credential", stored),
];

/// Applies none, one or some mutations.
pub fn mutate(case: &mut Case<'_>, random: &mut Random) {
    let count = random.choose(&[0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3]);
    let own: &[Mutation] = match case.kind {
        Kind::Registration => &REGISTRATION,
        Kind::Authentication => &AUTHENTICATION,
    };
    for _ in 0..count {
        let list = if random.below(3) == 0 { own } else { &BOTH };
        let (name, mutation) = random.choose(list);
        case.mutations.push(name);
        mutation(case, random);
    }
}

fn replace(case: &mut Case<'_>, from: &str, to: &str) {
    let text = String::from_utf8_lossy(&case.client_data).replacen(from, to, 1);
    case.client_data = text.into_bytes();
}

fn ceremony_type(case: &mut Case<'_>, random: &mut Random) {
    let types = [
        "webauthn.get",
        "webauthn.create",
        "payment.get",
        "webauthn.Get",
        "webauthn.create ",
        "",
    ];
    let (from, to) = (random.choose(&types[..2]), random.choose(&types));
    replace(case, from, to);
}

fn challenge(case: &mut Case<'_>, random: &mut Random) {
    let changed = [
        "Wg\"", "Wh\"", "Wg==\"", "WgA\"", "Wg \"", "\"", "W/\"", "a\"",
    ];
    replace(case, "Wg\"", random.choose(&changed));
}

fn origin(case: &mut Case<'_>, random: &mut Random) {
    let origins = [
        "https://login.example.com:8443",
        "https://login.example.com",
        "https://example.com/",
        "https://example.com:443",
        "https://EXAMPLE.com",
        "http://example.com",
        "https://example.com.evil.example",
        "https://evil.example",
        "https:\\/\\/example.com",
        "null",
        "",
    ];
    replace(case, "https://example.com", random.choose(&origins));
}

fn cross_origin(case: &mut Case<'_>, random: &mut Random) {
    let values = [
        "",
        ",\"crossOrigin\":true",
        ",\"crossOrigin\":null",
        ",\"crossOrigin\":\"false\"",
        ",\"crossOrigin\":0",
        ",\"crossOrigin\":false,\"crossOrigin\":false",
    ];
    replace(case, ",\"crossOrigin\":false", random.choose(&values));
}

fn top_origin(case: &mut Case<'_>, random: &mut Random) {
    let values = [
        ",\"topOrigin\":\"https://example.com\"}",
        ",\"topOrigin\":\"\"}",
        ",\"topOrigin\":null}",
        ",\"topOrigin\":1}",
    ];
    replace(case, "}", random.choose(&values));
}

fn member(case: &mut Case<'_>, random: &mut Random) {
    let values = [
        ",\"tokenBinding\":{\"status\":\"supported\"}}",
        ",\"extra\":[1,null,{\"type\":\"x\"}]}",
        ",\"extra\":\"\\ud83d\\ude00\"}",
        ",\"extra\":\"\\ud83d\"}",
        ",\"extra\":1e400}",
        ",\"extra\":01}",
        ",\"Type\":\"x\"}",
        ",}",
    ];
    replace(case, "}", random.choose(&values));
}

fn member_twice(case: &mut Case<'_>, random: &mut Random) {
    let values = [
        ",\"type\":\"webauthn.get\"}",
        ",\"challenge\":\"WlpaWlpaWlpaWlpaWlpaWg\"}",
        ",\"origin\":\"https://example.com\"}",
        ",\"\\u006frigin\":\"https://example.com\"}",
        ",\"extra\":1,\"extra\":1}",
    ];
    replace(case, "}", random.choose(&values));
}

fn form(case: &mut Case<'_>, random: &mut Random) {
    match random.below(9) {
        0 => replace(case, ":", " : "),
        1 => replace(case, "{", "\n{\t"),
        2 => drop(case.client_data.splice(..0, *b"\xef\xbb\xbf")),
        3 => drop(case.client_data.splice(..0, *b"\xef\xbb\xbf\xef\xbb\xbf")),
        4 => replace(case, "\"type\"", "\"\\u0074ype\""),
        5 => replace(case, "webauthn", "web\\u0061uthn"),
        6 => case.client_data.push(b' '),
        7 => case.client_data.push(0),
        _ => case.client_data.extend_from_slice(b"{}"),
    }
}

fn rp_id_hash(case: &mut Case<'_>, random: &mut Random) {
    let place = random.below(32);
    case.data.rp_id_hash[place] ^= 1 << random.below(8);
}

fn flags(case: &mut Case<'_>, random: &mut Random) {
    match random.below(4) {
        0 => case.data.flags = random.byte(),
        1 => case.data.flags ^= random.choose(&[UP, UV, BE, BS, AT, ED, 0x02, 0x20]),
        2 => case.data.flags ^= random.choose(&[BE | BS, UP | UV]),
        _ => case.data.flags |= BE,
    }
}

fn sign_count(case: &mut Case<'_>, random: &mut Random) {
    let counts = [0, 1, 2, 255, u32::MAX];
    case.data.sign_count = random.choose(&counts);
    case.stored_sign_count = random.choose(&counts);
}

fn rest(case: &mut Case<'_>, random: &mut Random) {
    let extension = |name: &str, value: Vec<u8>| cbor::map(&[(cbor::text(name), value)]);
    case.data.rest = match random.below(7) {
        0 => vec![random.byte()],
        1 => cbor::map(&[]),
        2 => extension("credProtect", cbor::integer(2)),
        3 => extension("unknown", cbor::integer(2)),
        4 => extension("hmac-secret", vec![0xf5]),
        5 => cbor::bytes(b"x"),
        _ => extension("deep", [vec![0x81; random.below(20)], vec![0]].concat()),
    };
    if random.below(4) != 0 {
        case.data.flags |= ED;
    }
}

fn byte_of_data(case: &mut Case<'_>, random: &mut Random) {
    let mut data = case.data();
    random.damage(&mut data);
    case.raw_data = Some(data);
}

fn id(case: &mut Case<'_>, random: &mut Random) {
    let length = random.choose(&[0, 1, 15, 16, 32, 64, 1023, 1024]);
    let new = vec![random.byte(); length];
    match (random.below(3), &mut case.data.credential) {
        (0, Some(credential)) => credential.id = new,
        (1, Some(credential)) => {
            credential.id.clone_from(&new);
            case.id = new;
        }
        (2, credential @ None) => {
            *credential = Some(Credential {
                aaguid: [0; 16],
                id: case.id.clone(),
                public_key: case.passkey.key.cose(),
            });
            case.data.flags |= AT;
        }
        _ => case.id = new,
    }
}

/// The members of the JSON that both implementations require.
const REQUIRED: [&str; 4] = [
    "/response",
    "/response/clientDataJSON",
    "/response/attestationObject",
    "/response/authenticatorData",
];

fn json_member(case: &mut Case<'_>, random: &mut Random) {
    case.json_edits.push(match random.below(6) {
        0 => JsonEdit::Remove(random.choose(&REQUIRED)),
        1 => JsonEdit::Set("/extra", json!({"type": []})),
        2 => JsonEdit::Set("/response/extra", json!(1)),
        3 => JsonEdit::Set("/rawId", json!("AQIDBAUGBwgJCgsMDQ4PEA")),
        4 => JsonEdit::Set(
            "/type",
            json!(random.choose(&["public-key", "password", ""])),
        ),
        _ => JsonEdit::Remove(random.choose(&["/clientExtensionResults", "/response/signature"])),
    });
}

fn json_type(case: &mut Case<'_>, random: &mut Random) {
    let value = random.choose(&[0, 1, 2, 3]);
    let value = [json!(1), json!([]), json!({}), json!(true)][value].clone();
    let pointers = ["/id", "/rawId", "/type", "/response/transports"];
    let required = random.choose(&REQUIRED);
    let pointer = random.choose(&[pointers[0], pointers[1], pointers[2], pointers[3], required]);
    case.json_edits.push(JsonEdit::Set(pointer, value));
}

/// Edits a text in base64url. In client data, only the characters before and after the challenge
/// are changed, as the two challenges have different lengths.
fn base64(case: &mut Case<'_>, random: &mut Random) {
    let pointers = [
        "/id",
        "/rawId",
        "/response/clientDataJSON",
        "/response/clientDataJSON",
        "/response/attestationObject",
        "/response/authenticatorData",
        "/response/signature",
        "/response/userHandle",
    ];
    let characters = ['A', 'B', 'w', '-', '_', '+', '/', '=', ' ', 'é'];
    let pointer = random.choose(&pointers);
    // Only one of the two signatures may contain the letters of the other alphabet.
    let edit = match random.below(8) {
        0 => TextEdit::Append(random.choose(&["=", "==", "A", "AA", "AAAA", " ", "\n"])),
        1 => TextEdit::RemoveLast,
        2 if pointer != "/response/signature" => TextEdit::OtherAlphabet,
        3 => TextEdit::Empty,
        4 => TextEdit::Replace {
            from_end: true,
            place: 0,
            character: random.choose(&characters),
        },
        _ => TextEdit::Replace {
            from_end: random.below(2) == 0,
            place: random.below(12),
            character: random.choose(&characters),
        },
    };
    case.json_edits.push(JsonEdit::Text(pointer, edit));
}

fn signature(case: &mut Case<'_>, random: &mut Random) {
    case.signature_edit = Some(match random.below(8) {
        0 => SignatureEdit::Truncate(1 + random.below(72)),
        1 => SignatureEdit::Append(random.byte()),
        2 => SignatureEdit::Prepend(random.byte()),
        3 => SignatureEdit::Zero,
        4 => SignatureEdit::Foreign,
        5 => SignatureEdit::LongForm,
        _ => SignatureEdit::Flip {
            place: random.below(4096),
            bit: random.below(8),
        },
    });
}

fn user_handle(case: &mut Case<'_>, random: &mut Random) {
    match random.below(4) {
        0 => {
            if let Some(byte) = case.user_handle.first_mut() {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => case.user_handle = vec![7; random.choose(&[0, 1, 15, 17, 64, 65])],
        2 => case
            .json_edits
            .push(JsonEdit::Remove("/response/userHandle")),
        _ => case
            .json_edits
            .push(JsonEdit::Set("/response/userHandle", json!(null))),
    }
}

fn stored(case: &mut Case<'_>, random: &mut Random) {
    case.stored_backup_eligible = random.below(2) == 0;
    case.data.flags |= random.choose(&[0, BE, BE | BS]);
    case.stored_sign_count = random.choose(&[0, 1, 2]);
}
