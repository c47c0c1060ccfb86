//! Lambda's `Invoke` API.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

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
async fn a_function_is_invoked_by_its_name_its_arn_or_its_binary() {
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
        let report: Value = serde_json::from_str(
            response.json::<Value>().await.unwrap()["body"]
                .as_str()
                .unwrap(),
        )
        .unwrap();
        assert_eq!(report["event"], json!({ "a": "ü" }));
    }
    let large = json!({ "a": "x".repeat(5_000_000) }).to_string();
    assert_eq!(
        invoke(&stack, "EchoFunction", &[], large).await.status(),
        StatusCode::OK
    );
    stack.stop().await;
}

#[tokio::test]
async fn a_failed_invocation_returns_the_error_of_lambda() {
    let stack = start().await;
    for (behaviour, kind) in [
        ("report", "Requested"),
        ("crash", "Runtime.ExitError"),
        ("hang", "Sandbox.Timedout"),
    ] {
        let response = invoke(
            &stack,
            "EchoFunction",
            &[],
            json!({ "do": behaviour }).to_string(),
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
            "{behaviour}"
        );
    }
    stack.stop().await;
}

#[tokio::test]
async fn an_unsupported_invocation_is_rejected_with_the_error_of_lambda() {
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
    // A web page of another origin can send this without a CORS preflight.
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
