//! CORS as API Gateway implements it: it answers preflight requests and replaces the CORS headers
//! that a function returns.

use crate::template::Cors;
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

/// The response to a preflight request; `None` for any other request.
pub fn preflight(cors: &Cors, method: &Method, request: &HeaderMap) -> Option<Response> {
    let required = [header::ORIGIN, header::ACCESS_CONTROL_REQUEST_METHOD];
    if method != Method::OPTIONS || !required.iter().all(|name| request.contains_key(name)) {
        return None;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if allow_origin(cors, request, response.headers_mut()) {
        let headers = response.headers_mut();
        set(
            headers,
            header::ACCESS_CONTROL_ALLOW_METHODS,
            &cors.allow_methods.join(","),
        );
        set(
            headers,
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            &cors.allow_headers.join(","),
        );
        set(
            headers,
            header::ACCESS_CONTROL_MAX_AGE,
            &cors.max_age.to_string(),
        );
    }
    Some(response)
}

/// Sets the CORS headers of the response to a request that is not a preflight.
pub fn finish(cors: &Cors, request: &HeaderMap, response: &mut HeaderMap) {
    for name in [
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
    ] {
        response.remove(name);
    }
    if allow_origin(cors, request, response) {
        set(
            response,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            &cors.expose_headers.join(","),
        );
    }
}

/// Returns whether the request's origin is allowed, and if so, adds the headers that allow it.
fn allow_origin(cors: &Cors, request: &HeaderMap, response: &mut HeaderMap) -> bool {
    response.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = request.get(header::ORIGIN) else {
        return false;
    };
    if !cors
        .allow_origins
        .iter()
        .any(|allowed| allowed.as_bytes() == origin.as_bytes())
    {
        return false;
    }
    response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    if cors.allow_credentials {
        response.insert(
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
    true
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value)
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors() -> Cors {
        let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        Cors {
            allow_origins: list(&["https://app.example.com"]),
            allow_credentials: true,
            allow_methods: list(&["GET", "POST"]),
            allow_headers: list(&["content-type"]),
            expose_headers: list(&["Retry-After"]),
            max_age: 60,
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn a_preflight_of_an_allowed_origin_returns_the_allowed_methods_and_headers() {
        let request = headers(&[
            ("origin", "https://app.example.com"),
            ("access-control-request-method", "POST"),
        ]);
        let response = preflight(&cors(), &Method::OPTIONS, &request).unwrap();
        assert_eq!(response.status(), 204);
        assert_eq!(
            response.headers()["access-control-allow-origin"],
            "https://app.example.com"
        );
        assert_eq!(
            response.headers()["access-control-allow-credentials"],
            "true"
        );
        assert_eq!(
            response.headers()["access-control-allow-methods"],
            "GET,POST"
        );
        assert_eq!(
            response.headers()["access-control-allow-headers"],
            "content-type"
        );
        assert_eq!(response.headers()["access-control-max-age"], "60");
        assert_eq!(response.headers()["vary"], "Origin");
    }

    #[test]
    fn a_preflight_of_another_origin_returns_no_cors_headers() {
        let request = headers(&[
            ("origin", "https://evil.example.com"),
            ("access-control-request-method", "POST"),
        ]);
        let response = preflight(&cors(), &Method::OPTIONS, &request).unwrap();
        assert_eq!(response.status(), 204);
        assert!(response.headers().keys().all(|name| name == "vary"));
    }

    #[test]
    fn a_request_that_is_not_a_preflight_is_left_to_the_routes() {
        let request = headers(&[("origin", "https://app.example.com")]);
        assert!(preflight(&cors(), &Method::OPTIONS, &request).is_none());
        assert!(preflight(&cors(), &Method::POST, &request).is_none());
    }

    #[test]
    fn cors_headers_of_a_function_are_replaced() {
        let mut response = headers(&[("access-control-allow-origin", "*")]);
        finish(
            &cors(),
            &headers(&[("origin", "https://evil.example.com")]),
            &mut response,
        );
        assert!(!response.contains_key("access-control-allow-origin"));
        finish(
            &cors(),
            &headers(&[("origin", "https://app.example.com")]),
            &mut response,
        );
        assert_eq!(
            response["access-control-allow-origin"],
            "https://app.example.com"
        );
        assert_eq!(response["access-control-expose-headers"], "Retry-After");
    }
}
