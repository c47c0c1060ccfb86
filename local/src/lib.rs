//! Latchkey's development stack: runs the resources of template.yaml on one machine.
//!
//! The functions are the binaries that Lambda runs, invoked through the Lambda Runtime API. Around
//! them, this process provides API Gateway, DynamoDB with streams, EventBridge, Secrets Manager and
//! SES, as far as the template uses them.

#![deny(clippy::print_stdout, reason = "println! panics if the pipe is closed")]

mod ambient;
mod build;
mod data;
mod database;
mod error;
mod events;
mod gateway;
mod host;
mod iam;
mod lambda;
mod log;
mod mail;
mod meter;
mod options;
mod output;
mod pages;
mod pattern;
mod runtime;
mod secrets;
mod server;
mod stack;
mod stream;
mod template;
mod users;

pub use ambient::{Moment, lock, variables};
pub use build::{build, cargo_build, workspace};
pub use error::Error;
pub use iam::{Grants, grants_folder};
pub use log::Log;
pub use meter::{Consumed, Meter};
pub use options::Options;
pub use output::print_line;
pub use runtime::{Failure, Functions, Instance};
pub use secrets::operator_secrets;
pub use stack::Stack;
pub use users::Users;
