//! The line of an invocation.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{metrics, operation, round_trips};
use crate::{BoxError, error::causes, platform::clock::Stopwatch};

/// Whether this process was started for the invocation that is to come.
static COLD: AtomicBool = AtomicBool::new(true);

/// An invocation at work.
pub struct Invocation {
    request_id: String,
    begun: Stopwatch,
    cold_start: bool,
}

/// What an HTTP request was answered.
pub struct Answered {
    /// As API Gateway names it: `POST /identity/sessions`.
    pub route: String,
    pub status: u16,
    /// The first key of a refusal.
    pub key: Option<String>,
    /// The client's network, short enough to identify no person.
    pub address: Option<String>,
}

/// The line of a request, which is logged after the answer has gone out, so that no client waits
/// for it.
pub struct RequestLine {
    request_id: String,
    cold_start: bool,
    duration_ms: f64,
    round_trips: u32,
    answered: Answered,
}

impl Invocation {
    /// `request_id` is Lambda's.
    pub fn begin(request_id: String) -> Self {
        Self {
            request_id,
            begun: Stopwatch::start(),
            cold_start: COLD.swap(false, Ordering::Relaxed),
        }
    }

    /// Logs the cause of a failure, which no answer contains.
    pub fn failed(&self, status: u16, cause: &(dyn std::error::Error + 'static)) {
        tracing::error!(request_id = self.request_id, operation = operation(), status, cause = %causes(cause), "the request failed");
    }

    /// Ends with what a request was answered.
    pub fn answered(self, answered: Answered) -> RequestLine {
        let duration_ms = self.begun.milliseconds();
        RequestLine {
            request_id: self.request_id,
            cold_start: self.cold_start,
            duration_ms,
            round_trips: round_trips::take(),
            answered,
        }
    }

    /// Tells what became of an event.
    pub fn handled<T>(self, outcome: &Result<T, BoxError>) {
        let duration_ms = self.begun.milliseconds();
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

impl RequestLine {
    /// Writes it, and the metrics of the request.
    pub fn tell(self) {
        let Self {
            request_id,
            cold_start,
            duration_ms,
            round_trips,
            answered:
                Answered {
                    route,
                    status,
                    key,
                    address,
                },
        } = self;
        metrics::answered(status);
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
