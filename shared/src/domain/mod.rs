//! Rules without input or output. The time is a parameter; no code here reads the clock, the
//! environment or the network.

pub mod activity;
pub mod captcha;
pub mod device;
pub mod email_address;
pub mod email_change;
pub mod ip_network;
pub mod language;
pub mod mail;
pub mod one_time_code;
pub mod otp;
pub mod passkey;
pub mod password;
pub mod rate_limit;
pub mod session;
pub mod session_binding;
pub mod token_id;
pub mod user;
pub mod user_agent;
pub mod webauthn;
