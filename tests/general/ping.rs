//! `GET /identity/ping`

use crate::harness::latchkey;

#[tokio::test]
async fn a_ping_is_answered() {
    let answer = latchkey().await.get("/identity/ping").send().await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"ping":"pong"}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_query_string_is_ignored() {
    for query in ["a=b", "<script>", "%", "%zz&%00", "a=\"b\"&`{|}^\\"] {
        let answer = latchkey()
            .await
            .get(&format!("/identity/ping?{query}"))
            .send()
            .await;
        assert_eq!(
            (answer.status, answer.text()),
            (200, r#"{"ping":"pong"}"#),
            "{query}"
        );
    }
}
