//! Converts the value that a function returns to an HTTP response, as API Gateway does.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use serde_json::{Value as Json, json};

/// An error response of API Gateway.
pub fn message(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message }))).into_response()
}

pub fn internal_server_error() -> Response {
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

/// `None` if API Gateway cannot convert the value to a response.
pub fn response(payload: &[u8]) -> Option<Response> {
    let payload: Json = serde_json::from_slice(payload).ok()?;
    let Some(status) = payload.get("statusCode") else {
        // Payload format 2.0: a value without a status code is the body of a 200 response.
        let body = payload
            .as_str()
            .map_or_else(|| payload.to_string(), str::to_owned);
        return Some(([(header::CONTENT_TYPE, "application/json")], body).into_response());
    };
    let status = StatusCode::from_u16(u16::try_from(status.as_u64()?).ok()?).ok()?;
    let body = match payload.get("body") {
        None | Some(Json::Null) => Body::empty(),
        Some(body) if payload["isBase64Encoded"] == json!(true) => {
            BASE64.decode(body.as_str()?.as_bytes()).ok()?.into()
        }
        Some(body) => body.as_str()?.to_owned().into(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // `multiValueHeaders` is ignored: payload format 2.0 does not have it.
    for (name, value) in payload
        .get("headers")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
    {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        response.headers_mut().insert(
            HeaderName::try_from(name).ok()?,
            HeaderValue::try_from(value).ok()?,
        );
    }
    for cookie in payload
        .get("cookies")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        response.headers_mut().append(
            header::SET_COOKIE,
            HeaderValue::try_from(cookie.as_str()?).ok()?,
        );
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body_of(response: Response) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), 1024)
            .await
            .unwrap()
            .to_vec()
    }

    #[tokio::test]
    async fn status_headers_cookies_and_body_are_passed_on() {
        let payload = json!({
            "statusCode": 201,
            "headers": { "content-type": "text/plain", "retry-after": 5 },
            "cookies": ["a=1; HttpOnly", "b=2"],
            "body": "aGk=",
            "isBase64Encoded": true,
        });
        let response = response(payload.to_string().as_bytes()).unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["retry-after"], "5");
        assert_eq!(
            response
                .headers()
                .get_all("set-cookie")
                .iter()
                .collect::<Vec<_>>(),
            ["a=1; HttpOnly", "b=2"]
        );
        assert_eq!(body_of(response).await, b"hi");
    }

    #[tokio::test]
    async fn a_value_without_a_status_code_is_the_body() {
        let response = response(br#"{"ping":"pong"}"#).unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(body_of(response).await, br#"{"ping":"pong"}"#);
    }

    #[test]
    fn a_malformed_value_is_rejected() {
        for payload in [
            json!({ "statusCode": "abc" }),
            json!({ "statusCode": 99 }),
            json!({ "statusCode": 200, "body": { "not": "text" } }),
            json!({ "statusCode": 200, "body": "*", "isBase64Encoded": true }),
            json!({ "statusCode": 200, "headers": { "bad name": "" } }),
            json!({ "statusCode": 200, "headers": { "a": "b\nc" } }),
        ] {
            assert!(
                response(payload.to_string().as_bytes()).is_none(),
                "{payload}"
            );
        }
        assert!(response(b"not json").is_none());
    }
}
