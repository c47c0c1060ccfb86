//! Tokens forged without the key.

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// The claims of a token, without verification.
pub fn claims(token: &str) -> Value {
    part(token, 1)
}

/// The `jti` claim, from which the key of the stored item is derived.
pub fn jti(token: &str) -> String {
    claims(token)["jti"].as_str().unwrap().to_owned()
}

fn part(token: &str, index: usize) -> Value {
    let encoded = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(encoded.as_bytes()).unwrap()).unwrap()
}

fn encode(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

/// Variants of a genuine token, each with a description. `other` is a genuine token of another
/// user.
pub fn forgeries(genuine: &str, other: &str) -> Vec<(String, String)> {
    let [header, payload, signature] = genuine.split('.').collect::<Vec<_>>().try_into().unwrap();
    let with_header = |name: &str, value: Value| {
        let mut header = part(genuine, 0);
        header[name] = value;
        encode(&header)
    };
    let with_claim = |name: &str, value: Value| {
        let mut claims = claims(genuine);
        claims[name] = value;
        format!("{header}.{}.{signature}", encode(&claims))
    };
    let signed_with_a_shared_key = |key: &[u8]| {
        let signed = format!("{}.{payload}", with_header("alg", json!("HS256")));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(mac.as_ref()))
    };
    let other_key = Ed25519KeyPair::generate().unwrap();
    let signed_by_another_key = |header: &str| {
        let signed = format!("{header}.{payload}");
        format!(
            "{signed}.{}",
            BASE64URL_NOPAD.encode(other_key.sign(signed.as_bytes()).as_ref())
        )
    };
    let own_key = json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64URL_NOPAD.encode(other_key.public_key().as_ref()) });
    let mut all: Vec<(String, String)> = ["none", "None", "NONE", "nOnE"]
        .iter()
        .flat_map(|none| {
            let header = with_header("alg", json!(none));
            [
                (
                    format!("alg {none}, unsigned"),
                    format!("{header}.{payload}."),
                ),
                (
                    format!("alg {none}, signed"),
                    format!("{header}.{payload}.{signature}"),
                ),
            ]
        })
        .collect();
    all.extend(
        [
            ("HS256 with no key", signed_with_a_shared_key(b"")),
            (
                "HS256 with the issuer's name",
                signed_with_a_shared_key(b"latchkey"),
            ),
            (
                "HS256 with the key's id",
                signed_with_a_shared_key(
                    part(genuine, 0)["kid"]
                        .as_str()
                        .unwrap_or_default()
                        .as_bytes(),
                ),
            ),
            ("another key, same key id", signed_by_another_key(header)),
            (
                "another key, its own key id",
                signed_by_another_key(&with_header("kid", json!("mine"))),
            ),
            (
                "another key, embedded in the header",
                signed_by_another_key(&with_header("jwk", own_key)),
            ),
            (
                "a key id that is a path",
                format!(
                    "{}.{payload}.{signature}",
                    with_header("kid", json!("../../dev/null"))
                ),
            ),
            ("a longer life", with_claim("exp", json!(4_102_444_800_i64))),
            ("another purpose", with_claim("sub", json!("confirmation"))),
            (
                "another identifier",
                with_claim("jti", claims(other)["jti"].clone()),
            ),
            (
                "another user",
                with_claim("uid", claims(other)["uid"].clone()),
            ),
            (
                "another token's claims",
                format!("{header}.{}.{signature}", encode(&claims(other))),
            ),
            ("no signature", format!("{header}.{payload}.")),
            ("two parts", format!("{header}.{payload}")),
            ("four parts", format!("{genuine}.{signature}")),
            (
                "a signature cut short",
                genuine[..genuine.len() - 4].to_owned(),
            ),
            (
                "a signature of zeros",
                format!("{header}.{payload}.{}", "A".repeat(signature.len())),
            ),
            ("no token", "token".to_owned()),
            ("dots", "..".to_owned()),
            ("JSON", "{\"alg\":\"none\"}".to_owned()),
        ]
        .map(|(what, token)| (what.to_owned(), token)),
    );
    all
}
