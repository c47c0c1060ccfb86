//! `GET /identity/configs`: returns the settings that front ends need.

use serde::Serialize;
use shared::{
    Error,
    config::{Passwords, Sessions},
    domain::captcha::CaptchaSettings,
    http::{Body, Response, cacheable_json},
};

#[derive(Serialize)]
struct Output<'a> {
    session_expire_time: i64,
    captcha_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    captcha_id: Option<&'a str>,
    password_min_entropy: serde_json::Number,
    password_regexp: &'a str,
}

pub struct Configs {
    pub sessions: Sessions,
    pub passwords: Passwords,
    /// `None` if no captcha is configured.
    pub captcha: Option<CaptchaSettings>,
}

impl Configs {
    pub fn handle(&self) -> Result<Response<Body>, Error> {
        cacheable_json(&Output {
            session_expire_time: self.sessions.lifetime.idle,
            captcha_type: self
                .captcha
                .as_ref()
                .map_or("none", |captcha| captcha.provider.name()),
            captcha_id: self.captcha.as_ref().map(|captcha| captcha.id.as_str()),
            password_min_entropy: number(self.passwords.min_entropy),
            password_regexp: &self.passwords.regexp,
        })
    }
}

/// Prints a whole number without `.0`.
fn number(value: f64) -> serde_json::Number {
    let text = value.to_string();
    text.parse().unwrap_or_else(|_| 0.into())
}
