//! What two of Latchkey's endpoints need.
//!
//! Rules are pure functions that take the time as a parameter. What a client sends is parsed once, at the door
//! ([`http`]), into types that cannot be wrong; nothing behind the door checks it again. Every answer that is not a
//! success is an [`Error`], whose one table maps it to a status and a key.

#![warn(missing_docs)]

pub mod access;
pub mod activity;
pub mod aws;
pub mod aws_error;
pub mod captcha;
pub mod clock;
pub mod code;
pub mod config;
pub mod connection;
pub mod email;
pub mod environment;
mod error;
pub mod events;
pub mod gate;
pub mod http;
pub mod keys;
pub mod language;
pub mod limits;
pub mod mail;
pub mod network;
pub mod otp;
pub mod outbound;
pub mod password;
pub mod random;
pub mod retry;
pub mod secret;
#[cfg(test)]
mod secrets_manager;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod token;
mod trust;
pub mod user;

pub use error::{Error, FieldFault, ParameterFault};

/// An error of any kind, for what is only logged.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
