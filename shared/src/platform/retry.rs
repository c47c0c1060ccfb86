//! Delays between retries: exponential back-off with full jitter, within a time budget.
//!
//! The SDK retries failed calls itself. These delays are for failures that it does not retry:
//! transaction conflicts, unprocessed items of a batch, and conditional writes that conflict with
//! another write.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::platform::random;

/// Maximum delay before the second attempt. It doubles with each further attempt.
const BASE: Duration = Duration::from_millis(20);
/// Maximum delay before any attempt.
const CAP: Duration = Duration::from_millis(250);
/// Time after which no attempt begins. The last attempt takes at most 3 s in the SDK, so half of a
/// function's timeout of 10 s remains.
const BUDGET: Duration = Duration::from_secs(2);

/// The delays between the attempts of one operation.
#[derive(Debug)]
pub struct Backoff {
    started: Instant,
    retries: u32,
}

impl Backoff {
    /// Starts the time budget. Must be called before the first attempt, because attempts count
    /// against the budget too.
    #[must_use]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            retries: 0,
        }
    }

    /// Waits before the next attempt. Returns `false`, without waiting, if the budget does not
    /// allow another attempt.
    pub async fn wait(&mut self) -> bool {
        let delay = jittered(max_delay(self.retries));
        self.retries = self.retries.saturating_add(1);
        if self.started.elapsed() + delay > BUDGET {
            return false;
        }
        sleep(delay).await;
        true
    }
}

fn max_delay(retries: u32) -> Duration {
    BASE.saturating_mul(2_u32.saturating_pow(retries)).min(CAP)
}

/// A random delay between zero and `maximum`, evenly distributed ("full jitter"), so that requests
/// that conflict with each other are retried at different times.
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
fn jittered(maximum: Duration) -> Duration {
    maximum.mul_f64(f64::from(u32::from_be_bytes(random::bytes())) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_delay_doubles_up_to_the_cap() {
        let milliseconds: Vec<u128> = (0..7)
            .map(|retries| max_delay(retries).as_millis())
            .collect();
        assert_eq!(milliseconds, [20, 40, 80, 160, 250, 250, 250]);
        assert_eq!(max_delay(u32::MAX), CAP);
    }

    #[test]
    fn delays_are_spread_between_zero_and_the_maximum() {
        let delays: Vec<Duration> = (0..1000).map(|_| jittered(CAP)).collect();
        assert!(delays.iter().all(|delay| *delay <= CAP));
        assert!(
            delays.iter().any(|delay| *delay < CAP / 4)
                && delays.iter().any(|delay| *delay > CAP / 4 * 3)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_allows_at_least_six_retries_and_none_after_it() {
        for _ in 0..100 {
            let started = Instant::now();
            let mut backoff = Backoff::start();
            let mut retries = 0;
            while backoff.wait().await {
                retries += 1;
            }
            assert!(retries >= 6, "{retries}");
            assert!(
                started.elapsed() <= BUDGET && started.elapsed() + CAP > BUDGET,
                "{:?}",
                started.elapsed()
            );
            assert!(!backoff.wait().await || started.elapsed() <= BUDGET);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_count_against_the_budget() {
        let mut backoff = Backoff::start();
        tokio::time::advance(BUDGET).await;
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!backoff.wait().await);
    }
}
