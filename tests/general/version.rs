//! `GET /identity/version`

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::harness::{latchkey, now};

#[tokio::test]
async fn the_build_information_is_cacheable_for_a_minute() {
    let answer = latchkey().await.get("/identity/version").send().await;
    assert_eq!(answer.status, 200);
    let cache = answer.header("cache-control").unwrap();
    assert!(
        cache.contains("max-age=60") && !cache.contains("no-store"),
        "{cache}"
    );
    let body = answer.json();
    answer.has_names(&["git_tag", "git_sha", "build_date", "version"]);
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    let built = OffsetDateTime::parse(body["build_date"].as_str().unwrap(), &Rfc3339).unwrap();
    assert!(
        (1_700_000_000..=now()).contains(&built.unix_timestamp()),
        "{built}"
    );
    assert!(
        body["git_tag"].is_string() && body["git_sha"].is_string(),
        "{body}"
    );
}
