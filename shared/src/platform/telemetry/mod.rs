//! What operators see of a function: JSON lines on standard output, which Lambda hands to
//! `CloudWatch`. Each invocation is one line, and metrics are lines of their own.

mod invocation;
pub mod metrics;
mod round_trips;

use std::{
    panic::{self, PanicHookInfo},
    sync::OnceLock,
};

use tracing_subscriber::filter::LevelFilter;

pub(crate) use invocation::{Answered, Invocation, RequestLine};
pub(crate) use round_trips::Counted;

/// The function that this process runs.
static OPERATION: OnceLock<&'static str> = OnceLock::new();

/// Starts logs and metrics of the function of that name. To be called once, first of all.
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

/// Logs where a panic happened. Its message may quote a value, so it is left out.
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
