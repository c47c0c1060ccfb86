//! What two of Latchkey's endpoints need.
//!
//! Rules are pure functions that take the time as a parameter. What a client sends is parsed once,
//! at the door ([`http`]), into types that cannot be wrong; nothing behind the door checks it
//! again. Every answer that is not a success is an [`Error`], whose one table maps it to a status
//! and a key.

#![warn(missing_docs)]

pub mod config;
pub mod domain;
mod error;
pub mod http;
pub mod platform;
pub mod providers;
pub mod store;
pub mod tokens;

pub use error::{Error, FieldFault, ParameterFault};

/// An error of any kind, for what is only logged.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
