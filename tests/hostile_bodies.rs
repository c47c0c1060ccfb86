//! Malformed and unusual bodies at every operation

use serde_json::{Value, json};

use crate::harness::{Latchkey, OPERATIONS, Operation, User};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data; boundary=x";

/// A part of a multipart body.
fn part(headers: &str, value: &[u8]) -> Vec<u8> {
    [b"--x\r\n", headers.as_bytes(), b"\r\n\r\n", value, b"\r\n"].concat()
}

fn field(name: &str, value: &[u8]) -> Vec<u8> {
    part(
        &format!("Content-Disposition: form-data; name=\"{name}\""),
        value,
    )
}

/// Bodies that are malformed for every operation.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let json: [&[u8]; 20] = [
        b" ",
        b"{",
        b"}",
        b"{\"a\"",
        b"{\"a\":",
        b"{\"a\":\"b\"",
        b"{\"a\":\"b\",}",
        b"{'a':'b'}",
        b"{a:1}",
        b"{} {}",
        b"{}x",
        b"[]",
        b"[{\"email\":\"a@b.co\"}]",
        b"\"text\"",
        b"1",
        b"true",
        b"email=a@b.co&password=b",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\\ud800\"}",
        b"\xff\xfe{\0}\0",
    ];
    let mut all: Vec<(&str, Vec<u8>)> =
        json.into_iter().map(|body| (JSON, body.to_vec())).collect();
    all.extend([
        (JSON, "[".repeat(10_000).into_bytes()),
        (JSON, format!("{{\"a\":{}", "[".repeat(10_000)).into_bytes()),
        (JSON, "{\"a\":".repeat(2_000).into_bytes()),
        ("multipart/form-data", field("a", b"b")),
        ("multipart/form-data; boundary=", field("a", b"b")),
        (
            "multipart/form-data; boundary=other",
            [field("a", b"b"), b"--x--\r\n".to_vec()].concat(),
        ),
        (MULTIPART, b"no parts".to_vec()),
        (MULTIPART, field("a", b"b")),
        (
            MULTIPART,
            b"--x\r\nContent-Disposition: form-data; name=\"a\"".to_vec(),
        ),
        (
            MULTIPART,
            b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb".to_vec(),
        ),
        (MULTIPART, b"email=a@b.co&password=b".to_vec()),
    ]);
    all
}

/// Bodies in which the parameter is not text.
fn with_a_value_that_is_not_text(name: &str) -> Vec<(&'static str, Vec<u8>)> {
    let values = [json!([]), json!([1]), json!(["a"])];
    let mut all: Vec<(&str, Vec<u8>)> = values
        .iter()
        .map(|value| (JSON, json!({ name: value }).to_string().into_bytes()))
        .collect();
    all.push((FORM, format!("{name}=a%ff").into_bytes()));
    all.push((FORM, [name.as_bytes(), b"=\xc3("].concat()));
    all.push((
        MULTIPART,
        [field(name, b"a\xff"), b"--x--\r\n".to_vec()].concat(),
    ));
    all.push((
        MULTIPART,
        [
            part(
                &format!("Content-Disposition: form-data; name=\"{name}\"; filename=\"a.txt\""),
                b"a",
            ),
            b"--x--\r\n".to_vec(),
        ]
        .concat(),
    ));
    all
}

async fn is_malformed(
    latchkey: &Latchkey,
    user: &User,
    operation: &Operation,
    bodies: Vec<(&str, Vec<u8>)>,
) {
    for (media_type, body) in bodies {
        let answer = operation
            .request(latchkey, user)
            .body(media_type, body.clone())
            .send()
            .await;
        let what = format!(
            "{} {media_type} {:?}",
            operation.path,
            String::from_utf8_lossy(&body[..body.len().min(100)])
        );
        assert_eq!(
            (answer.status, answer.text()),
            (400, r#"{"errors":["request.malformed_body"]}"#),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_match_its_media_type_is_malformed() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("bodies").await;
    let before = latchkey.everything().await;
    for operation in OPERATIONS {
        is_malformed(&latchkey, &user, &operation, malformed()).await;
    }
    assert_eq!(latchkey.everything().await, before);
}

#[tokio::test]
async fn a_value_that_is_not_text_is_malformed() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("bodies").await;
    let before = latchkey.everything().await;
    for operation in OPERATIONS {
        // A captcha response may be an object, see `captcha`, and a credential of a passkey too.
        for (name, _) in operation
            .parameters
            .iter()
            .filter(|(name, _)| !["captcha_response", "credential"].contains(name))
        {
            let mut bodies = with_a_value_that_is_not_text(name);
            bodies.push((
                JSON,
                json!({ *name: { "a": "b" } }).to_string().into_bytes(),
            ));
            is_malformed(&latchkey, &user, &operation, bodies).await;
        }
    }
    assert_eq!(latchkey.everything().await, before);
}

#[tokio::test]
async fn unusual_bodies_are_client_errors() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("bodies").await;
    let before = latchkey.everything().await;
    let deep: Value = (0..100).fold(json!({}), |inner, _| json!({ "a": inner }));
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        (JSON, deep.to_string().into_bytes()),
        (
            JSON,
            format!("{{\"unknown\":{}{}}}", "[".repeat(8000), "]".repeat(8000)).into_bytes(),
        ),
        (JSON, br#"{"unknown":1e999}"#.to_vec()),
        (
            JSON,
            format!("{{\"unknown\":{}}}", "9".repeat(10_000)).into_bytes(),
        ),
        (JSON, b"\xef\xbb\xbf{}".to_vec()),
        (FORM, b"%".to_vec()),
        (FORM, b"&=&==&a=&=b&%zz=%".to_vec()),
        (FORM, b"\0\0\0".to_vec()),
        (FORM, b"&".repeat(16 * 1024)),
        (FORM, b"a=b&".repeat(4 * 1024)),
        (MULTIPART, b"--x--\r\n".to_vec()),
        (
            MULTIPART,
            [
                part("Content-Disposition: form-data", b"b"),
                b"--x--\r\n".to_vec(),
            ]
            .concat(),
        ),
        (
            MULTIPART,
            [part("X: y", b"b"), b"--x--\r\n".to_vec()].concat(),
        ),
        (
            MULTIPART,
            [
                part(&format!("X: {}", "y".repeat(15_000)), b"b"),
                b"--x--\r\n".to_vec(),
            ]
            .concat(),
        ),
        (MULTIPART, b"--x\r\n".repeat(3000)),
        (
            MULTIPART,
            [
                field("a", b""),
                field("\r\n", b"\r\n--x"),
                b"--x--\r\n".to_vec(),
            ]
            .concat(),
        ),
        ("multipart/form-data; boundary=\"", b"--\r\n".to_vec()),
        ("application/json; charset=utf-16", b"{\0}\0".to_vec()),
        ("application/json;;;;", b"{}".to_vec()),
    ];
    for operation in OPERATIONS {
        for (media_type, body) in &bodies {
            let answer = operation
                .request(&latchkey, &user)
                .body(media_type, body.clone())
                .send()
                .await;
            let what = format!(
                "{} {media_type} {:?}",
                operation.path,
                String::from_utf8_lossy(&body[..body.len().min(100)])
            );
            assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
            assert!(answer.json()["errors"].is_array(), "{what}: {answer:?}");
        }
    }
    assert_eq!(latchkey.everything().await, before);
}
