//! `GET /identity/time`: returns the server's time.

use serde::Serialize;
use shared::{
    Error,
    http::{Body, Response, StatusCode, json},
    platform::clock::Timestamp,
};

#[derive(Serialize)]
struct Time {
    time: i64,
}

/// Returns the Unix time in seconds.
pub fn handle(now: Timestamp) -> Result<Response<Body>, Error> {
    json(
        StatusCode::OK,
        &Time {
            time: now.seconds(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_in_seconds_and_not_cached() {
        let response = handle(Timestamp::from_seconds(1_800_000_000)).expect("an answer");
        assert_eq!(
            (response.status().as_u16(), response.body()),
            (200, &Body::Text(r#"{"time":1800000000}"#.to_owned()))
        );
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}
