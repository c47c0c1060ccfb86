//! What the terminal shows while the stack runs.

use crate::ambient;
use serde_json::Value as Json;
use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    sync::{Arc, Mutex},
};
use time::macros::format_description;

/// Where lines go.
#[derive(Clone, Default)]
pub enum Log {
    /// Standard error, made readable; in colour where it is a terminal.
    #[default]
    Terminal,
    /// As they came from the functions and from the stack.
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

/// One answered request.
pub struct Answered<'a> {
    pub method: &'a str,
    /// Without the query string: links carry tokens there.
    pub path: &'a str,
    pub status: u16,
    pub milliseconds: u128,
    pub function: Option<&'a str>,
    pub cold: bool,
}

impl Logger {
    pub fn new(log: Log) -> Self {
        let colour = matches!(log, Log::Terminal) && std::io::stderr().is_terminal() && ambient::variable("NO_COLOR").is_none();
        Self { log, colour }
    }

    pub fn request(&self, answered: &Answered) {
        let colour = match answered.status {
            ..400 => Colour::Green,
            400..500 => Colour::Yellow,
            500.. => Colour::Red,
        };
        let status = self.paint(colour, &answered.status.to_string());
        let mut line = format!("{:<6} {} {status} {} ms", answered.method, answered.path, answered.milliseconds);
        if let Some(function) = answered.function {
            let cold = if answered.cold { ", cold start" } else { "" };
            line += &self.paint(Colour::Grey, &format!("  {function}{cold}"));
        }
        self.write(&line);
    }

    /// A line that a function wrote.
    pub fn output(&self, function: &str, line: &str) {
        match &self.log {
            Log::Terminal => {
                let readable = self.readable(line).unwrap_or_else(|| line.to_owned());
                self.write(&format!("{} {readable}", self.paint(Colour::Cyan, function)));
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
                // A terminal that is gone is no reason to stop.
                let _ = writeln!(std::io::stderr().lock(), "{time} {text}");
            }
            Log::Captured(lines) => ambient::lock(lines).push(text.to_owned()),
        }
    }

    /// A JSON log line as a person would write it: level, message, `name=value`.
    fn readable(&self, line: &str) -> Option<String> {
        let line: Json = serde_json::from_str(line).ok()?;
        let level = line.get("level")?.as_str()?;
        let fields = line.get("fields")?.as_object()?;
        let colour = match level {
            "ERROR" => Colour::Red,
            "WARN" => Colour::Yellow,
            _ => Colour::Grey,
        };
        let message = fields.get("message").and_then(Json::as_str).unwrap_or_default();
        let mut text = format!("{} {message}", self.paint(colour, level));
        let span = line.get("span").and_then(Json::as_object);
        for (name, value) in fields.iter().chain(span.into_iter().flatten()) {
            if name == "message" || name == "name" {
                continue;
            }
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(text, " {}{value}", self.paint(Colour::Grey, &format!("{name}=")));
        }
        Some(text)
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_becomes_level_message_and_fields() {
        let logger = Logger { log: Log::Terminal, colour: false };
        let line = r#"{"timestamp":"t","level":"INFO","fields":{"message":"sent","id":"m1","tries":2},"target":"x"}"#;
        assert_eq!(logger.readable(line).unwrap(), "INFO sent id=m1 tries=2");
        assert_eq!(logger.readable("thread 'main' panicked"), None);
    }
}
