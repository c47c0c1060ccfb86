//! The user of the measurements, and sample events.

use axum::body::Bytes;
use local::Error;
use serde_json::Value as Json;
use std::fs;

pub const EMAIL: &str = "ada@example.com";
pub const PASSWORD: &str = "Correct-Horse-42";

/// A sample event of `events/`, with its body replaced unless `body` is null.
pub fn event(name: &str, body: &Json) -> Result<Bytes, Error> {
    let path = local::workspace()
        .join("events")
        .join(format!("{name}.json"));
    let problem = |error: String| Error::new(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(&path).map_err(|error| problem(error.to_string()))?;
    let mut event: Json =
        serde_json::from_str(&text).map_err(|error| problem(error.to_string()))?;
    if !body.is_null() {
        event["body"] = body.to_string().into();
    }
    Ok(event.to_string().into())
}
