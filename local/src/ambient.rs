//! The only source of time, random bytes and environment variables in the development stack.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one source of these values in the development stack"
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

/// A point in time, for measuring durations.
#[derive(Clone, Copy)]
pub struct Moment(Instant);

impl Moment {
    #[must_use]
    pub fn now() -> Self {
        Self(Instant::now())
    }

    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_millis() -> u64 {
    u64::try_from(now().unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

/// Random bytes for keys and identifiers, from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(format!("The system provides no random bytes: {error}")))?;
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

/// Locks a mutex and ignores poisoning: every change under a lock of this crate is one assignment,
/// so a panic leaves consistent data.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An HTTP client for services on this machine. It ignores proxy settings, because passwords and
/// secrets pass through it.
pub fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap_or_default()
}
