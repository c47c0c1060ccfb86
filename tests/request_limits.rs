//! Limits of the length of bodies and parameters

use serde_json::json;

use crate::harness::{BODY, OPERATIONS, Operation, PASSWORD, borrowed, latchkey};

const LIMIT: usize = 16 * 1024;
const VALIDATE: &str = "/identity/password/validate";

#[tokio::test]
async fn a_body_of_16_kib_is_accepted_and_one_byte_more_is_rejected() {
    let latchkey = latchkey().await;
    let form = |length: usize| {
        let start = format!("password={PASSWORD}&padding=");
        format!("{start}{}", "x".repeat(length - start.len()))
    };
    let json = |length: usize| {
        let start = json!({ "password": PASSWORD }).to_string();
        format!("{start}{}", " ".repeat(length - start.len()))
    };
    let multipart = |length: usize| {
        let start = format!(
            "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n{PASSWORD}\r\n--x--\r\n"
        );
        format!("{start}{}", " ".repeat(length - start.len()))
    };
    for (media_type, body) in [
        (
            "application/x-www-form-urlencoded",
            &form as &dyn Fn(usize) -> String,
        ),
        ("application/json", &json),
        ("multipart/form-data; boundary=x", &multipart),
    ] {
        let send = |length: usize| {
            latchkey
                .post(VALIDATE)
                .body(media_type, body(length))
                .send()
        };
        assert_eq!(send(LIMIT).await.status, 201, "{media_type}");
        send(LIMIT + 1)
            .await
            .is_refused(413, &["request.too_large"]);
    }
}

#[tokio::test]
async fn a_body_over_16_kib_is_rejected_by_every_operation() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("too-large").await;
    let before = latchkey.items_of(&user).await;
    for operation in OPERATIONS {
        for length in [LIMIT + 1, 100_000, 1_000_000] {
            let mut fields = operation.harmless(&user.email);
            fields.push(("padding", "x".repeat(length)));
            operation
                .request(latchkey, &user)
                .form(&borrowed(&fields))
                .send()
                .await
                .is_refused(413, &["request.too_large"]);
        }
    }
    assert_eq!(latchkey.items_of(&user).await, before);
}

/// The parameters with a limit other than that of the body.
fn limited(operation: &Operation) -> impl Iterator<Item = &'static (&'static str, usize)> {
    operation
        .parameters
        .iter()
        .filter(|(_, limit)| *limit != BODY)
}

#[tokio::test]
async fn a_parameter_longer_than_its_limit_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("too-long").await;
    let before = latchkey.items_of(&user).await;
    for operation in OPERATIONS {
        for (name, limit) in limited(&operation) {
            // The limit is in characters, not bytes.
            let fields = operation.harmless_but(&user.email, name, &"ж".repeat(limit + 1));
            let key = match *name {
                "data" | "name" => format!("{name}.too_long"),
                _ => format!("{}.too_long_{name}", operation.module),
            };
            operation
                .request(latchkey, &user)
                .multipart(&borrowed(&fields))
                .send()
                .await
                .is_refused(422, &[&key]);
        }
    }
    assert_eq!(latchkey.items_of(&user).await, before);
}

#[tokio::test]
async fn a_parameter_of_the_greatest_length_is_accepted() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("just-long").await;
    for operation in OPERATIONS {
        for (name, limit) in limited(&operation) {
            let fields = operation.harmless_but(&user.email, name, &"ж".repeat(*limit));
            let answer = operation
                .request(latchkey, &user)
                .multipart(&borrowed(&fields))
                .send()
                .await;
            assert!(
                !answer.text().contains("too_long") && answer.status < 500,
                "{name}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn too_long_parameters_are_reported_in_order_and_after_missing_ones() {
    let latchkey = latchkey().await;
    let email = "a".repeat(255);
    let password = "a".repeat(1025);
    let other = "a".repeat(1025);
    let fields = [
        ("otp_code", other.as_str()),
        ("password", &password),
        ("email", &email),
    ];
    let keys = [
        "identity.session.too_long_email",
        "identity.session.too_long_password",
        "identity.session.too_long_otp_code",
    ];
    latchkey
        .post("/identity/sessions")
        .form(&fields)
        .send()
        .await
        .is_refused(422, &keys);
    latchkey
        .post("/identity/sessions")
        .form(&fields[..2])
        .send()
        .await
        .is_refused(400, &["identity.session.missing_email"]);
    // White space around an address does not count.
    let padded = format!("{}nobody@example.com", " ".repeat(254));
    latchkey
        .sign_in(&padded, PASSWORD)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
}
