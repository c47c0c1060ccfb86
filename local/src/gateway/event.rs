//! Requests as API Gateway sends them to functions: payload format 2.0.

use super::routes::{Match, decode};
use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderName, header, request::Parts},
};
use data_encoding::BASE64;
use serde_json::{Map, Value as Json, json};
use std::net::SocketAddr;
use time::{OffsetDateTime, macros::format_description};

pub const API_ID: &str = "local";

/// Data that the gateway adds to a request.
pub struct Context {
    pub client: SocketAddr,
    pub request_id: String,
    pub time: OffsetDateTime,
}

pub fn event(request: &Parts, body: &Bytes, route: &Match, context: &Context) -> Json {
    let headers = headers(&request.headers, context);
    let domain = headers
        .get("host")
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned();
    let user_agent = headers
        .get("user-agent")
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned();
    let path = decode(request.uri.path());
    let query = request.uri.query().unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": path,
        "rawQueryString": query,
    });
    let cookies: Vec<_> = request
        .headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|cookies| {
            text(cookies.as_bytes())
                .split(';')
                .map(|cookie| cookie.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .filter(|cookie| !cookie.is_empty())
        .collect();
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    event["headers"] = Json::Object(headers);
    if !query.is_empty() {
        event["queryStringParameters"] = query_parameters(query);
    }
    event["requestContext"] = json!({
        "accountId": "000000000000",
        "apiId": API_ID,
        "domainName": domain,
        "domainPrefix": domain.split('.').next(),
        "http": {
            "method": request.method.as_str(),
            "path": path,
            "protocol": format!("{:?}", request.version),
            "sourceIp": context.client.ip().to_canonical().to_string(),
            "userAgent": user_agent,
        },
        "requestId": context.request_id,
        "routeKey": route.key,
        "stage": "$default",
        "time": context.time
            .format(format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000"))
            .unwrap_or_default(),
        "timeEpoch": context.time.unix_timestamp_nanos() / 1_000_000,
    });
    if !route.parameters.is_empty() {
        event["pathParameters"] = json!(route.parameters);
    }
    let as_text = is_text(
        request
            .headers
            .get(header::CONTENT_TYPE)
            .map_or(b"", |value| value.as_bytes()),
    );
    let encoded = !body.is_empty() && !as_text;
    match std::str::from_utf8(body) {
        _ if body.is_empty() => {}
        Ok(body) if !encoded => event["body"] = json!(body),
        _ => event["body"] = json!(BASE64.encode(body)),
    }
    event["isBase64Encoded"] =
        json!(!body.is_empty() && (encoded || std::str::from_utf8(body).is_err()));
    event
}

/// Headers by their names in lower case, repeated ones joined by a comma. Cookies are not included;
/// they have a member of their own in the event.
fn headers(request: &HeaderMap, context: &Context) -> Map<String, Json> {
    let mut headers: Map<String, Json> = request
        .keys()
        .filter(|name| **name != header::COOKIE)
        .map(|name| (name.to_string(), json!(joined(request, name))))
        .collect();
    let client = context.client.ip().to_canonical().to_string();
    let forwarded = match headers.get("x-forwarded-for").and_then(Json::as_str) {
        Some(before) => format!("{before}, {client}"),
        None => client,
    };
    headers.insert("x-forwarded-for".to_owned(), json!(forwarded));
    headers.insert("x-forwarded-port".to_owned(), json!("443"));
    headers.insert("x-forwarded-proto".to_owned(), json!("https"));
    headers
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| text(value.as_bytes()))
        .collect();
    values.join(",")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Decoded query parameters, repeated ones joined by a comma.
fn query_parameters(query: &str) -> Json {
    let mut parameters = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [name, value] = [name, value].map(|part| decode(&part.replace('+', " ")));
        let joined = match parameters.get(&name).and_then(Json::as_str) {
            Some(before) => format!("{before},{value}"),
            None => value,
        };
        parameters.insert(name, json!(joined));
    }
    Json::Object(parameters)
}

/// Whether API Gateway passes a body of this media type as text; it encodes any other as base64.
fn is_text(content_type: &[u8]) -> bool {
    let content_type = text(content_type).to_ascii_lowercase();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.starts_with("text/")
        || [
            "application/json",
            "application/javascript",
            "application/xml",
        ]
        .contains(&media_type)
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use std::collections::BTreeMap;

    fn event_of(request: Request<&'static [u8]>) -> Json {
        let (parts, body) = request.into_parts();
        let route = Match {
            function: "F",
            key: "POST /a/{id}".to_owned(),
            parameters: BTreeMap::from([("id".to_owned(), "1".to_owned())]),
        };
        let context = Context {
            client: "192.0.2.7:5555".parse().unwrap(),
            request_id: "r1".to_owned(),
            time: OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap(),
        };
        event(&parts, &Bytes::from_static(body), &route, &context)
    }

    #[test]
    fn an_event_has_payload_format_2_0() {
        let request = Request::post("/a/1%20b?x=1&y=a%2Bb+c&x=2&z")
            .header("Host", "localhost:3000")
            .header("User-Agent", "test")
            .header("X-Two", "a")
            .header("X-Two", "b")
            .header("Cookie", "a=1; b=2")
            .header("X-Forwarded-For", "203.0.113.1")
            .header("Content-Type", "Application/JSON; charset=utf-8")
            .body(b"{}".as_slice())
            .unwrap();
        let event = event_of(request);
        assert_eq!(event["version"], "2.0");
        assert_eq!(event["routeKey"], "POST /a/{id}");
        assert_eq!(event["rawPath"], "/a/1 b");
        assert_eq!(event["rawQueryString"], "x=1&y=a%2Bb+c&x=2&z");
        assert_eq!(
            event["queryStringParameters"],
            json!({ "x": "1,2", "y": "a+b c", "z": "" })
        );
        assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
        assert_eq!(event["headers"]["x-two"], "a,b");
        assert_eq!(
            event["headers"]["x-forwarded-for"],
            "203.0.113.1, 192.0.2.7"
        );
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!(event["pathParameters"], json!({ "id": "1" }));
        let context = &event["requestContext"];
        assert_eq!(context["http"]["sourceIp"], "192.0.2.7");
        assert_eq!(context["http"]["protocol"], "HTTP/1.1");
        assert_eq!(context["http"]["path"], "/a/1 b");
        assert_eq!(context["domainName"], "localhost:3000");
        assert_eq!(context["stage"], "$default");
        assert_eq!(context["time"], "14/Nov/2023:22:13:20 +0000");
        assert_eq!(context["timeEpoch"], 1_700_000_000_000_i64);
        assert_eq!(
            (event["body"].as_str(), event["isBase64Encoded"].as_bool()),
            (Some("{}"), Some(false))
        );
    }

    #[test]
    fn a_body_of_another_media_type_than_text_is_base64() {
        for (content_type, body, encoded) in [
            ("application/x-www-form-urlencoded", "a=b", true),
            ("multipart/form-data; boundary=x", "--x--", true),
            ("application/octet-stream", "a", true),
            ("", "a", true),
            ("text/plain; charset=utf-8", "a", false),
            ("application/problem+json", "{}", false),
            ("image/svg+xml", "<a/>", false),
        ] {
            let request = Request::post("/a/1")
                .header("content-type", content_type)
                .body(body.as_bytes())
                .unwrap();
            let event = event_of(request);
            assert_eq!(event["isBase64Encoded"], encoded, "{content_type}");
            let expected = if encoded {
                BASE64.encode(body.as_bytes())
            } else {
                body.to_owned()
            };
            assert_eq!(event["body"], expected, "{content_type}");
        }
    }

    #[test]
    fn a_text_body_that_is_not_utf_8_is_base64() {
        let request = Request::post("/a/1")
            .header("content-type", "text/plain")
            .body(b"\xff".as_slice())
            .unwrap();
        let event = event_of(request);
        assert_eq!(
            (event["body"].as_str(), event["isBase64Encoded"].as_bool()),
            (Some("/w=="), Some(true))
        );
    }

    #[test]
    fn absent_parts_of_a_request_are_omitted() {
        let event = event_of(Request::get("/a/1").body(b"".as_slice()).unwrap());
        for name in ["body", "cookies", "queryStringParameters"] {
            assert_eq!(event.get(name), None, "{name}");
        }
        assert_eq!(event["isBase64Encoded"], false);
    }
}
