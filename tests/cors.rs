//! Cross-origin requests of browsers

use reqwest::Method;

use crate::harness::{Answer, Latchkey, latchkey};

const PATH: &str = "/identity/sessions";
const HEADERS: [&str; 3] = ["content-type", "authorization", "x-csrf-token"];

async fn preflight(origin: &str, method: &str, headers: &str) -> Answer {
    let request = latchkey()
        .await
        .request(Method::OPTIONS, PATH)
        .header("origin", origin);
    request
        .header("access-control-request-method", method)
        .header("access-control-request-headers", headers)
        .send()
        .await
}

/// The sorted, lower-case names in a header that lists names.
fn listed(answer: &Answer, header: &str) -> Vec<String> {
    let mut names: Vec<String> = answer
        .header(header)
        .unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_gateway_answers_the_preflight_of_an_allowed_origin() {
    for origin in Latchkey::ORIGINS {
        for (method, header) in [
            ("POST", "content-type"),
            ("DELETE", "authorization"),
            ("PUT", "x-csrf-token"),
            ("PATCH", "content-type"),
        ] {
            let answer = preflight(origin, method, header).await;
            assert!([200, 204].contains(&answer.status), "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
            assert_eq!(
                answer.header("access-control-allow-credentials"),
                Some("true")
            );
            let mut expected = HEADERS.map(str::to_owned);
            expected.sort();
            assert_eq!(listed(&answer, "access-control-allow-headers"), expected);
            let methods = listed(&answer, "access-control-allow-methods");
            assert!(
                ["get", "post", "put", "patch", "delete"]
                    .iter()
                    .all(|method| methods.iter().any(|allowed| allowed == method)),
                "{methods:?}"
            );
        }
    }
}

#[tokio::test]
async fn another_origin_is_not_allowed() {
    let latchkey = latchkey().await;
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example.evil.example",
        "https://app.example:8443",
        "null",
        "*",
    ] {
        let plain = latchkey
            .get("/identity/ping")
            .header("origin", origin)
            .send()
            .await;
        assert_eq!(plain.status, 200);
        for answer in [preflight(origin, "POST", "content-type").await, plain] {
            assert_eq!(
                answer.header("access-control-allow-origin"),
                None,
                "{origin}: {answer:?}"
            );
            assert_eq!(
                answer.header("access-control-allow-credentials"),
                None,
                "{origin}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_allowed_origin_may_read_every_answer_and_the_exposed_headers() {
    let latchkey = latchkey().await;
    let [origin, _] = Latchkey::ORIGINS;
    for request in [
        latchkey.get("/identity/ping"),
        latchkey.get("/identity/configs"),
        latchkey.post(PATH),
        latchkey.delete(PATH),
        latchkey.request(Method::PUT, "/resource/users/password"),
        latchkey.sign_in("nobody@example.com", "x"),
    ] {
        let answer = request.header("origin", origin).send().await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some(origin),
            "{answer:?}"
        );
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            Some("true")
        );
        assert_eq!(
            listed(&answer, "access-control-expose-headers"),
            ["page", "per-page", "retry-after", "total"]
        );
    }
}
