//! Services outside AWS that are asked over HTTP.

pub mod breached_passwords;
pub mod captcha;
