//! Responses.

use lambda_http::{
    Body, Response,
    http::{
        HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
};
use serde::Serialize;

use crate::Error;

/// Time in seconds in which browsers use HTTPS only for the host of a response (RFC 6797): two
/// years.
pub const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// A response with a JSON body, which caches must not store.
///
/// # Errors
/// [`Error::Internal`] if the body cannot be serialized.
pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Response<Body>, Error> {
    let text = serde_json::to_string(body).map_err(Error::internal)?;
    let mut response = empty(status);
    *response.body_mut() = Body::Text(text);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// A response with status 200 and a JSON body, which any cache may store for 60 seconds.
///
/// # Errors
/// As [`json`].
pub fn cacheable_json(body: &impl Serialize) -> Result<Response<Body>, Error> {
    let mut response = json(StatusCode::OK, body)?;
    response.headers_mut().insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=60"),
    );
    Ok(response)
}

/// A response without a body, which caches must not store.
#[must_use]
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Adds a `Set-Cookie` header with this value to a response.
///
/// # Errors
/// [`Error::Internal`] if the value contains characters that are not valid in a header.
pub fn with_cookie(mut response: Response<Body>, cookie: &str) -> Result<Response<Body>, Error> {
    response.headers_mut().append(
        SET_COOKIE,
        HeaderValue::from_str(cookie).map_err(Error::internal)?,
    );
    Ok(response)
}

/// The first error key of a response, for the log.
#[derive(Clone)]
struct ErrorKey(String);

/// The first error key of a response that [`error_response`] returned.
pub(super) fn error_key(response: &Response<Body>) -> Option<&str> {
    response
        .extensions()
        .get()
        .map(|ErrorKey(key)| key.as_str())
}

/// The response to a request that failed: `{"errors": ["key", ...]}`, without the cause.
///
/// # Errors
/// As [`json`].
pub fn error_response(error: &Error) -> Result<Response<Body>, Error> {
    #[derive(Serialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let errors = error.keys();
    let key = errors.first().cloned();
    let mut response = json(error.status(), &Errors { errors })?;
    response
        .extensions_mut()
        .insert(ErrorKey(key.unwrap_or_default()));
    if let Some(seconds) = error.retry_after() {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limited_response_has_a_retry_after_header() {
        let response =
            error_response(&Error::TooManyAttempts { retry_after: 42 }).expect("a response");
        assert_eq!(
            (
                response.status().as_u16(),
                response.headers()["retry-after"].as_bytes()
            ),
            (429, &b"42"[..])
        );
    }

    #[test]
    fn the_response_to_a_failure_contains_the_error_key_and_not_the_cause() {
        let response = error_response(&Error::Unavailable("connection to 10.0.0.1 refused".into()))
            .expect("a response");
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(
            response.body(),
            &Body::Text(r#"{"errors":["server.unavailable"]}"#.to_owned())
        );
    }
}
