//! Services outside AWS, called over HTTP.

pub mod breached_passwords;
pub mod captcha;
