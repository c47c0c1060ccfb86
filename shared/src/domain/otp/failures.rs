//! Back-off after wrong codes of the second factor at sign-in.
//!
//! Only the owner, or a person who knows the password, can cause these failures, so time does not
//! forget them. They are part of the user's item, because nothing in it expires.

use crate::{Error, domain::user::User, platform::clock::Timestamp};

/// Consecutive wrong codes without a back-off.
const FREE: u32 = 5;
/// Maximum back-off, in seconds: a day.
const MAX_WAIT: i64 = 86_400;
/// Consecutive wrong TOTP codes after which no TOTP code is verified.
const LOCK: u32 = 100;
/// Consecutive wrong codes after which the owner gets a notice that the password is known.
const NOTICE: u32 = 3;
/// Minimum seconds between two of these notices: a day.
const NOTICE_INTERVAL: i64 = 86_400;

/// The kinds of codes, whose failures are counted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeKind {
    /// TOTP codes.
    Totp,
    /// Recovery codes.
    Recovery,
}

/// The consecutive wrong codes of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeFailures {
    /// The number of wrong codes.
    pub count: u32,
    /// The time from which the next code is verified, if there is a back-off.
    pub retry_at: Option<Timestamp>,
}

impl CodeFailures {
    /// The failures of a user.
    #[must_use]
    pub const fn of(user: &User, kind: CodeKind) -> Self {
        match kind {
            CodeKind::Totp => Self {
                count: user.totp_failures,
                retry_at: user.totp_retry_at,
            },
            CodeKind::Recovery => Self {
                count: user.recovery_failures,
                retry_at: user.recovery_retry_at,
            },
        }
    }

    /// Checks that a code of the kind may be verified now.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] during a back-off, and for TOTP codes after 100 failures.
    pub fn check(self, kind: CodeKind, now: Timestamp) -> Result<(), Error> {
        if kind == CodeKind::Totp && self.count >= LOCK {
            return Err(Error::TooManyAttempts {
                retry_after: MAX_WAIT,
            });
        }
        match self.retry_at {
            Some(retry_at) if now < retry_at => Err(Error::TooManyAttempts {
                retry_after: retry_at.seconds().saturating_sub(now.seconds()).max(1),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// The failures with one more. The first after the free ones starts a back-off of one second;
    /// each further one doubles it, up to a day.
    #[must_use]
    pub fn with_failure(self, now: Timestamp) -> Self {
        let count = self.count.saturating_add(1);
        let wait = count.checked_sub(FREE + 1).map(|doublings| {
            1_i64
                .checked_shl(doublings)
                .filter(|wait| (1..MAX_WAIT).contains(wait))
                .unwrap_or(MAX_WAIT)
        });
        Self {
            count,
            retry_at: wait.map(|wait| now + wait),
        }
    }
}

/// Whether one more wrong code makes a notice due: it is at least the third in a row, and the last
/// notice is a day old. `on_device` is the number of wrong codes that are counted on the device.
#[must_use]
pub fn password_known_notice_is_due(user: &User, on_device: u32, now: Timestamp) -> bool {
    let in_a_row = user
        .totp_failures
        .saturating_add(user.recovery_failures)
        .saturating_add(on_device)
        .saturating_add(1);
    in_a_row >= NOTICE
        && user
            .password_known_at
            .is_none_or(|sent_at| now >= sent_at + NOTICE_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn after(count: u32) -> CodeFailures {
        (0..count).fold(CodeFailures::default(), |failures, _| {
            failures.with_failure(NOW)
        })
    }

    fn wait(count: u32, kind: CodeKind, now: Timestamp) -> Option<i64> {
        after(count)
            .check(kind, now)
            .err()
            .and_then(|error| error.retry_after())
    }

    #[test]
    fn five_wrong_codes_are_free_and_each_further_one_doubles_the_back_off_up_to_a_day() {
        for (count, seconds) in [
            (0, None),
            (5, None),
            (6, Some(1)),
            (7, Some(2)),
            (12, Some(64)),
            (22, Some(65_536)),
            (23, Some(86_400)),
            (60, Some(86_400)),
            (99, Some(86_400)),
        ] {
            for kind in [CodeKind::Totp, CodeKind::Recovery] {
                assert_eq!(wait(count, kind, NOW), seconds, "{count}");
            }
        }
        assert_eq!(wait(7, CodeKind::Totp, NOW + 1), Some(1));
        assert_eq!(wait(7, CodeKind::Totp, NOW + 2), None);
    }

    #[test]
    fn time_forgets_no_wrong_code() {
        let later = NOW + 10_000_000;
        let failures = after(30).with_failure(later);
        assert_eq!(
            (failures.count, failures.retry_at),
            (31, Some(later + 86_400))
        );
    }

    #[test]
    fn after_a_hundred_wrong_codes_only_recovery_codes_are_verified() {
        let later = NOW + 10_000_000;
        assert_eq!(wait(100, CodeKind::Totp, later), Some(86_400));
        assert_eq!(wait(100, CodeKind::Recovery, later), None);
        assert_eq!(wait(99, CodeKind::Totp, later), None);
    }

    #[test]
    fn the_third_wrong_code_in_a_row_makes_a_notice_due_once_a_day() {
        let user = |totp: u32, recovery: u32, sent: Option<i64>| -> User {
            serde_json::from_value(serde_json::json!({
                "uid": "ID0123456789", "email": "a@b.c", "password_hash": "x", "state": "active", "role": "member",
                "level": 0, "session_epoch": 0, "created_at": 0, "updated_at": 0,
                "totp_failures": totp, "recovery_failures": recovery, "password_known_at": sent,
            }))
            .expect("a user")
        };
        let now = NOW.seconds();
        for (totp, recovery, sent, due) in [
            (0, 0, None, false),
            (1, 0, None, false),
            (2, 0, None, true),
            (1, 1, None, true),
            (50, 0, Some(now - 86_399), false),
            (50, 0, Some(now - 86_400), true),
        ] {
            assert_eq!(
                password_known_notice_is_due(&user(totp, recovery, sent), 0, NOW),
                due,
                "{totp} {recovery} {sent:?}"
            );
        }
        assert!(!password_known_notice_is_due(&user(0, 0, None), 1, NOW));
        assert!(password_known_notice_is_due(&user(0, 0, None), 2, NOW));
        assert!(password_known_notice_is_due(&user(1, 0, None), 1, NOW));
    }
}
