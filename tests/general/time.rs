//! `GET /identity/time`

use crate::harness::{latchkey, now};

#[tokio::test]
async fn the_time_is_in_seconds_and_never_cached() {
    let before = now();
    let answer = latchkey().await.get("/identity/time").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 1);
    assert!(
        (before..=now()).contains(&body["time"].as_i64().unwrap()),
        "{body}"
    );
}
