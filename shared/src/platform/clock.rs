//! The one source of time.

use std::{ops::Add, time::Instant};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment, exact to the millisecond. Stored, signed and told it is whole seconds since the Unix
/// epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Timestamp {
    milliseconds: i64,
}

impl Timestamp {
    /// The moment that many seconds after the Unix epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self {
            milliseconds: seconds.saturating_mul(1000),
        }
    }

    /// The moment that many milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_milliseconds(milliseconds: i64) -> Self {
        Self { milliseconds }
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.milliseconds.div_euclid(1000)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn milliseconds(self) -> i64 {
        self.milliseconds
    }

    /// Reads RFC 3339, as `2026-01-31T23:59:59.999+01:00`.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Some(Self {
            milliseconds: moment
                .unix_timestamp()
                .checked_mul(1000)?
                .checked_add(moment.millisecond().into())?,
        })
    }

    /// RFC 3339 in UTC, as `2026-01-31T23:59:59Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        OffsetDateTime::from_unix_timestamp(self.seconds())
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok())
            .unwrap_or_default()
    }
}

impl From<i64> for Timestamp {
    fn from(seconds: i64) -> Self {
        Self::from_seconds(seconds)
    }
}

impl From<Timestamp> for i64 {
    fn from(moment: Timestamp) -> Self {
        moment.seconds()
    }
}

/// Adds seconds.
impl Add<i64> for Timestamp {
    type Output = Self;

    fn add(self, seconds: i64) -> Self {
        Self {
            milliseconds: self
                .milliseconds
                .saturating_add(seconds.saturating_mul(1000)),
        }
    }
}

/// The current time.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clock"
)]
pub fn now() -> Timestamp {
    let now = OffsetDateTime::now_utc();
    Timestamp {
        milliseconds: now
            .unix_timestamp()
            .saturating_mul(1000)
            .saturating_add(now.millisecond().into()),
    }
}

/// Measures how long something takes, whatever is done to the clock meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the beginning, to a tenth.
    #[must_use]
    pub fn milliseconds(self) -> f64 {
        (self.0.elapsed().as_secs_f64() * 10_000.0).round() / 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_its_offset_and_fraction() {
        let read = |text| Timestamp::parse_rfc3339(text).map(Timestamp::milliseconds);
        assert_eq!(read("2025-12-31T23:59:59.999Z"), Some(1_767_225_599_999));
        assert_eq!(read("2026-01-01T00:59:59+01:00"), Some(1_767_225_599_000));
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "1767225599",
            "2026-13-01T00:00:00Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_told_in_utc_to_the_second() {
        assert_eq!(Timestamp::from_seconds(0).rfc3339(), "1970-01-01T00:00:00Z");
        let moment = Timestamp::from_milliseconds(1_767_225_599_999);
        assert_eq!(
            (moment.rfc3339().as_str(), moment.seconds()),
            ("2025-12-31T23:59:59Z", 1_767_225_599)
        );
        assert_eq!(serde_json::to_string(&moment).expect("JSON"), "1767225599");
        assert!(
            moment > Timestamp::from_seconds(1_767_225_599)
                && moment + 1 > Timestamp::from_seconds(1_767_225_600)
        );
    }
}
