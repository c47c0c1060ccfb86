//! Errors of AWS services, without any text that a service returned.
//!
//! `SdkError` holds the raw response: of a `GetItem` that cannot be read a password hash, of a
//! `GetSecretValue` the secret, of a refused mail the address. [`AwsError`] keeps what an operator
//! needs and nothing else, so it can be logged. Call sites turn an error into it by
//! `AwsError::from` and do not name the SDK's type, which clippy.toml disallows.

use std::{any::type_name, fmt};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
#[expect(
    clippy::disallowed_types,
    reason = "this is the one place that converts it"
)]
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

use crate::platform::connection::ConnectionFault;

/// Characters of an error code. AWS's longest has 38.
const CODE_LIMIT: usize = 48;
/// Characters of a request id. DynamoDB's have 52.
const REQUEST_ID_LIMIT: usize = 64;

/// What kind of failure a call ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request could not be built, so it was not sent.
    Construction,
    /// No response in time. The request may have been executed.
    Timeout,
    /// The connection failed. The request may have been executed.
    Connection(ConnectionFault),
    /// There is a response, and it is not one of the service. The request may have been executed.
    Unreadable,
    /// The service returned an error.
    Refused,
}

/// Why a call of an AWS service failed. Both `Display` and `Debug` are fit for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsError {
    service: &'static str,
    operation: &'static str,
    kind: Kind,
    status: Option<u16>,
    code: Option<String>,
    request_id: Option<String>,
}

impl AwsError {
    /// The kind of failure.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The error code of a [`Kind::Refused`], as `ThrottlingException`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The HTTP status, if there was a response.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        self.status
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service, operation, ..
        } = self;
        match self.kind {
            Kind::Construction => {
                write!(f, "{service} {operation}: the request could not be built")?;
            }
            Kind::Timeout => write!(f, "{service} {operation}: no response in time")?,
            Kind::Connection(fault) => {
                write!(f, "{service} {operation}: the connection failed: {fault}")?;
            }
            Kind::Unreadable => write!(f, "{service} {operation}: the response cannot be read")?,
            Kind::Refused => write!(f, "{service} {operation}: refused")?,
        }
        if let Some(code) = &self.code {
            write!(f, ", code {code}")?;
        }
        if let Some(status) = self.status {
            write!(f, ", status {status}")?;
        }
        if let Some(request_id) = &self.request_id {
            write!(f, ", request id {request_id}")?;
        }
        Ok(())
    }
}

impl std::error::Error for AwsError {}

#[expect(
    clippy::disallowed_types,
    reason = "this is the one place that converts it"
)]
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
            // The SDK takes a body that it cannot parse for an error of the service, which then has
            // no code.
            SdkError::ServiceError(_) if code.is_some() => Kind::Refused,
            // The enum is non-exhaustive: a new variant is no answer of the service either.
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

/// Service and operation, by the name of the SDK's error type:
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

/// A code is text that the service returned too, so it has to look like one.
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
#[expect(clippy::disallowed_types, reason = "they make what is converted")]
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
    fn reads(error: &AwsError, text: &str) {
        assert_eq!(error.to_string(), text);
        assert!(std::error::Error::source(error).is_none());
        assert!(
            !format!("{error:?} {error}").contains("argon2id"),
            "{error:?}"
        );
    }

    #[test]
    fn an_error_reads_as_its_code_and_never_as_its_text() {
        let rejected = MessageRejected::builder()
            .meta(metadata("MessageRejected"))
            .message(SECRET)
            .build();
        let error = SdkError::service_error(
            SendEmailError::MessageRejected(rejected),
            response(400, "1a2b-3c"),
        );
        reads(
            &AwsError::from(error),
            "sesv2 SendEmail: refused, code MessageRejected, status 400, request id 1a2b-3c",
        );
        let unknown = SdkError::service_error(
            GetItemError::generic(metadata("NewException")),
            response(400, SECRET),
        );
        reads(
            &AwsError::from(unknown),
            "dynamodb GetItem: refused, code NewException, status 400",
        );
    }

    #[test]
    fn an_unreadable_response_is_not_quoted() {
        for error in [
            SdkError::service_error(GetItemError::unhandled(SECRET), response(200, "ABC")),
            SdkError::service_error(
                GetItemError::generic(metadata(SECRET)),
                response(200, "ABC"),
            ),
            SdkError::response_error(SECRET, response(200, "ABC")),
        ] {
            reads(
                &AwsError::from(error),
                "dynamodb GetItem: the response cannot be read, status 200, request id ABC",
            );
        }
    }

    #[test]
    fn a_call_without_a_response_says_why() {
        let of = |error: SdkError<GetItemError, HttpResponse>| AwsError::from(error);
        let reset = std::io::Error::new(std::io::ErrorKind::ConnectionReset, SECRET);
        reads(
            &of(SdkError::timeout_error(SECRET)),
            "dynamodb GetItem: no response in time",
        );
        let timeout = SdkError::dispatch_failure(ConnectorError::timeout(SECRET.into()));
        reads(&of(timeout), "dynamodb GetItem: no response in time");
        let io = SdkError::dispatch_failure(ConnectorError::io(reset.into()));
        reads(
            &of(io),
            "dynamodb GetItem: the connection failed: connection reset",
        );
        let other = SdkError::dispatch_failure(ConnectorError::other(SECRET.into(), None));
        reads(
            &of(other),
            "dynamodb GetItem: the connection failed: unknown reason",
        );
        reads(
            &of(SdkError::construction_failure(SECRET)),
            "dynamodb GetItem: the request could not be built",
        );
    }

    #[test]
    fn only_what_looks_like_a_code_or_an_id_is_kept() {
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
