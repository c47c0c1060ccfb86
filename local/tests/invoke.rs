//! Lambda's `Invoke`, as AWS's tools call it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use local::{Log, Options, Stack};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use std::path::Path;

async fn start() -> Stack {
    let defaults = Options::default();
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: None,
        binaries: defaults.binaries.join("examples"),
        template: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/template.yaml"),
        log: Log::Captured(std::sync::Arc::default()),
        ..defaults
    };
    Stack::start(options).await.unwrap()
}

async fn invoke(
    stack: &Stack,
    function: &str,
    headers: &[(&str, &str)],
    event: impl Into<reqwest::Body>,
) -> Response {
    let url = format!(
        "{}/2015-03-31/functions/{function}/invocations",
        stack.aws_url()
    );
    let request = reqwest::Client::new()
        .post(url)
        .header("authorization", "AWS4-HMAC-SHA256 Credential=local")
        .body(event);
    headers
        .iter()
        .fold(request, |request, (name, value)| {
            request.header(*name, *value)
        })
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_function_is_called_by_its_name_its_arn_or_its_binary() {
    let stack = start().await;
    for name in [
        "EchoFunction",
        "EchoFunction:$LATEST",
        "arn:aws:lambda:us-east-1:000000000000:function:EchoFunction",
        "stand_in",
    ] {
        let response = invoke(&stack, name, &[], r#"{"a":"ü"}"#).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        assert_eq!(response.headers()["x-amz-executed-version"], "$LATEST");
        assert!(!response.headers().contains_key("x-amz-function-error"));
        let told: Value = serde_json::from_str(
            response.json::<Value>().await.unwrap()["body"]
                .as_str()
                .unwrap(),
        )
        .unwrap();
        assert_eq!(told["event"], json!({ "a": "ü" }));
    }
    let large = json!({ "a": "x".repeat(5_000_000) }).to_string();
    assert_eq!(
        invoke(&stack, "EchoFunction", &[], large).await.status(),
        StatusCode::OK
    );
    stack.stop().await;
}

#[tokio::test]
async fn what_a_function_fails_with_is_told_as_lambda_does() {
    let stack = start().await;
    for (told, kind) in [
        ("report", "Told"),
        ("crash", "Runtime.ExitError"),
        ("hang", "Sandbox.Timedout"),
    ] {
        let response = invoke(
            &stack,
            "EchoFunction",
            &[],
            json!({ "do": told }).to_string(),
        )
        .await;
        assert_eq!(
            (
                response.status(),
                &response.headers()["x-amz-function-error"]
            ),
            (StatusCode::OK, &"Unhandled".parse().unwrap())
        );
        assert_eq!(
            response.json::<Value>().await.unwrap()["errorType"],
            kind,
            "{told}"
        );
    }
    stack.stop().await;
}

#[tokio::test]
async fn what_is_not_served_is_refused_with_lambdas_errors() {
    let stack = start().await;
    let kind = ("x-amz-invocation-type", "Event");
    for (function, headers, status, error) in [
        (
            "Nothing",
            &[][..],
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
        ),
        (
            "EchoFunction",
            &[kind],
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
        ),
    ] {
        let response = invoke(&stack, function, headers, "{}").await;
        assert_eq!(
            (
                response.status(),
                response.headers()["x-amzn-errortype"].to_str().unwrap()
            ),
            (status, error)
        );
    }
    let dry = invoke(
        &stack,
        "EchoFunction",
        &[("x-amz-invocation-type", "DryRun")],
        "{}",
    )
    .await;
    assert_eq!(dry.status(), StatusCode::NO_CONTENT);
    // What a page in a browser could send without asking.
    let url = format!(
        "{}/2015-03-31/functions/EchoFunction/invocations",
        stack.aws_url()
    );
    let unsigned = reqwest::Client::new()
        .post(url)
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(unsigned.status(), StatusCode::FORBIDDEN);
    stack.stop().await;
}
