//! How often something may be tried: the rules, as functions of what was tried before and the time.
//!
//! What is tried is counted before it is looked at, for unknown addresses as for known ones, so
//! that a refusal tells nothing.

use serde::{Deserialize, Serialize};

use crate::{Error, platform::clock::Timestamp};

/// Seconds that a wait lasts at the most, and seconds of quiet after which failures are forgotten.
const QUARTER_HOUR: i64 = 900;
const HOUR: i64 = 3600;

/// What an operator allows. Of each number, 0 means that there is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Wrong passwords or codes in a row for an address before waits begin.
    pub sign_in_free_attempts: u32,
    /// Requests from a client address within a calendar minute.
    pub requests_per_minute: u32,
    /// Seconds between two mails of a kind to an address.
    pub mail_interval: i64,
    /// Mails of a kind to an address within an hour.
    pub mails_per_hour: usize,
}

/// Wrong passwords and codes in a row for an address, those that are being looked at included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// Milliseconds since the Unix epoch: when the next attempt is looked at.
    pub retry_at: i64,
    /// When they are forgotten.
    pub expires_at: Timestamp,
    /// One of those counted, which may have succeeded all the same. A success that comes first of
    /// all would have nothing to clear but itself, so it leaves that for later, when there is
    /// almost never anybody any more to whom it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<String>,
}

impl Failures {
    /// The attempt of which it has to be known now whether it succeeded: one more would make a wait
    /// begin.
    #[must_use]
    pub fn to_be_settled(&self, limits: &Limits, now: Timestamp) -> Option<&str> {
        let matters = self.count >= limits.sign_in_free_attempts
            && self.retry_at <= now.milliseconds()
            && now < self.expires_at;
        self.unsettled.as_deref().filter(|_| matters)
    }

    /// The same without the attempt that succeeded.
    #[must_use]
    pub fn settled(self) -> Self {
        Self {
            count: self.count.saturating_sub(1),
            unsettled: None,
            ..self
        }
    }

    /// Whether there is nothing but this attempt.
    #[must_use]
    pub fn is_only(&self, attempt: &str) -> bool {
        self.count == 1 && self.unsettled.as_deref() == Some(attempt)
    }

    /// What is to be stored before one more attempt is looked at, or how long it has to wait. The
    /// free ones wait for nothing; the one after them starts a wait of a second, and each further
    /// one doubles it.
    pub fn with_one_more(
        before: Option<&Self>,
        attempt: &str,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let before = before.filter(|before| now < before.expires_at);
        if let Some(wait) = before
            .map(|before| before.retry_at.saturating_sub(now.milliseconds()))
            .filter(|&wait| wait > 0)
        {
            return Err(Error::TooManyAttempts {
                retry_after: seconds(wait),
            });
        }
        let count = before.map_or(0, |before| before.count).saturating_add(1);
        let wait = match count.checked_sub(limits.sign_in_free_attempts.saturating_add(1)) {
            None => 0,
            Some(doublings) => 1_i64
                .checked_shl(doublings)
                .filter(|&wait| (1..QUARTER_HOUR).contains(&wait))
                .unwrap_or(QUARTER_HOUR),
        };
        let unsettled = before.map_or_else(
            || Some(attempt.to_owned()),
            |before| before.unsettled.clone(),
        );
        Ok(Self {
            count,
            retry_at: (now + wait).milliseconds(),
            expires_at: now + wait + QUARTER_HOUR,
            unsettled,
        })
    }
}

/// When mails of a kind were asked for to an address, within the last hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailLog {
    /// Milliseconds since the Unix epoch, the latest last.
    pub asked_at: Vec<i64>,
}

impl MailLog {
    /// The log with one more mail, or how long that has to wait.
    pub fn with_one_more(&self, limits: &Limits, now: Timestamp) -> Result<Self, Error> {
        let end = |start: i64, seconds: i64| Timestamp::from_milliseconds(start) + seconds;
        // Of two requests at once the one that began first may come second, and clocks differ a
        // little.
        let now = self
            .asked_at
            .last()
            .map_or(now, |&last| now.max(Timestamp::from_milliseconds(last)));
        let mut asked_at: Vec<i64> = self
            .asked_at
            .iter()
            .copied()
            .filter(|&at| now < end(at, HOUR))
            .collect();
        let after_last = asked_at
            .last()
            .filter(|_| limits.mail_interval > 0)
            .map(|&last| end(last, limits.mail_interval));
        let full = limits.mails_per_hour > 0 && asked_at.len() >= limits.mails_per_hour;
        let after_oldest = full
            .then(|| {
                asked_at
                    .get(asked_at.len() - limits.mails_per_hour)
                    .map(|&at| end(at, HOUR))
            })
            .flatten();
        if let Some(next) = after_last.max(after_oldest).filter(|&next| now < next) {
            return Err(Error::TooManyAttempts {
                retry_after: seconds(next.milliseconds().saturating_sub(now.milliseconds())),
            });
        }
        asked_at.push(now.milliseconds());
        let needed = limits.mails_per_hour.max(1);
        Ok(Self {
            asked_at: asked_at.split_off(asked_at.len().saturating_sub(needed)),
        })
    }

    /// Whether one more mail may be asked for now, after what a log says, if there is one; nothing
    /// is counted.
    pub fn check(log: Option<&Self>, limits: &Limits, now: Timestamp) -> Result<(), Error> {
        log.map_or(Ok(()), |log| log.with_one_more(limits, now).map(drop))
    }

    /// When nothing of it matters any more.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_milliseconds(self.asked_at.last().copied().unwrap_or_default()) + HOUR
    }
}

/// Whole seconds, rounded up. Stored times can be any number, so nothing here may overflow.
fn seconds(milliseconds: i64) -> i64 {
    milliseconds.saturating_add(999) / 1000
}

/// The calendar minute of a moment, in minutes since the Unix epoch, and the seconds that are left
/// of it.
#[must_use]
pub fn minute(now: Timestamp) -> (i64, i64) {
    let seconds = now.seconds();
    (seconds.div_euclid(60), 60 - seconds.rem_euclid(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const LIMITS: Limits = Limits {
        sign_in_free_attempts: 5,
        requests_per_minute: 60,
        mail_interval: 60,
        mails_per_hour: 5,
    };

    fn retry_after<T>(result: Result<T, Error>) -> Option<i64> {
        result.err().and_then(|error| error.retry_after())
    }

    /// Attempts one after the other, each as soon as it is looked at; the waits in seconds.
    fn waits(limits: &Limits, attempts: usize) -> Vec<i64> {
        let mut failures = None;
        let mut now = NOW;
        let mut one_more = || {
            let next =
                Failures::with_one_more(failures.as_ref(), "", limits, now).expect("an attempt");
            let wait = (next.retry_at - now.milliseconds()) / 1000;
            (failures, now) = (Some(next), now + wait);
            wait
        };
        (0..attempts).map(|_| one_more()).collect()
    }

    #[test]
    fn stored_numbers_at_the_end_of_their_range_overflow_nothing() {
        for retry_at in [i64::MIN, 0, i64::MAX] {
            for expires_at in [i64::MIN, i64::MAX].map(Timestamp::from_milliseconds) {
                let failures = Failures {
                    count: u32::MAX,
                    retry_at,
                    expires_at,
                    unsettled: None,
                };
                let waits = Failures::with_one_more(Some(&failures), "", &LIMITS, NOW).is_err();
                assert_eq!(
                    waits,
                    retry_at == i64::MAX && expires_at > NOW,
                    "{failures:?}"
                );
            }
            let _ = MailLog {
                asked_at: vec![retry_at, i64::MIN, i64::MAX],
            }
            .with_one_more(&LIMITS, NOW);
            let _ = MailLog {
                asked_at: vec![retry_at],
            }
            .expires_at();
        }
    }

    #[test]
    fn five_failures_are_free_and_each_further_one_doubles_the_wait_up_to_15_minutes() {
        assert_eq!(
            waits(&LIMITS, 18),
            [
                0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900
            ]
        );
        assert_eq!(
            waits(
                &Limits {
                    sign_in_free_attempts: 1,
                    ..LIMITS
                },
                80
            )
            .last(),
            Some(&900)
        );
    }

    #[test]
    fn during_the_wait_nothing_is_looked_at_and_the_wait_stays() {
        let waiting = Failures {
            count: 8,
            retry_at: (NOW + 4).milliseconds(),
            expires_at: NOW + 904,
            unsettled: None,
        };
        let attempt = |now| Failures::with_one_more(Some(&waiting), "", &LIMITS, now);
        assert_eq!(retry_after(attempt(NOW)), Some(4));
        assert_eq!(
            retry_after(attempt(Timestamp::from_milliseconds(
                (NOW + 3).milliseconds() + 1
            ))),
            Some(1)
        );
        assert_eq!(attempt(NOW + 4).expect("an attempt").count, 9);
    }

    #[test]
    fn fifteen_quiet_minutes_after_the_wait_forget_the_failures() {
        let failures = Failures {
            count: 8,
            retry_at: (NOW + 4).milliseconds(),
            expires_at: NOW + 904,
            unsettled: None,
        };
        assert_eq!(
            Failures::with_one_more(Some(&failures), "", &LIMITS, NOW + 903)
                .expect("an attempt")
                .count,
            9
        );
        assert_eq!(
            Failures::with_one_more(Some(&failures), "", &LIMITS, NOW + 904)
                .expect("an attempt")
                .count,
            1
        );
    }

    #[test]
    fn what_became_of_the_first_attempt_matters_when_a_wait_would_begin() {
        let attempt = |before: Option<&Failures>, name| {
            Failures::with_one_more(before, name, &LIMITS, NOW).expect("an attempt")
        };
        let first = attempt(None, "first");
        assert!(first.is_only("first") && !first.is_only("second"));
        let second = attempt(Some(&first), "second");
        assert!(!second.is_only("first") && !second.is_only("second"));
        let four = attempt(Some(&attempt(Some(&second), "")), "");
        assert_eq!((four.count, four.to_be_settled(&LIMITS, NOW)), (4, None));
        let five = attempt(Some(&four), "");
        assert_eq!(five.to_be_settled(&LIMITS, NOW), Some("first"));
        assert_eq!(
            five.to_be_settled(&LIMITS, NOW + QUARTER_HOUR),
            None,
            "all of it is forgotten"
        );
        let six = attempt(Some(&five), "");
        assert_eq!(six.to_be_settled(&LIMITS, NOW), None, "the wait has begun");
        assert_eq!(six.to_be_settled(&LIMITS, NOW + 1), Some("first"));
        let settled = five.settled();
        assert_eq!(
            (settled.count, settled.to_be_settled(&LIMITS, NOW)),
            (4, None)
        );
    }

    /// The log after mails that were asked for at these seconds after `NOW`.
    fn log(limits: &Limits, seconds: &[i64]) -> MailLog {
        seconds.iter().fold(MailLog::default(), |log, &at| {
            log.with_one_more(limits, NOW + at).expect("a mail")
        })
    }

    #[test]
    fn a_mail_waits_for_the_interval() {
        assert_eq!(
            retry_after(log(&LIMITS, &[0]).with_one_more(&LIMITS, NOW + 59)),
            Some(1)
        );
        assert!(log(&LIMITS, &[0]).with_one_more(&LIMITS, NOW + 60).is_ok());
    }

    #[test]
    fn the_sixth_mail_waits_until_the_first_is_an_hour_old() {
        let five = log(&LIMITS, &[0, 60, 120, 180, 240]);
        assert_eq!(
            retry_after(five.with_one_more(&LIMITS, NOW + 300)),
            Some(3300)
        );
        let six = five.with_one_more(&LIMITS, NOW + 3600).expect("a mail");
        assert_eq!(retry_after(six.with_one_more(&LIMITS, NOW + 3659)), Some(1));
        assert_eq!(six.asked_at.len(), 5);
        assert_eq!(six.expires_at(), NOW + 7200);
    }

    #[test]
    fn who_began_before_the_last_mail_waits_no_longer_than_the_limit() {
        let before = Timestamp::from_milliseconds(NOW.milliseconds() - 1);
        assert_eq!(
            retry_after(log(&LIMITS, &[0]).with_one_more(&LIMITS, before)),
            Some(60)
        );
        let hourly = Limits {
            mail_interval: 0,
            mails_per_hour: 1,
            ..LIMITS
        };
        assert_eq!(
            retry_after(log(&hourly, &[0]).with_one_more(&hourly, before)),
            Some(3600)
        );
    }

    #[test]
    fn either_limit_may_be_off() {
        let hourly = Limits {
            mail_interval: 0,
            mails_per_hour: 2,
            ..LIMITS
        };
        assert_eq!(
            retry_after(log(&hourly, &[0, 0]).with_one_more(&hourly, NOW)),
            Some(3600)
        );
        let interval = Limits {
            mails_per_hour: 0,
            ..LIMITS
        };
        assert_eq!(
            log(&interval, &[0, 60, 120, 180, 240, 300, 360])
                .asked_at
                .len(),
            1
        );
        let none = Limits {
            mail_interval: 0,
            mails_per_hour: 0,
            ..LIMITS
        };
        assert!(
            log(&none, &[0, 0, 0, 0, 0, 0, 0])
                .with_one_more(&none, NOW)
                .is_ok()
        );
    }

    #[test]
    fn a_fuller_log_than_the_limit_waits_for_the_mail_that_must_grow_old() {
        let before = log(
            &Limits {
                mail_interval: 0,
                ..LIMITS
            },
            &[0, 10, 20, 30, 40],
        );
        let stricter = Limits {
            mail_interval: 0,
            mails_per_hour: 2,
            ..LIMITS
        };
        assert_eq!(
            retry_after(before.with_one_more(&stricter, NOW + 50)),
            Some(3580)
        );
    }

    #[test]
    fn a_minute_is_one_of_the_calendar() {
        assert_eq!(minute(Timestamp::from_seconds(0)), (0, 60));
        assert_eq!(minute(Timestamp::from_seconds(119)), (1, 1));
        assert_eq!(minute(Timestamp::from_milliseconds(119_999)), (1, 1));
    }
}
