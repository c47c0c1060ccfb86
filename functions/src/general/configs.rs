//! `GET /identity/configs`: what a front end needs to know.

use serde::Serialize;
use shared::{
    Error,
    config::Config,
    http::{Body, Response, cacheable_json},
};

#[derive(Serialize)]
struct Configs<'a> {
    session_expire_time: i64,
    captcha_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    captcha_id: Option<&'a str>,
    password_min_entropy: serde_json::Number,
    password_regexp: &'a str,
}

/// Answers.
pub fn handle(config: &Config) -> Result<Response<Body>, Error> {
    cacheable_json(&Configs {
        session_expire_time: config.session_life.idle,
        captcha_type: config.captcha.as_ref().map_or("none", |captcha| captcha.provider.name()),
        captcha_id: config.captcha.as_ref().map(|captcha| captcha.id.as_str()),
        password_min_entropy: number(config.password_min_entropy),
        password_regexp: &config.password_regexp,
    })
}

/// A whole number without the fraction that a float would show.
fn number(value: f64) -> serde_json::Number {
    let text = value.to_string();
    text.parse().unwrap_or_else(|_| 0.into())
}
