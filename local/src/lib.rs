//! Latchkey's development stack: what template.yaml describes, in one process on one machine.
//!
//! The functions are the real binaries, talked to by the Lambda Runtime API; around them are an
//! HTTP API gateway, DynamoDB with its streams, Secrets Manager and SES, each as far as the
//! template uses it.

mod ambient;
mod build;
mod data;
mod database;
mod error;
mod events;
mod gateway;
mod iam;
mod lambda;
mod log;
mod mail;
mod meter;
mod options;
mod pages;
mod pattern;
mod runtime;
mod secrets;
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
pub use runtime::{Failure, Functions, Instance};
pub use secrets::captcha_secret;
pub use stack::Stack;
pub use users::Users;
