//! What operators see of a function: JSON lines on standard output, which Lambda hands to `CloudWatch`. Each invocation is one
//! line, and metrics are lines of their own.

mod invocation;
pub mod metrics;
mod round_trips;

use std::sync::OnceLock;

use tracing_subscriber::filter::LevelFilter;

pub(crate) use invocation::{Answered, Invocation, Line};
pub(crate) use round_trips::Counted;

/// The function that this process runs.
static OPERATION: OnceLock<&'static str> = OnceLock::new();

/// Starts logs and metrics of the function of that name. To be called once, first of all.
pub fn init(operation: &'static str) {
    let _ = OPERATION.set(operation);
    tracing_subscriber::fmt().json().with_max_level(LevelFilter::INFO).with_current_span(false).with_span_list(false).init();
    metrics::init();
}

fn operation() -> &'static str {
    OPERATION.get().copied().unwrap_or_default()
}
