//! Answers.

use lambda_http::{
    Body, Response,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE},
    },
};
use serde::Serialize;

use crate::Error;

/// An answer with a JSON body, which nobody may keep.
pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Response<Body>, Error> {
    let text = serde_json::to_string(body).map_err(Error::internal)?;
    let mut response = empty(status);
    *response.body_mut() = Body::Text(text);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// An answer with a JSON body, which may be kept for a minute.
pub fn cacheable_json(body: &impl Serialize) -> Result<Response<Body>, Error> {
    let mut response = json(StatusCode::OK, body)?;
    response.headers_mut().insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=60"),
    );
    Ok(response)
}

/// The answer of an operation that has nothing to say.
#[must_use]
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer, setting a cookie.
pub fn with_cookie(mut response: Response<Body>, cookie: &str) -> Result<Response<Body>, Error> {
    response.headers_mut().append(
        SET_COOKIE,
        HeaderValue::from_str(cookie).map_err(Error::internal)?,
    );
    Ok(response)
}

/// The first key of what is refused, to be told in the log.
#[derive(Clone)]
struct RefusalKey(String);

/// The first key of an answer that is a [`refusal`].
pub(super) fn refusal_key(response: &Response<Body>) -> Option<&str> {
    response
        .extensions()
        .get()
        .map(|RefusalKey(key)| key.as_str())
}

/// The answer to what is refused: `{"errors": [...]}`.
pub fn refusal(error: &Error) -> Result<Response<Body>, Error> {
    #[derive(Serialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let errors = error.keys();
    let key = errors.first().cloned();
    let mut response = json(error.status(), &Errors { errors })?;
    response
        .extensions_mut()
        .insert(RefusalKey(key.unwrap_or_default()));
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
    fn who_tried_too_often_is_told_when_to_come_back() {
        let response = refusal(&Error::TooManyAttempts { retry_after: 42 }).expect("a response");
        assert_eq!(
            (
                response.status().as_u16(),
                response.headers()["retry-after"].as_bytes()
            ),
            (429, &b"42"[..])
        );
    }

    #[test]
    fn a_failure_tells_its_key_and_not_its_cause() {
        let response = refusal(&Error::Unavailable("connection to 10.0.0.1 refused".into()))
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
