//! Lambda's `Invoke` API, for `aws lambda invoke --endpoint-url` and for `latchkey users`.

use crate::runtime::{Failure, Functions};
use axum::{
    Json as Body, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Notify;

/// Lambda's limit for an event.
const EVENT_LIMIT: usize = 6 * 1024 * 1024;

#[derive(Clone)]
struct Lambda {
    functions: Arc<Functions>,
    /// Notified after each invocation, because the function may have written to a table.
    written: Arc<Notify>,
}

pub fn router(functions: Arc<Functions>, written: Arc<Notify>) -> Router {
    Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .layer(DefaultBodyLimit::max(EVENT_LIMIT))
        .with_state(Lambda { functions, written })
}

async fn invoke(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    headers: HeaderMap,
    event: Bytes,
) -> Response {
    // The signature is not verified. The header is required because a web page of another origin
    // cannot send it without a CORS preflight.
    if !headers.contains_key("authorization") {
        return refusal(
            StatusCode::FORBIDDEN,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        );
    }
    let kind = headers
        .get("x-amz-invocation-type")
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("RequestResponse");
    let Some(function) = lambda.functions.resolve(bare(&name)) else {
        return refusal(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            &format!("Function not found: {name}"),
        );
    };
    match kind {
        "DryRun" => return StatusCode::NO_CONTENT.into_response(),
        "RequestResponse" => {}
        _ => {
            let message = "The development stack supports only the invocation types RequestResponse and DryRun.";
            return refusal(
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                message,
            );
        }
    }
    let event = if event.is_empty() {
        Bytes::from_static(b"{}")
    } else {
        event
    };
    let answer = lambda.functions.invoke(function, event).await;
    lambda.written.notify_one();
    let version = [
        ("x-amz-executed-version", "$LATEST"),
        ("content-type", "application/json"),
    ];
    match answer {
        Ok(answer) => (version, answer).into_response(),
        Err(failure) => (
            version,
            [("x-amz-function-error", "Unhandled")],
            Body(error_payload(failure)),
        )
            .into_response(),
    }
}

/// The function name in a name or ARN, without a version.
fn bare(name: &str) -> &str {
    let name = name.rsplit_once("function:").map_or(name, |(_, name)| name);
    name.split(':').next().unwrap_or(name)
}

fn error_payload(failure: Failure) -> serde_json::Value {
    let (kind, message) = match failure {
        Failure::Reported(error) => return error,
        Failure::NoSuchFunction => ("Runtime.Unknown", "no such function".to_owned()),
        Failure::NotStarted(why) => ("Runtime.InvalidEntrypoint", why),
        Failure::Died(why) => ("Runtime.ExitError", why),
        Failure::TimedOut => ("Sandbox.Timedout", "Task timed out".to_owned()),
    };
    json!({ "errorType": kind, "errorMessage": message })
}

fn refusal(status: StatusCode, kind: &'static str, message: &str) -> Response {
    (
        status,
        [("x-amzn-errortype", kind)],
        Body(json!({ "Type": "User", "Message": message })),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_identified_by_its_name_or_arn() {
        for name in [
            "EchoFunction",
            "EchoFunction:$LATEST",
            "arn:aws:lambda:us-east-1:000000000000:function:EchoFunction",
            "000000000000:function:EchoFunction:1",
        ] {
            assert_eq!(bare(name), "EchoFunction", "{name}");
        }
    }
}
