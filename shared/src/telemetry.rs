//! Logs: JSON lines on standard output, which Lambda hands to `CloudWatch`.

use tracing_subscriber::filter::LevelFilter;

/// Starts logging. To be called once, first of all.
pub fn init() {
    tracing_subscriber::fmt().json().with_max_level(LevelFilter::INFO).with_current_span(false).with_span_list(false).init();
}
