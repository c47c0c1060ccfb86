//! The only source of the current time.

use std::{ops::Add, time::Instant};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A point in time, with a resolution of a millisecond. It is serialized as whole seconds since the
/// Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Timestamp {
    milliseconds: i64,
}

impl Timestamp {
    /// A time that never comes.
    pub const MAX: Self = Self {
        milliseconds: i64::MAX,
    };

    /// The time that is this many seconds after the Unix epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self {
            milliseconds: seconds.saturating_mul(1000),
        }
    }

    /// The time that is this many milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_milliseconds(milliseconds: i64) -> Self {
        Self { milliseconds }
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.milliseconds.div_euclid(1000)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn milliseconds(self) -> i64 {
        self.milliseconds
    }

    /// Parses RFC 3339, for example `2026-01-31T23:59:59.999+01:00`.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Some(Self {
            milliseconds: time
                .unix_timestamp()
                .checked_mul(1000)?
                .checked_add(time.millisecond().into())?,
        })
    }

    /// RFC 3339 in UTC, without fractions of a second: `2026-01-31T23:59:59Z`. Empty for a year
    /// beyond 9999.
    #[must_use]
    pub fn rfc3339(self) -> String {
        OffsetDateTime::from_unix_timestamp(self.seconds())
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok())
            .unwrap_or_default()
    }
}

impl From<i64> for Timestamp {
    fn from(seconds: i64) -> Self {
        Self::from_seconds(seconds)
    }
}

impl From<Timestamp> for i64 {
    fn from(time: Timestamp) -> Self {
        time.seconds()
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
    reason = "the only source of the current time"
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

/// Measures a duration by a monotonic clock, which changes of the system time do not affect.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts the measurement.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the only source of the current time"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the start, rounded to a tenth.
    #[must_use]
    pub fn milliseconds(self) -> f64 {
        (self.0.elapsed().as_secs_f64() * 10_000.0).round() / 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_parsed_with_its_offset_and_fraction() {
        let parse = |text| Timestamp::parse_rfc3339(text).map(Timestamp::milliseconds);
        assert_eq!(parse("2025-12-31T23:59:59.999Z"), Some(1_767_225_599_999));
        assert_eq!(parse("2026-01-01T00:59:59+01:00"), Some(1_767_225_599_000));
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "1767225599",
            "2026-13-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_formatted_in_utc_without_fractions() {
        assert_eq!(Timestamp::from_seconds(0).rfc3339(), "1970-01-01T00:00:00Z");
        let time = Timestamp::from_milliseconds(1_767_225_599_999);
        assert_eq!(
            (time.rfc3339().as_str(), time.seconds()),
            ("2025-12-31T23:59:59Z", 1_767_225_599)
        );
        assert_eq!(serde_json::to_string(&time).expect("JSON"), "1767225599");
        assert!(
            time > Timestamp::from_seconds(1_767_225_599)
                && time + 1 > Timestamp::from_seconds(1_767_225_600)
        );
    }
}
