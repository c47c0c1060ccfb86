use aws_lc_rs::{
    encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der},
    rsa::KeySize,
    signature::ECDSA_P384_SHA384_FIXED_SIGNING,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use super::*;

/// An RSA key of 1024 bits in PKCS#1, which aws-lc-rs does not generate.
const RSA_1024: &str = "MIICXAIBAAKBgQC00ZfCXh2KEBVDmS/MEacMQFEgy/7dcwrLZh5SbNAZ1s/r4HOIhWfV60p2U0nxfbzWoV+fFLwyxqkeDROMHZ/eRQdBDphAEVaP4NYL0OoD4ZoFYLiGneicrPE2O+vDBMyX6wS8DzuNYwS39R5/PG6H7TDpvUme7JrQABxOzHZJzQIDAQABAoGAXpwoLuA1zo6ZwbP+iWVXJZblnCaA5XgTVtfI19HtlQeL5VyctvsumISzgnQUBZKH4zmuobskueCujnXDG5ZIlg+IcmXp8S1OzNROPSOuaXeu1TavyzTrk9qr0QlNZ+TE4JPuMosqDW9ZwrpMkvqFprkaCQ7/qy3fv+ab4sh5JYECQQDnGLlCbKH12PgoMUP5s7R05dPoqu5PrscyM9cLXbTmakeZxn55Y2+nqX40xRxboM/7qHH7WjrkAGR4vrnCStFhAkEAyE3Zxg+g8ytldIU0pMkzXG1DnwfPWdgHpVcmEfNQ4alHQXKhSNr4kMWGx7U5le1e2CrEVMLuqgfUL2amXVBT7QJBAM/rOqM8wetDruHakWIUAQQ705C+WXNvuOC+K3iacqvsa0c7g4cLo+WhZV9tCLqX0QiG4SZYZCvG/p50WwUn84ECQHihkg7bKLZqIz7KXksDtT/rufbTsEfOd8RWuOHEpKhS10wOKh4DagFeRG6PsO+fNih/kR/vCecysdIeQwEduH0CQFfp1vXF8NJFdSVWx0sC4dl8J0LoEXAVmeB83snUz6jZE0Wa8QGHPrFG68/G5q8IP8MQkW1j/f7mdAtC9rcPBM0=";

/// The bytes before the PKCS#1 form in the PKCS#8 form of an RSA key of 2048 bits.
const PKCS8_PREFIX: usize = 26;

fn pem_of(label: &str, content: &str) -> String {
    let lines: Vec<&str> = content
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).expect("base64"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn pem(label: &str, der: &[u8]) -> String {
    pem_of(label, &BASE64.encode(der))
}

fn rsa() -> Vec<u8> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS#8");
    der.as_ref().to_vec()
}

/// A P-256 key in PKCS#8 and in SEC1.
fn p256() -> [Vec<u8>; 2] {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let sec1: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().expect("SEC1");
    [
        pair.to_pkcs8v1().expect("PKCS#8").as_ref().to_vec(),
        sec1.as_ref().to_vec(),
    ]
}

/// An Ed25519 key in PKCS#8, without the public key as OpenSSL writes it, and with it.
fn ed25519() -> [Vec<u8>; 2] {
    let pair = Ed25519KeyPair::generate().expect("a key");
    [
        pair.to_pkcs8v1().expect("PKCS#8").as_ref().to_vec(),
        pair.to_pkcs8().expect("PKCS#8").as_ref().to_vec(),
    ]
}

/// The claims of a token, verified with the published form of the key only.
fn verified(key: &AccessKey, token: &str) -> Option<Value> {
    let published = json!({ "keys": [key.jwk()] });
    let published: JwkSet = serde_json::from_value(published).expect("a JWK Set");
    let header = jsonwebtoken::decode_header(token).expect("a header");
    let jwk = published.find(&header.kid?)?;
    assert_eq!(
        jwk.common.key_algorithm.map(|alg| alg.to_string()),
        Some(format!("{:?}", header.alg))
    );
    let decoding = DecodingKey::from_jwk(jwk).expect("a key");
    let mut validation = Validation::new(header.alg);
    validation.set_required_spec_claims::<&str>(&[]);
    jsonwebtoken::decode(token, &decoding, &validation)
        .ok()
        .map(|token| token.claims)
}

/// Asserts that all texts are the same key, and that its tokens verify with this algorithm.
fn all_sign(texts: &[String], algorithm: Algorithm) {
    let keys: Vec<AccessKey> = texts
        .iter()
        .map(|text| AccessKey::from_pem(text).expect(text))
        .collect();
    for key in &keys {
        assert_eq!(key.jwk(), keys[0].jwk());
        let token = key.sign(&json!({ "uid": "ID1" })).expect("a token");
        let header = jsonwebtoken::decode_header(&token).expect("a header");
        assert_eq!(
            (header.alg, header.kid.as_deref(), header.typ.as_deref()),
            (algorithm, Some(key.id()), Some("JWT"))
        );
        assert_eq!(verified(key, &token), Some(json!({ "uid": "ID1" })));
        let (signed, _) = token.rsplit_once('.').expect("parts");
        let forged = format!("{signed}.{}", BASE64URL_NOPAD.encode(&[1; 64]));
        assert_eq!(verified(key, &forged), None);
    }
}

#[test]
fn an_rsa_key_signs_with_rs256() {
    let der = rsa();
    let pkcs8 = pem("PRIVATE KEY", &der);
    all_sign(
        &[
            pkcs8.clone(),
            pem("RSA PRIVATE KEY", &der[PKCS8_PREFIX..]),
            pkcs8.replace('\n', "\r\n"),
            format!("a comment\n\n  {pkcs8}"),
        ],
        Algorithm::RS256,
    );
}

#[test]
fn a_p256_key_signs_with_es256() {
    let [pkcs8, sec1] = p256();
    let sec1 = pem("EC PRIVATE KEY", &sec1);
    let parameters = pem_of("EC PARAMETERS", "BggqhkjOPQMBBw==");
    all_sign(
        &[
            pem("PRIVATE KEY", &pkcs8),
            sec1.clone(),
            // As `openssl ecparam -genkey` writes it.
            format!("{parameters}{sec1}"),
        ],
        Algorithm::ES256,
    );
}

#[test]
fn an_ed25519_key_signs_with_eddsa() {
    let forms = ed25519().map(|der| pem("PRIVATE KEY", &der));
    all_sign(&forms, Algorithm::EdDSA);
}

#[test]
fn the_derived_key_is_an_ed25519_key_that_follows_from_its_secret() {
    let key = AccessKey::derive("secret").expect("a key");
    assert_eq!(key.jwk(), AccessKey::derive("secret").expect("a key").jwk());
    assert_ne!(key.id(), AccessKey::derive("other").expect("a key").id());
    assert_eq!(json!(key.jwk())["alg"], "EdDSA");
}

#[test]
fn a_published_key_has_the_members_of_its_kind_and_no_private_ones() {
    let members = |text: &str| -> Vec<String> {
        let key = AccessKey::from_pem(text).expect("a key");
        let published = json!(key.jwk());
        let mut names: Vec<String> = published
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        names.sort();
        names
    };
    let [p256, _] = p256();
    let [ed25519, _] = ed25519();
    for (der, expected) in [
        (rsa(), &["alg", "e", "kid", "kty", "n", "use"][..]),
        (p256, &["alg", "crv", "kid", "kty", "use", "x", "y"]),
        (ed25519, &["alg", "crv", "kid", "kty", "use", "x"]),
    ] {
        assert_eq!(members(&pem("PRIVATE KEY", &der)), expected);
    }
}

#[test]
fn an_unusable_key_is_refused_with_a_reason_that_quotes_nothing() {
    let der = rsa();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
    let p384 = p384.to_pkcs8v1().expect("PKCS#8");
    let content = BASE64.encode(&der);
    for (text, reason) in [
        (String::new(), UnusableKey::NoPem),
        ("secret".to_owned(), UnusableKey::NoPem),
        (content.clone(), UnusableKey::NoPem),
        (pem("PUBLIC KEY", &der), UnusableKey::NoPem),
        (
            format!("-----BEGIN PRIVATE KEY-----\n{content}"),
            UnusableKey::NoPem,
        ),
        (pem_of("PRIVATE KEY", "no base64!"), UnusableKey::NoPem),
        // Line breaks that a shell or a JSON encoder escaped.
        (
            pem("PRIVATE KEY", &der).replace('\n', "\\n"),
            UnusableKey::NoPem,
        ),
        (pem("ENCRYPTED PRIVATE KEY", &der), UnusableKey::Encrypted),
        (
            format!(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{content}\n-----END RSA PRIVATE KEY-----"
            ),
            UnusableKey::Encrypted,
        ),
        (pem("OPENSSH PRIVATE KEY", &der), UnusableKey::Unsupported),
        (pem("RSA PRIVATE KEY", &der), UnusableKey::Unsupported),
        (pem("PRIVATE KEY", &der[1..]), UnusableKey::Unsupported),
        (pem("PRIVATE KEY", p384.as_ref()), UnusableKey::Unsupported),
        (
            pem_of("RSA PRIVATE KEY", RSA_1024),
            UnusableKey::Unsupported,
        ),
    ] {
        let error = AccessKey::from_pem(&text).err();
        assert_eq!(error, Some(reason), "{text}");
        assert!(!reason.to_string().contains("MII"));
    }
}
