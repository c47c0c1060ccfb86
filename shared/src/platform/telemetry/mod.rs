//! Logs and metrics of a function: JSON lines on standard output, which Lambda sends to
//! `CloudWatch`. Each invocation writes one line, and its metrics as lines of their own.

mod invocation;
pub mod metrics;
mod round_trips;

use std::{
    panic::{self, PanicHookInfo},
    sync::OnceLock,
};

use tracing_subscriber::filter::LevelFilter;

pub(crate) use invocation::{Invocation, LogLine, ResponseSummary};
pub(crate) use round_trips::Counted;

/// Name of the binary, for example `session-create`.
static OPERATION: OnceLock<&'static str> = OnceLock::new();

/// Sets up logs, metrics and the panic hook of the binary with this name. Must be called once,
/// before anything else.
///
/// # Panics
/// If a subscriber of `tracing` is already set.
pub fn init(operation: &'static str) {
    let _ = OPERATION.set(operation);
    tracing_subscriber::fmt()
        .json()
        .with_max_level(LevelFilter::INFO)
        .with_current_span(false)
        .with_span_list(false)
        .init();
    panic::set_hook(Box::new(log_panic));
    metrics::init();
}

/// Logs the location of a panic, without its message, which may contain a secret.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string);
    tracing::error!(
        event = "panic",
        operation = operation(),
        at,
        "the function panicked"
    );
}

fn operation() -> &'static str {
    OPERATION.get().copied().unwrap_or_default()
}
