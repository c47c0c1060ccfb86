//! Rules without input or output: the time is a parameter, and nothing here reads a clock, an
//! environment or a network.

pub mod activity;
pub mod captcha;
pub mod email_address;
pub mod ip_network;
pub mod language;
pub mod mail;
pub mod one_time_code;
pub mod otp;
pub mod password;
pub mod rate_limit;
pub mod session;
pub mod user;
