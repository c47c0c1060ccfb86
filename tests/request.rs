//! Parsing of requests, at every operation

use serde_json::{Value, json};

use crate::harness::{OPERATIONS, PASSWORD, event, latchkey};

const VALIDATE: &str = "/identity/password/validate";
const SESSIONS: &str = "/identity/sessions";

#[tokio::test]
async fn an_absent_body_has_no_parameters() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("no-body").await;
    for operation in OPERATIONS {
        let request = || operation.request(latchkey, &user);
        for request in [
            request(),
            request().header("content-type", "application/json"),
            request().header("content-type", "multipart/form-data; boundary=x"),
            request().header("content-type", "text/plain"),
            request().body("application/x-www-form-urlencoded", ""),
            request().json(&json!({})),
        ] {
            request.send().await.is_refused(400, operation.missing);
        }
    }
}

#[tokio::test]
async fn only_get_operations_read_the_query_string() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("query").await;
    for operation in OPERATIONS {
        let query: Vec<String> = operation
            .harmless(&user.email)
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = operation.request_with(latchkey, &user, &format!("?{}", query.join("&")));
        request.send().await.is_refused(400, operation.missing);
    }
}

#[tokio::test]
async fn media_types_are_matched_without_regard_to_case_and_parameters() {
    let latchkey = latchkey().await;
    let json = json!({ "password": PASSWORD }).to_string();
    let form = format!("password={PASSWORD}");
    let multipart = format!(
        "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n{PASSWORD}\r\n--x--\r\n"
    );
    let expected = latchkey
        .post(VALIDATE)
        .form(&[("password", PASSWORD)])
        .send()
        .await;
    assert_eq!(expected.status, 201);
    for (media_type, body) in [
        ("application/json", &json),
        ("application/json; charset=utf-8", &json),
        ("APPLICATION/JSON;Charset=UTF-8", &json),
        (" application/json ;charset=\"utf-8\"", &json),
        ("application/x-www-form-urlencoded", &form),
        ("application/x-www-form-urlencoded; charset=UTF-8", &form),
        ("Application/X-WWW-Form-Urlencoded", &form),
        ("multipart/form-data; boundary=x", &multipart),
        (
            "Multipart/Form-Data; charset=utf-8; boundary=\"x\"",
            &multipart,
        ),
    ] {
        let answer = latchkey
            .post(VALIDATE)
            .body(media_type, body.as_str())
            .send()
            .await;
        assert_eq!(
            (answer.status, answer.text()),
            (201, expected.text()),
            "{media_type}"
        );
    }
}

#[tokio::test]
async fn a_body_with_another_or_no_media_type_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("media-type").await;
    let before = latchkey.items_of(&user).await;
    let json = json!({ "email": user.email, "password": PASSWORD, "confirm_password": PASSWORD, "reset_password_token": "x" })
        .to_string();
    for operation in OPERATIONS {
        for media_type in [
            "text/plain",
            "text/json",
            "application/xml",
            "application/jsonx",
            "application/vnd.api+json",
            "application/octet-stream",
            "json",
            "*/*",
            ";",
        ] {
            let answer = operation
                .request(latchkey, &user)
                .body(media_type, json.as_str())
                .send()
                .await;
            answer.is_refused(415, &["request.unsupported_media_type"]);
        }
        let answer = operation
            .request(latchkey, &user)
            .untyped_body(json.as_str())
            .send()
            .await;
        answer.is_refused(415, &["request.unsupported_media_type"]);
    }
    assert_eq!(latchkey.items_of(&user).await, before);
}

#[tokio::test]
async fn a_sign_out_parses_its_body_by_the_same_rules() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("sign-out-body").await;
    let before = latchkey.items_of(&user).await;
    let sign_out = || latchkey.sign_out(&user.session);
    sign_out()
        .body("text/plain", "x")
        .send()
        .await
        .is_refused(415, &["request.unsupported_media_type"]);
    sign_out()
        .untyped_body("x")
        .send()
        .await
        .is_refused(415, &["request.unsupported_media_type"]);
    sign_out()
        .body("application/json", "{")
        .send()
        .await
        .is_refused(400, &["request.malformed_body"]);
    sign_out()
        .body("application/json", vec![b' '; 16 * 1024 + 1])
        .send()
        .await
        .is_refused(413, &["request.too_large"]);
    assert_eq!(latchkey.items_of(&user).await, before);
    sign_out()
        .form(&[("any", "thing")])
        .send()
        .await
        .is_empty(204);
}

#[tokio::test]
async fn null_and_blank_count_as_absent() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("nulls").await;
    for operation in OPERATIONS {
        let nulls: serde_json::Map<String, Value> = operation
            .parameters
            .iter()
            .map(|(name, _)| ((*name).to_owned(), Value::Null))
            .collect();
        operation
            .request(latchkey, &user)
            .json(&nulls.into())
            .send()
            .await
            .is_refused(400, operation.missing);
    }
    let user = latchkey
        .signed_up_with(
            "blank",
            &json!({ "refid": "", "lang": " ", "data": "\t", "captcha_response": "" }),
        )
        .await;
    let blank = [
        ("email", user.email.as_str()),
        ("password", PASSWORD),
        ("otp_code", "  "),
        ("captcha_response", ""),
    ];
    assert_eq!(
        latchkey
            .post(SESSIONS)
            .multipart(&blank)
            .send()
            .await
            .status,
        201
    );
    let null = json!({ "email": user.email, "password": PASSWORD, "otp_code": null, "captcha_response": null });
    assert_eq!(latchkey.post(SESSIONS).json(&null).send().await.status, 201);
    latchkey
        .post("/identity/users/password/generate_code")
        .form(&[("email", &user.email), ("lang", " ")])
        .send()
        .await
        .is_empty(201);
}

#[tokio::test]
async fn unknown_parameters_of_any_type_are_ignored() {
    let latchkey = latchkey().await;
    for unknown in [
        json!(1),
        json!(true),
        json!([[{}], 1.5e300]),
        json!({ "password": "x" }),
        json!(null),
        json!("text"),
    ] {
        let body = json!({ "password": PASSWORD, "unknown": unknown, "": unknown });
        assert_eq!(
            latchkey.post(VALIDATE).json(&body).send().await.status,
            201,
            "{unknown}"
        );
    }
    let fields = [
        ("unknown", "\u{0}"),
        ("password", PASSWORD),
        ("", ""),
        ("password[]", "x"),
        ("Password", "x"),
    ];
    assert_eq!(
        latchkey.post(VALIDATE).form(&fields).send().await.status,
        201
    );
    assert_eq!(
        latchkey
            .post(VALIDATE)
            .multipart(&fields)
            .send()
            .await
            .status,
        201
    );
    let not_text = [
        b"unknown=%ff&password=".as_slice(),
        PASSWORD.as_bytes(),
        b"&%ff=%ff",
    ]
    .concat();
    assert_eq!(
        latchkey
            .post(VALIDATE)
            .body("application/x-www-form-urlencoded", not_text)
            .send()
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn the_last_value_of_a_repeated_parameter_is_used() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("twice").await;
    let email = user.email.as_str();
    let wrong = "Wrong-Horse-7-Battery";
    for (first, last, status) in [
        (wrong, PASSWORD, 201),
        (PASSWORD, wrong, 404),
        ("", PASSWORD, 201),
        (PASSWORD, "", 400),
    ] {
        let fields = [("password", first), ("email", email), ("password", last)];
        assert_eq!(
            latchkey.post(SESSIONS).form(&fields).send().await.status,
            status
        );
        assert_eq!(
            latchkey
                .post(SESSIONS)
                .multipart(&fields)
                .send()
                .await
                .status,
            status
        );
        let json = format!(r#"{{"password":"{first}","email":"{email}","password":"{last}"}}"#);
        assert_eq!(
            latchkey
                .post(SESSIONS)
                .body("application/json", json)
                .send()
                .await
                .status,
            status
        );
    }
}

#[tokio::test]
async fn form_values_are_decoded_as_browsers_encode_them() {
    let latchkey = latchkey().await;
    let password = "a+b &=%41\u{f6}\u{1f40e} Zq7";
    latchkey
        .signed_up_with("decoded", &json!({ "password": password }))
        .await;
    for body in [
        "email=decoded%40example.com&password=a%2Bb+%26%3D%2541%C3%B6%F0%9F%90%8E+Zq7",
        "password=a%2bb%20%26=%2541%c3%b6%f0%9f%90%8e%20Zq7&email=decoded@example.com",
        "&&password=a%2Bb+%26%3D%2541\u{f6}\u{1f40e}+Zq7&em%61il=decoded%40example.com&",
    ] {
        let answer = latchkey
            .post(SESSIONS)
            .body("application/x-www-form-urlencoded", body)
            .send()
            .await;
        assert_eq!(answer.status, 201, "{body}: {answer:?}");
    }
    let escaped =
        r#"{"em\u0061il":"decoded@example.com","password":"a+b &=%41\u00f6\ud83d\udc0e Zq7"}"#;
    assert_eq!(
        latchkey
            .post(SESSIONS)
            .body("application/json", escaped)
            .send()
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_body_may_arrive_as_text_or_base64() {
    let latchkey = latchkey().await;
    let json = json!({ "password": PASSWORD }).to_string();
    for (media_type, body) in [
        ("application/json", json),
        (
            "application/x-www-form-urlencoded",
            format!("password={PASSWORD}"),
        ),
    ] {
        let encoded = data_encoding::BASE64.encode(body.as_bytes());
        for (body, is_base64) in [(body, false), (encoded, true)] {
            let mut event = event("POST", VALIDATE);
            event["headers"]["content-type"] = json!(media_type);
            event["body"] = json!(body);
            event["isBase64Encoded"] = json!(is_base64);
            let answer = latchkey
                .invoke("PasswordValidateFunction", event)
                .await
                .unwrap();
            assert_eq!(answer["statusCode"], 201, "{answer}");
        }
    }
}

#[tokio::test]
async fn unknown_routes_are_not_found() {
    let latchkey = latchkey().await;
    for (method, path) in [
        ("GET", "/identity"),
        ("GET", "/identity/sessions"),
        ("PUT", "/identity/sessions"),
        ("HEAD", "/identity/ping"),
        ("POST", "/identity/ping"),
        ("GET", "/identity/ping/"),
        ("GET", "/identity/ping/x"),
        ("GET", "/Identity/Ping"),
        ("GET", "/identity//ping"),
        ("POST", "/identity/users/password"),
        ("POST", "/resource/users/me"),
        ("GET", "/resource/users/activity"),
        ("GET", "/resource/users/activity/all/all"),
        ("GET", "/resource/sessions/none"),
    ] {
        let answer = latchkey.request(method.parse().unwrap(), path).send().await;
        assert_eq!(answer.status, 404, "{method} {path}");
        if method != "HEAD" {
            assert_eq!(
                answer.text(),
                r#"{"message":"Not Found"}"#,
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn a_json_number_or_boolean_counts_as_text() {
    let latchkey = latchkey().await;
    for (json, text) in [("12345678", "12345678"), ("1.50", "1.50"), ("true", "true")] {
        let by_text = latchkey
            .post(VALIDATE)
            .json(&json!({ "password": text }))
            .send()
            .await;
        let by_json = latchkey
            .post(VALIDATE)
            .body("application/json", format!("{{\"password\": {json}}}"))
            .send()
            .await;
        assert_eq!(by_text.status, 201, "{by_text:?}");
        assert_eq!(
            (by_json.status, by_json.text()),
            (by_text.status, by_text.text())
        );
    }
}

#[tokio::test]
async fn the_json_body_null_has_no_parameters() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("json-null").await;
    for operation in OPERATIONS {
        operation
            .request(latchkey, &user)
            .body("application/json", "null")
            .send()
            .await
            .is_refused(400, operation.missing);
    }
    latchkey
        .sign_out(&user.session)
        .body("application/json", "null")
        .send()
        .await
        .is_empty(204);
}

#[tokio::test]
async fn a_mailed_token_is_trimmed() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("trimmed-token").await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    let token = format!("{}\r\n", mail.confirmation_token().unwrap());
    let answer = latchkey
        .post("/identity/users/email/confirm_code")
        .form(&[("token", token.as_str()), ("password", PASSWORD)])
        .send()
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let token = format!("\r\n {}\u{a0}\n", latchkey.reset_token(&user).await);
    latchkey
        .confirm(&token, "Another-Horse-43")
        .send()
        .await
        .is_empty(201);
}
