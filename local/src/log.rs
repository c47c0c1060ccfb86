//! The log of a running stack.

use crate::ambient;
use serde_json::{Map, Value as Json};
use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    sync::{Arc, Mutex},
};
use time::macros::format_description;

/// Destination of log lines.
#[derive(Clone, Default)]
pub enum Log {
    /// Standard error, formatted for people, in colour on a terminal.
    #[default]
    Terminal,
    /// Memory, unformatted.
    Captured(Arc<Mutex<Vec<String>>>),
}

#[derive(Clone)]
pub struct Logger {
    log: Log,
    colour: bool,
}

#[derive(Clone, Copy)]
enum Colour {
    Grey = 90,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

/// A request that no function has logged; each function logs the requests that it handles.
pub struct Answered<'a> {
    pub method: &'a str,
    /// Without the query string, which may contain tokens.
    pub path: &'a str,
    pub status: u16,
    pub milliseconds: u128,
    pub function: Option<&'a str>,
}

impl Logger {
    pub fn new(log: Log) -> Self {
        let colour = matches!(log, Log::Terminal)
            && std::io::stderr().is_terminal()
            && ambient::variable("NO_COLOR").is_none();
        Self { log, colour }
    }

    pub fn request(&self, answered: &Answered) {
        let route = format!("{:<6} {}", answered.method, answered.path);
        let details = answered.function.unwrap_or_default();
        self.write(&self.request_line(
            &route,
            u64::from(answered.status),
            &answered.milliseconds.to_string(),
            details,
        ));
    }

    /// Logs a line of a function's output.
    pub fn output(&self, function: &str, line: &str) {
        match &self.log {
            Log::Terminal => {
                let json: Option<Json> = serde_json::from_str(line).ok();
                let fields = json.as_ref().and_then(|json| json["fields"].as_object());
                if json.as_ref().is_some_and(|json| json["_aws"].is_object()) {
                    // Metrics (EMF) repeat values of the other lines.
                } else if let Some(request) = fields.and_then(|fields| self.answered(fields)) {
                    self.write(&request);
                } else {
                    let readable = json
                        .and_then(|json| self.readable(&json))
                        .unwrap_or_else(|| line.to_owned());
                    self.write(&format!(
                        "{} {readable}",
                        self.paint(Colour::Cyan, function)
                    ));
                }
            }
            Log::Captured(lines) => ambient::lock(lines).push(line.to_owned()),
        }
    }

    pub fn notice(&self, text: &str) {
        self.write(text);
    }

    pub fn problem(&self, text: &str) {
        self.write(&self.paint(Colour::Red, text));
    }

    fn write(&self, text: &str) {
        match &self.log {
            Log::Terminal => {
                let time = ambient::now().format(format_description!("[hour]:[minute]:[second]"));
                let time = self.paint(Colour::Grey, &time.unwrap_or_default());
                // The stack continues when its terminal is closed.
                let _ = writeln!(std::io::stderr().lock(), "{time} {text}");
            }
            Log::Captured(lines) => ambient::lock(lines).push(text.to_owned()),
        }
    }

    /// Formats the line that a function logs per request; `None` for any other line.
    fn answered(&self, fields: &Map<String, Json>) -> Option<String> {
        let text = |name: &str| fields.get(name).and_then(Json::as_str);
        let number = |name: &str| fields.get(name).and_then(Json::as_f64);
        if text("message") != Some("answered") {
            return None;
        }
        let (method, path) = text("route")?.split_once(' ')?;
        let mut details = text("key")
            .map(|key| format!("{key}  "))
            .unwrap_or_default();
        details += text("operation")?;
        if fields.get("cold_start") == Some(&Json::Bool(true)) {
            details += ", cold start";
        }
        let _ = match number("round_trips")? {
            1.0 => write!(details, ", 1 round trip"),
            trips => write!(details, ", {trips} round trips"),
        };
        let _ = write!(
            details,
            ", from {}, request {}",
            text("address").unwrap_or("unknown"),
            text("request_id")?
        );
        let milliseconds = number("duration_ms")?.to_string();
        Some(self.request_line(
            &format!("{method:<6} {path}"),
            fields.get("status")?.as_u64()?,
            &milliseconds,
            &details,
        ))
    }

    fn request_line(&self, route: &str, status: u64, milliseconds: &str, details: &str) -> String {
        let colour = match status {
            ..400 => Colour::Green,
            400..500 => Colour::Yellow,
            500.. => Colour::Red,
        };
        let status = self.paint(colour, &status.to_string());
        format!(
            "{route} {status} {milliseconds} ms  {}",
            self.paint(Colour::Grey, details)
        )
    }

    /// Formats a JSON log line as level, message and `name=value` pairs.
    fn readable(&self, line: &Json) -> Option<String> {
        let level = line.get("level")?.as_str()?;
        let fields = line.get("fields")?.as_object()?;
        let colour = match level {
            "ERROR" => Colour::Red,
            "WARN" => Colour::Yellow,
            _ => Colour::Grey,
        };
        let message = fields
            .get("message")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let mut text = format!("{} {message}", self.paint(colour, level));
        let span = line.get("span").and_then(Json::as_object);
        for (name, value) in fields.iter().chain(span.into_iter().flatten()) {
            if name == "message" || name == "name" {
                continue;
            }
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(
                text,
                " {}{value}",
                self.paint(Colour::Grey, &format!("{name}="))
            );
        }
        Some(text)
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        if self.colour {
            format!("\x1b[{}m{text}\x1b[0m", colour as u8)
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_is_formatted_as_level_message_and_fields() {
        let logger = Logger {
            log: Log::Terminal,
            colour: false,
        };
        let line = r#"{"timestamp":"t","level":"INFO","fields":{"message":"sent","id":"m1","tries":2},"target":"x"}"#;
        assert_eq!(
            logger
                .readable(&serde_json::from_str(line).unwrap())
                .unwrap(),
            "INFO sent id=m1 tries=2"
        );
        assert_eq!(
            logger.readable(&Json::String("thread 'main' panicked".to_owned())),
            None
        );
    }

    #[test]
    fn the_request_line_of_a_function_is_formatted_as_a_request() {
        let logger = Logger {
            log: Log::Terminal,
            colour: false,
        };
        let mut line = serde_json::json!({
            "message": "answered", "request_id": "r1", "operation": "session-create", "route": "POST /identity/sessions",
            "status": 404, "key": "identity.session.invalid_params", "duration_ms": 43.2, "cold_start": true,
            "round_trips": 2, "address": "127.0.0.0/24"
        });
        assert_eq!(
            logger.answered(line.as_object().unwrap()).unwrap(),
            "POST   /identity/sessions 404 43.2 ms  identity.session.invalid_params  session-create, cold start, 2 round trips, from 127.0.0.0/24, request r1"
        );
        line["message"] = "handled".into();
        assert_eq!(logger.answered(line.as_object().unwrap()), None);
    }
}
