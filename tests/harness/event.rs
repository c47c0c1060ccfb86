//! Events of API Gateway (payload 2.0), for input that no HTTP client can produce.

use serde_json::{Value, json};

/// The event of a request without a body.
pub fn event(method: &str, path: &str) -> Value {
    let route = format!("{method} {path}");
    json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": { "host": "api.example" },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "api",
            "domainName": "api.example",
            "domainPrefix": "api",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "tests" },
            "requestId": "request",
            "routeKey": route,
            "stage": "$default",
            "time": "22/Nov/2026:19:00:00 +0000",
            "timeEpoch": 1_795_374_000_000_u64,
        },
        "isBase64Encoded": false,
    })
}
