//! The one place that asks the machine for the time, for random bytes and for environment
//! variables.

#![expect(
    clippy::disallowed_methods,
    reason = "this is their one source in the development stack"
)]

use crate::Error;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use time::OffsetDateTime;

pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// A moment to measure from.
#[derive(Clone, Copy)]
pub struct Moment(Instant);

impl Moment {
    #[must_use]
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// Time since then.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Milliseconds since 1970.
pub fn now_millis() -> u64 {
    u64::try_from(now().unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

/// Fills with bytes that nobody can guess.
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(format!("This machine gives no random bytes: {error}")))?;
    Ok(bytes)
}

pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The variables of this process whose names begin with `prefix`.
pub fn variables(prefix: &str) -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(move |(name, _)| name.starts_with(prefix))
}

/// A panic elsewhere leaves what the mutex guards here as it was: every change is one assignment.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client for services of this machine. It uses no proxy, whatever the environment says: passwords
/// and secrets pass through it.
pub fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap_or_default()
}
