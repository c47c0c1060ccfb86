//! Errors of AWS services, without any text that a service returned.
//!
//! `SdkError` contains the raw response, and so possibly a password hash (`GetItem`), the secret
//! (`GetSecretValue`) or a mail address (`SendEmail`). [`AwsError`] keeps only what an operator
//! needs, so it can be logged. Callers convert errors with `AwsError::from`, without naming
//! `SdkError`, which clippy.toml disallows.

use std::any::type_name;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
#[expect(clippy::disallowed_types, reason = "the only place that converts it")]
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

use crate::platform::connection::ConnectionFault;

/// Maximum length of an error code, in characters. The longest code of AWS has 38.
const CODE_LIMIT: usize = 48;
/// Maximum length of a request id, in characters. Those of DynamoDB have 52.
const REQUEST_ID_LIMIT: usize = 64;

/// The kind of failure of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// The request could not be built, so it was not sent.
    #[error("the request could not be built")]
    Construction,
    /// The call timed out. The request may have been executed.
    #[error("no response in time")]
    Timeout,
    /// The connection failed. The request may have been executed.
    #[error("the connection failed: {0}")]
    Connection(ConnectionFault),
    /// The response cannot be parsed. The request may have been executed.
    #[error("the response cannot be read")]
    Unreadable,
    /// The service returned an error.
    #[error("refused")]
    Refused,
}

/// The failure of a call to an AWS service. Both `Display` and `Debug` may be logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{service} {operation}: {kind}{}", self.details())]
pub struct AwsError {
    service: &'static str,
    operation: &'static str,
    kind: Kind,
    status: Option<u16>,
    code: Option<String>,
    request_id: Option<String>,
}

impl AwsError {
    /// The kind of failure, which decides whether the request may have been executed.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The error code of a [`Kind::Refused`], for example `ThrottlingException`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The HTTP status, if there was a response.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        self.status
    }

    fn details(&self) -> String {
        let code = self.code.as_ref().map(|code| format!(", code {code}"));
        let status = self.status.map(|status| format!(", status {status}"));
        let request_id = self
            .request_id
            .as_ref()
            .map(|request_id| format!(", request id {request_id}"));
        [code, status, request_id].into_iter().flatten().collect()
    }
}

#[expect(clippy::disallowed_types, reason = "the only place that converts it")]
impl<E: ProvideErrorMetadata> From<SdkError<E, HttpResponse>> for AwsError {
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let code = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::code)
            .and_then(code);
        let kind = match &error {
            SdkError::ConstructionFailure(_) => Kind::Construction,
            SdkError::TimeoutError(_) => Kind::Timeout,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Kind::Timeout,
            SdkError::DispatchFailure(failure) => {
                let cause = failure.as_connector_error();
                Kind::Connection(
                    cause.map_or(ConnectionFault::Other, |cause| ConnectionFault::of(cause)),
                )
            }
            // The SDK reports a body that it cannot parse as an error of the service without a
            // code.
            SdkError::ServiceError(_) if code.is_some() => Kind::Refused,
            // Also any variant that a later version adds, because the enum is non-exhaustive.
            _ => Kind::Unreadable,
        };
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let request_id = error.request_id().and_then(request_id);
        let (service, operation) = call(type_name::<E>());
        Self {
            service,
            operation,
            kind,
            status,
            code,
            request_id,
        }
    }
}

/// Service and operation, from the path of the SDK's error type, for example
/// `aws_sdk_dynamodb::operation::get_item::GetItemError`.
fn call(error_type: &'static str) -> (&'static str, &'static str) {
    let service = error_type
        .strip_prefix("aws_sdk_")
        .and_then(|rest| rest.split_once("::"))
        .map_or("AWS", |(service, _)| service);
    let operation = error_type.rsplit("::").next().unwrap_or_default();
    (
        service,
        operation.strip_suffix("Error").unwrap_or(operation),
    )
}

/// An error code, if the text has the form of one: it comes from the response, and could be any
/// text.
pub(crate) fn code(text: &str) -> Option<String> {
    let is_code = (1..=CODE_LIMIT).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    is_code.then(|| text.to_owned())
}

fn request_id(text: &str) -> Option<String> {
    let is_id = (1..=REQUEST_ID_LIMIT).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    is_id.then(|| text.to_owned())
}

#[cfg(test)]
#[expect(
    clippy::disallowed_types,
    reason = "the tests construct what is converted"
)]
mod tests {
    use aws_sdk_dynamodb::operation::get_item::GetItemError;
    use aws_sdk_sesv2::{operation::send_email::SendEmailError, types::error::MessageRejected};
    use aws_smithy_runtime_api::{client::result::ConnectorError, http::StatusCode};
    use aws_smithy_types::{body::SdkBody, error::ErrorMetadata};

    use super::*;

    const SECRET: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA";

    fn response(status: u16, request_id: &str) -> HttpResponse {
        let mut response = HttpResponse::new(
            StatusCode::try_from(status).expect("a status"),
            SdkBody::from(SECRET),
        );
        response
            .headers_mut()
            .insert("x-amzn-requestid", request_id.to_owned());
        response
    }

    fn metadata(code: &str) -> ErrorMetadata {
        ErrorMetadata::builder().code(code).message(SECRET).build()
    }

    #[track_caller]
    fn assert_text(error: &AwsError, text: &str) {
        assert_eq!(error.to_string(), text);
        assert!(std::error::Error::source(error).is_none());
        assert!(
            !format!("{error:?} {error}").contains("argon2id"),
            "{error:?}"
        );
    }

    #[test]
    fn an_error_of_the_service_shows_its_code_and_not_its_message() {
        let rejected = MessageRejected::builder()
            .meta(metadata("MessageRejected"))
            .message(SECRET)
            .build();
        let error = SdkError::service_error(
            SendEmailError::MessageRejected(rejected),
            response(400, "1a2b-3c"),
        );
        assert_text(
            &AwsError::from(error),
            "sesv2 SendEmail: refused, code MessageRejected, status 400, request id 1a2b-3c",
        );
        let unknown = SdkError::service_error(
            GetItemError::generic(metadata("NewException")),
            response(400, SECRET),
        );
        assert_text(
            &AwsError::from(unknown),
            "dynamodb GetItem: refused, code NewException, status 400",
        );
    }

    #[test]
    fn an_unreadable_response_is_not_shown() {
        for error in [
            SdkError::service_error(GetItemError::unhandled(SECRET), response(200, "ABC")),
            SdkError::service_error(
                GetItemError::generic(metadata(SECRET)),
                response(200, "ABC"),
            ),
            SdkError::response_error(SECRET, response(200, "ABC")),
        ] {
            assert_text(
                &AwsError::from(error),
                "dynamodb GetItem: the response cannot be read, status 200, request id ABC",
            );
        }
    }

    #[test]
    fn a_call_without_a_response_shows_the_reason() {
        let of = |error: SdkError<GetItemError, HttpResponse>| AwsError::from(error);
        let reset = std::io::Error::new(std::io::ErrorKind::ConnectionReset, SECRET);
        assert_text(
            &of(SdkError::timeout_error(SECRET)),
            "dynamodb GetItem: no response in time",
        );
        let timeout = SdkError::dispatch_failure(ConnectorError::timeout(SECRET.into()));
        assert_text(&of(timeout), "dynamodb GetItem: no response in time");
        let io = SdkError::dispatch_failure(ConnectorError::io(reset.into()));
        assert_text(
            &of(io),
            "dynamodb GetItem: the connection failed: connection reset",
        );
        let other = SdkError::dispatch_failure(ConnectorError::other(SECRET.into(), None));
        assert_text(
            &of(other),
            "dynamodb GetItem: the connection failed: unknown reason",
        );
        assert_text(
            &of(SdkError::construction_failure(SECRET)),
            "dynamodb GetItem: the request could not be built",
        );
    }

    #[test]
    fn text_without_the_form_of_a_code_or_a_request_id_is_dropped() {
        for good in ["ThrottlingException", "com.amazonaws.X1"] {
            assert_eq!(code(good).as_deref(), Some(good));
        }
        for bad in [
            "",
            "a b",
            "a@b.c",
            "1X",
            SECRET,
            &"x".repeat(CODE_LIMIT + 1),
            "é",
        ] {
            assert_eq!(code(bad), None, "{bad}");
        }
        for bad in ["", "a b", "a@b.c", &"x".repeat(REQUEST_ID_LIMIT + 1)] {
            assert_eq!(request_id(bad), None, "{bad}");
        }
    }
}
