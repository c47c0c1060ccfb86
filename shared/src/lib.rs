//! Code that Latchkey's endpoints share.
//!
//! [`domain`] holds the rules, as pure functions that take the time as a parameter. [`http`] parses
//! each request once, into types that are always valid, so that later code does not validate
//! again. Each failure is an [`Error`], and one table maps errors to status codes and error keys.

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

/// An error of any type, for causes that are only logged.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
