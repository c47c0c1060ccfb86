//! The log lines of an invocation.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{metrics, operation, round_trips};
use crate::{BoxError, error::causes, platform::clock::Stopwatch};

/// Whether the next invocation is the first one of this instance.
static COLD: AtomicBool = AtomicBool::new(true);

/// An invocation in progress.
pub struct Invocation {
    request_id: String,
    duration: Stopwatch,
    cold_start: bool,
}

/// The response to an HTTP request, as logged.
pub struct ResponseSummary {
    /// As API Gateway names it, for example `POST /identity/sessions`.
    pub route: String,
    pub status: u16,
    /// The first error key, if the request failed.
    pub key: Option<String>,
    /// The client's network: /24 of an IPv4 address, /48 of an IPv6 address.
    pub address: Option<String>,
}

/// The log line of a request. It is written after the response was sent, so that no client waits
/// for it.
pub struct LogLine {
    request_id: String,
    cold_start: bool,
    duration_ms: f64,
    round_trips: u32,
    response: ResponseSummary,
}

impl Invocation {
    /// Starts the measurement of an invocation. `request_id` is the id that Lambda gave it.
    pub fn begin(request_id: String) -> Self {
        Self {
            request_id,
            duration: Stopwatch::start(),
            cold_start: COLD.swap(false, Ordering::Relaxed),
        }
    }

    /// Logs the cause of a failure, which the response does not contain.
    pub fn failed(&self, status: u16, cause: &(dyn std::error::Error + 'static)) {
        tracing::error!(request_id = self.request_id, operation = operation(), status, cause = %causes(cause), "the request failed");
    }

    /// Ends the measurement of an HTTP request.
    pub fn responded(self, response: ResponseSummary) -> LogLine {
        let duration_ms = self.duration.milliseconds();
        LogLine {
            request_id: self.request_id,
            cold_start: self.cold_start,
            duration_ms,
            round_trips: round_trips::take(),
            response,
        }
    }

    /// Ends the measurement of an event, and logs its outcome.
    pub fn handled<T>(self, outcome: &Result<T, BoxError>) {
        let duration_ms = self.duration.milliseconds();
        let round_trips = round_trips::take();
        let Self {
            request_id,
            cold_start,
            ..
        } = self;
        match outcome {
            Ok(_) => {
                tracing::info!(
                    request_id,
                    operation = operation(),
                    duration_ms,
                    cold_start,
                    round_trips,
                    "handled"
                );
            }
            Err(error) => {
                let cause = causes(error.as_ref());
                tracing::error!(
                    request_id,
                    operation = operation(),
                    cause,
                    duration_ms,
                    cold_start,
                    round_trips,
                    "not handled"
                );
            }
        }
        metrics::flush(&request_id);
    }
}

impl LogLine {
    /// Writes the line, and the metrics of the request.
    pub fn write(self) {
        let Self {
            request_id,
            cold_start,
            duration_ms,
            round_trips,
            response:
                ResponseSummary {
                    route,
                    status,
                    key,
                    address,
                },
        } = self;
        metrics::responded(status);
        tracing::info!(
            request_id,
            operation = operation(),
            route,
            status,
            key,
            duration_ms,
            cold_start,
            round_trips,
            address,
            "answered"
        );
        metrics::flush(&request_id);
    }
}
