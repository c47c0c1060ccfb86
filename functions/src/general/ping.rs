//! `GET /identity/ping`: returns a constant, to test connectivity.

use serde::Serialize;
use shared::{
    Error,
    http::{Body, Response, StatusCode, json},
};

#[derive(Serialize)]
struct Pong {
    ping: &'static str,
}

pub fn handle() -> Result<Response<Body>, Error> {
    json(StatusCode::OK, &Pong { ping: "pong" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ping_returns_pong() {
        let response = handle().expect("an answer");
        assert_eq!(
            (response.status().as_u16(), response.body()),
            (200, &Body::Text(r#"{"ping":"pong"}"#.to_owned()))
        );
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}
