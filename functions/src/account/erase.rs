//! Erases accounts that their owners closed, once the time to reopen them has passed. `EventBridge`
//! invokes it once a day.

use serde::Serialize;
use shared::{
    BoxError,
    domain::user::{ClosedLifetime, Day},
    platform::{
        clock::{Stopwatch, Timestamp},
        telemetry::metrics::{self, Erasure as Outcome},
    },
    store::{Erasure, Erasures},
};

/// Milliseconds after which a run begins no further account; the next run continues. The timeout of
/// the function is longer.
const BUDGET: f64 = 600_000.0;

pub struct Erase {
    pub erasures: Erasures,
    pub lifetime: ClosedLifetime,
}

/// What a run did.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Accounts that were erased.
    pub erased: u64,
    /// Accounts that were reopened, or whose state an operator set, since they were closed.
    pub kept: u64,
    /// Whether the run ended before all accounts were processed.
    pub unfinished: bool,
}

impl Erase {
    /// Erases the accounts whose time has passed, the earliest first. A run that was interrupted is
    /// continued by the next one. An account that cannot be erased holds up no other one.
    ///
    /// # Errors
    /// If an account could not be erased. Lambda then repeats the run.
    pub async fn handle(&self, now: Timestamp) -> Result<Summary, BoxError> {
        let stopwatch = Stopwatch::start();
        let mut summary = Summary::default();
        let Some(last) = self.lifetime.last_day(now) else {
            return Ok(summary);
        };
        let mut day = self.erasures.first_day().await?;
        let mut failures = 0_u64;
        let mut is_complete = true;
        while day <= last && !summary.unfinished {
            let failed = self.erase_day(day, &mut summary, &stopwatch, now).await;
            failures = failures.saturating_add(failed);
            is_complete = is_complete && failed == 0 && !summary.unfinished;
            // On the last day, accounts remain whose time has not passed.
            if is_complete && day < last {
                self.erasures.complete_day(day).await?;
            }
            day = day.next();
        }
        if summary.unfinished {
            tracing::warn!("the time of the run is over; the next run continues");
        }
        if failures > 0 {
            return Err(format!("{failures} erasures failed").into());
        }
        Ok(summary)
    }

    /// Erases the accounts that were closed on a day. Returns the number of failures.
    async fn erase_day(
        &self,
        day: Day,
        summary: &mut Summary,
        stopwatch: &Stopwatch,
        now: Timestamp,
    ) -> u64 {
        let closures = match self.erasures.closed_on(day).await {
            Ok(closures) => closures,
            Err(error) => {
                metrics::erasure(Outcome::Failed);
                tracing::error!(%day, %error, "the accounts that were closed on the day could not be read");
                return 1;
            }
        };
        let mut failures = 0_u64;
        for closure in closures {
            if !self.lifetime.has_passed(closure.closed_at, now) {
                continue;
            }
            if stopwatch.milliseconds() > BUDGET {
                summary.unfinished = true;
                break;
            }
            let uid = &closure.uid;
            match self.erasures.erase(&closure, now).await {
                Ok(Erasure::Erased) => {
                    metrics::erasure(Outcome::Erased);
                    summary.erased = summary.erased.saturating_add(1);
                    tracing::info!(%uid, "the closed account was erased");
                }
                Ok(Erasure::Kept) => {
                    metrics::erasure(Outcome::Kept);
                    summary.kept = summary.kept.saturating_add(1);
                }
                Err(error) => {
                    metrics::erasure(Outcome::Failed);
                    failures = failures.saturating_add(1);
                    tracing::error!(%uid, %error, "the closed account could not be erased");
                }
            }
        }
        failures
    }
}
