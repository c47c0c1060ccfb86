//! Rate limits and back-off (NIST SP 800-63B, section 5.2.2), as functions of the previous attempts
//! and the time.
//!
//! An attempt is counted before its secret is verified, for unknown addresses as for known ones, so
//! a rejection does not reveal whether an account exists (OWASP Authentication Cheat Sheet).

use serde::{Deserialize, Serialize};

use crate::{Error, domain::one_time_code, platform::clock::Timestamp};

/// Maximum back-off, and the time without an attempt after which failures are forgotten, in
/// seconds.
const QUARTER_HOUR: i64 = 900;
const HOUR: i64 = 3600;

/// The configured limits. The value 0 switches a limit off.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Consecutive wrong passwords or codes for an address before the back-off begins.
    pub sign_in_free_attempts: u32,
    /// Maximum requests of a client network in a calendar minute.
    pub requests_per_minute: u32,
    /// Minimum seconds between two mails of a kind to an address, or to the tagged addresses of a
    /// mailbox.
    pub mail_interval: i64,
    /// Maximum mails of a kind to an address, or to the tagged addresses of a mailbox, within an
    /// hour.
    pub mails_per_hour: usize,
}

impl Limits {
    /// The limit of requests to change the address of an account, which is not configurable: each
    /// request discloses whether an address is taken.
    pub const EMAIL_CHANGE_REQUESTS: Self = Self {
        sign_in_free_attempts: 0,
        requests_per_minute: 0,
        mail_interval: 0,
        mails_per_hour: 5,
    };

    /// The limit of changes of the password in the sessions of an account, which is not
    /// configurable: each voids the reset codes that the owner requests and ends their sessions, so
    /// without it a thief who knows the password could keep the owner out.
    pub const PASSWORD_CHANGES: Self = Self::EMAIL_CHANGE_REQUESTS;
}

/// The consecutive failed attempts for an address. Attempts in progress are included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// The number of attempts.
    pub count: u32,
    /// The time from which the next attempt is permitted, in milliseconds since the Unix epoch.
    pub retry_at: i64,
    /// The time from which the failures are forgotten.
    pub expires_at: Timestamp,
    /// The id of the first counted attempt, whose result is not recorded. If it succeeds while it
    /// is the only one counted, it does not clear the counter, which saves a write in most
    /// sign-ins. The store looks up its result only if a back-off would begin.
    #[serde(rename = "unsettled", default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
}

impl Failures {
    /// The pending attempt, if its result matters now, because the next attempt would start a
    /// back-off.
    #[must_use]
    pub fn pending_to_resolve(&self, limits: &Limits, now: Timestamp) -> Option<&str> {
        let backs_off = self.count >= limits.sign_in_free_attempts
            && self.retry_at <= now.milliseconds()
            && now < self.expires_at;
        self.pending.as_deref().filter(|_| backs_off)
    }

    /// The failures without the pending attempt, which succeeded.
    #[must_use]
    pub fn without_pending(self) -> Self {
        Self {
            count: self.count.saturating_sub(1),
            pending: None,
            ..self
        }
    }

    /// Whether no attempt but this one is counted.
    #[must_use]
    pub fn counts_only(&self, attempt: &str) -> bool {
        self.count == 1 && self.pending.as_deref() == Some(attempt)
    }

    /// The failures to store before an attempt is verified. The first attempt after the free ones
    /// starts a back-off of one second; each further attempt doubles it, up to 15 minutes.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] during a back-off.
    pub fn with_attempt(
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
        let pending =
            before.map_or_else(|| Some(attempt.to_owned()), |before| before.pending.clone());
        Ok(Self {
            count,
            retry_at: (now + wait).milliseconds(),
            expires_at: now + wait + QUARTER_HOUR,
            pending,
        })
    }
}

/// The kinds of mails that are limited. Each has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// The confirmation mail of a sign-up.
    SignUp,
    /// A confirmation mail that was requested again.
    Confirmation,
    /// A mail for a password reset.
    Reset,
    /// A mail to confirm a new address of an account.
    EmailChange,
}

impl From<one_time_code::Kind> for MailKind {
    fn from(kind: one_time_code::Kind) -> Self {
        match kind {
            one_time_code::Kind::Confirmation => Self::Confirmation,
            one_time_code::Kind::Reset => Self::Reset,
        }
    }
}

/// The mails of a kind that were requested within the last hour, for an address, for the tagged
/// addresses of a mailbox, or by an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailLog {
    /// The times of the requests, in milliseconds since the Unix epoch, in ascending order.
    pub asked_at: Vec<i64>,
}

impl MailLog {
    /// The log with a request for a mail at `now`.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] if a limit is reached.
    pub fn with_request(&self, limits: &Limits, now: Timestamp) -> Result<Self, Error> {
        let end = |start: i64, seconds: i64| Timestamp::from_milliseconds(start) + seconds;
        // A concurrent request that began later may be logged already, and clocks differ slightly.
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

    /// Checks that a mail may be requested now, without counting the request. A missing log is an
    /// empty one.
    ///
    /// # Errors
    /// As [`MailLog::with_request`].
    pub fn check(log: Option<&Self>, limits: &Limits, now: Timestamp) -> Result<(), Error> {
        log.map_or(Ok(()), |log| log.with_request(limits, now).map(drop))
    }

    /// The time from which the log affects no limit.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_milliseconds(self.asked_at.last().copied().unwrap_or_default()) + HOUR
    }
}

/// Converts milliseconds to seconds, rounded up, without overflow for any stored time.
fn seconds(milliseconds: i64) -> i64 {
    milliseconds.saturating_add(999) / 1000
}

/// The calendar minute of a time, in minutes since the Unix epoch, and the seconds until its end.
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

    /// The back-offs in seconds of consecutive attempts, each as soon as it is permitted.
    fn delays(limits: &Limits, attempts: usize) -> Vec<i64> {
        let mut failures = None;
        let mut now = NOW;
        let mut next_delay = || {
            let next =
                Failures::with_attempt(failures.as_ref(), "", limits, now).expect("an attempt");
            let wait = (next.retry_at - now.milliseconds()) / 1000;
            (failures, now) = (Some(next), now + wait);
            wait
        };
        (0..attempts).map(|_| next_delay()).collect()
    }

    #[test]
    fn stored_numbers_at_the_limits_of_their_range_do_not_overflow() {
        for retry_at in [i64::MIN, 0, i64::MAX] {
            for expires_at in [i64::MIN, i64::MAX].map(Timestamp::from_milliseconds) {
                let failures = Failures {
                    count: u32::MAX,
                    retry_at,
                    expires_at,
                    pending: None,
                };
                let is_rejected =
                    Failures::with_attempt(Some(&failures), "", &LIMITS, NOW).is_err();
                assert_eq!(
                    is_rejected,
                    retry_at == i64::MAX && expires_at > NOW,
                    "{failures:?}"
                );
            }
            let _ = MailLog {
                asked_at: vec![retry_at, i64::MIN, i64::MAX],
            }
            .with_request(&LIMITS, NOW);
            let _ = MailLog {
                asked_at: vec![retry_at],
            }
            .expires_at();
        }
    }

    #[test]
    fn five_failures_are_free_and_each_further_one_doubles_the_back_off_up_to_15_minutes() {
        assert_eq!(
            delays(&LIMITS, 18),
            [
                0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900
            ]
        );
        assert_eq!(
            delays(
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
    fn an_attempt_during_the_back_off_is_rejected_and_does_not_extend_it() {
        let waiting = Failures {
            count: 8,
            retry_at: (NOW + 4).milliseconds(),
            expires_at: NOW + 904,
            pending: None,
        };
        let attempt = |now| Failures::with_attempt(Some(&waiting), "", &LIMITS, now);
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
    fn failures_are_forgotten_15_minutes_after_the_back_off() {
        let failures = Failures {
            count: 8,
            retry_at: (NOW + 4).milliseconds(),
            expires_at: NOW + 904,
            pending: None,
        };
        assert_eq!(
            Failures::with_attempt(Some(&failures), "", &LIMITS, NOW + 903)
                .expect("an attempt")
                .count,
            9
        );
        assert_eq!(
            Failures::with_attempt(Some(&failures), "", &LIMITS, NOW + 904)
                .expect("an attempt")
                .count,
            1
        );
    }

    #[test]
    fn the_pending_attempt_is_resolved_when_a_back_off_would_begin() {
        let attempt = |before: Option<&Failures>, name| {
            Failures::with_attempt(before, name, &LIMITS, NOW).expect("an attempt")
        };
        let first = attempt(None, "first");
        assert!(first.counts_only("first") && !first.counts_only("second"));
        let second = attempt(Some(&first), "second");
        assert!(!second.counts_only("first") && !second.counts_only("second"));
        let four = attempt(Some(&attempt(Some(&second), "")), "");
        assert_eq!(
            (four.count, four.pending_to_resolve(&LIMITS, NOW)),
            (4, None)
        );
        let five = attempt(Some(&four), "");
        assert_eq!(five.pending_to_resolve(&LIMITS, NOW), Some("first"));
        assert_eq!(
            five.pending_to_resolve(&LIMITS, NOW + QUARTER_HOUR),
            None,
            "the failures are forgotten"
        );
        let six = attempt(Some(&five), "");
        assert_eq!(
            six.pending_to_resolve(&LIMITS, NOW),
            None,
            "the back-off has begun"
        );
        assert_eq!(six.pending_to_resolve(&LIMITS, NOW + 1), Some("first"));
        let resolved = five.without_pending();
        assert_eq!(
            (resolved.count, resolved.pending_to_resolve(&LIMITS, NOW)),
            (4, None)
        );
    }

    /// The log of requests at these seconds after `NOW`.
    fn log(limits: &Limits, seconds: &[i64]) -> MailLog {
        seconds.iter().fold(MailLog::default(), |log, &at| {
            log.with_request(limits, NOW + at).expect("a mail")
        })
    }

    #[test]
    fn a_mail_is_rejected_within_the_interval() {
        assert_eq!(
            retry_after(log(&LIMITS, &[0]).with_request(&LIMITS, NOW + 59)),
            Some(1)
        );
        assert!(log(&LIMITS, &[0]).with_request(&LIMITS, NOW + 60).is_ok());
    }

    #[test]
    fn the_sixth_mail_is_rejected_until_the_first_is_an_hour_old() {
        let five = log(&LIMITS, &[0, 60, 120, 180, 240]);
        assert_eq!(
            retry_after(five.with_request(&LIMITS, NOW + 300)),
            Some(3300)
        );
        let six = five.with_request(&LIMITS, NOW + 3600).expect("a mail");
        assert_eq!(retry_after(six.with_request(&LIMITS, NOW + 3659)), Some(1));
        assert_eq!(six.asked_at.len(), 5);
        assert_eq!(six.expires_at(), NOW + 7200);
    }

    #[test]
    fn a_request_that_began_before_the_last_mail_waits_no_longer_than_the_limit() {
        let before = Timestamp::from_milliseconds(NOW.milliseconds() - 1);
        assert_eq!(
            retry_after(log(&LIMITS, &[0]).with_request(&LIMITS, before)),
            Some(60)
        );
        let hourly = Limits {
            mail_interval: 0,
            mails_per_hour: 1,
            ..LIMITS
        };
        assert_eq!(
            retry_after(log(&hourly, &[0]).with_request(&hourly, before)),
            Some(3600)
        );
    }

    #[test]
    fn each_mail_limit_can_be_switched_off() {
        let hourly = Limits {
            mail_interval: 0,
            mails_per_hour: 2,
            ..LIMITS
        };
        assert_eq!(
            retry_after(log(&hourly, &[0, 0]).with_request(&hourly, NOW)),
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
                .with_request(&none, NOW)
                .is_ok()
        );
    }

    #[test]
    fn a_log_over_a_reduced_limit_waits_until_enough_mails_are_an_hour_old() {
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
            retry_after(before.with_request(&stricter, NOW + 50)),
            Some(3580)
        );
    }

    #[test]
    fn a_minute_is_a_calendar_minute() {
        assert_eq!(minute(Timestamp::from_seconds(0)), (0, 60));
        assert_eq!(minute(Timestamp::from_seconds(119)), (1, 1));
        assert_eq!(minute(Timestamp::from_milliseconds(119_999)), (1, 1));
    }
}
