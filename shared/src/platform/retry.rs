//! Retries of what failed only for the moment: exponential back-off with full jitter, within a
//! budget of time.
//!
//! The SDK retries calls that fail. This is for what it does not see: transactions that lost to
//! another, the rest of a batch, conditional writes that another write overtook.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::platform::random;

/// The longest delay before the second attempt. It doubles from attempt to attempt.
const BASE: Duration = Duration::from_millis(20);
/// The longest delay before any attempt.
const CAP: Duration = Duration::from_millis(250);
/// Time after which no attempt begins. With the last attempt, which has 3 s in the SDK, it leaves
/// half of a function's 10 s.
const BUDGET: Duration = Duration::from_secs(2);

/// The delays of one operation that is retried.
#[derive(Debug)]
pub struct Backoff {
    begun: Instant,
    retries: u32,
}

impl Backoff {
    /// To be called before the first attempt, for the attempts count against the budget too.
    #[must_use]
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
            retries: 0,
        }
    }

    /// Waits before the next attempt; `false`, without waiting, if the budget does not allow one.
    pub async fn wait(&mut self) -> bool {
        let delay = jittered(longest(self.retries));
        self.retries = self.retries.saturating_add(1);
        if self.begun.elapsed() + delay > BUDGET {
            return false;
        }
        sleep(delay).await;
        true
    }
}

fn longest(retries: u32) -> Duration {
    BASE.saturating_mul(2_u32.saturating_pow(retries)).min(CAP)
}

/// A duration between nothing and that, each as likely: full jitter keeps those apart who lost to
/// each other.
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(f64::from(u32::from_be_bytes(random::bytes())) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_delay_doubles_up_to_the_cap() {
        let milliseconds: Vec<u128> = (0..7).map(|retries| longest(retries).as_millis()).collect();
        assert_eq!(milliseconds, [20, 40, 80, 160, 250, 250, 250]);
        assert_eq!(longest(u32::MAX), CAP);
    }

    #[test]
    fn a_delay_is_anything_from_nothing_to_the_longest() {
        let delays: Vec<Duration> = (0..1000).map(|_| jittered(CAP)).collect();
        assert!(delays.iter().all(|delay| *delay <= CAP));
        assert!(
            delays.iter().any(|delay| *delay < CAP / 4)
                && delays.iter().any(|delay| *delay > CAP / 4 * 3)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn six_retries_always_fit_into_the_budget_and_none_begins_after_it() {
        for _ in 0..100 {
            let begun = Instant::now();
            let mut backoff = Backoff::start();
            let mut retries = 0;
            while backoff.wait().await {
                retries += 1;
            }
            assert!(retries >= 6, "{retries}");
            assert!(
                begun.elapsed() <= BUDGET && begun.elapsed() + CAP > BUDGET,
                "{:?}",
                begun.elapsed()
            );
            assert!(!backoff.wait().await || begun.elapsed() <= BUDGET);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_attempts_use_up_the_budget() {
        let mut backoff = Backoff::start();
        tokio::time::advance(BUDGET).await;
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!backoff.wait().await);
    }
}
