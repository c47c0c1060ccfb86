//! The process and its surroundings: clock, random bytes, environment, AWS and HTTP clients,
//! secrets, logs and metrics.

pub mod aws;
pub mod aws_error;
pub mod clock;
pub mod connection;
pub mod environment;
pub mod http_client;
pub mod lambda_event;
pub mod random;
pub mod retry;
pub mod sealing;
pub mod secrets;
#[cfg(test)]
pub(crate) mod secrets_manager;
pub mod service_url;
pub mod telemetry;
mod tls_roots;
