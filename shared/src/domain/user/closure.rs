//! Accounts that their owners closed. A password reset reopens such an account until it is erased.

use std::fmt;

use super::{State, User};
use crate::platform::clock::Timestamp;

const DAY: i64 = 86_400;

/// The time after which a closed account is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedLifetime(Option<i64>);

/// A day in UTC, as the number of days since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(i64);

impl ClosedLifetime {
    /// This number of days; 0 means that no account is erased.
    #[must_use]
    pub const fn days(days: i64) -> Self {
        match days {
            0 => Self(None),
            days => Self(Some(days.saturating_mul(DAY))),
        }
    }

    /// Whether an account that was closed at this time must be erased.
    #[must_use]
    pub fn has_passed(self, closed_at: Timestamp, now: Timestamp) -> bool {
        self.0.is_some_and(|seconds| closed_at + seconds <= now)
    }

    /// The last day on which an account may have been closed that must be erased; `None` if none is
    /// ever erased.
    #[must_use]
    pub fn last_day(self, now: Timestamp) -> Option<Day> {
        self.0.map(|seconds| Day::of(now + -seconds))
    }
}

impl Day {
    /// 1 January 2026. No earlier version could close accounts.
    pub const FIRST: Self = Self(20_454);

    /// The day of a time.
    #[must_use]
    pub const fn of(time: Timestamp) -> Self {
        Self(time.seconds().div_euclid(DAY))
    }

    /// The day with this number, which [`Day::number`] returned.
    #[must_use]
    pub const fn numbered(number: i64) -> Self {
        Self(number)
    }

    /// Days since the Unix epoch.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The day after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Writes the date, such as `2026-11-27`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_seconds(self.0.saturating_mul(DAY)).rfc3339();
        f.write_str(time.split('T').next().unwrap_or_default())
    }
}

impl<C> User<C> {
    /// The time at which the owner closed the account; `None` if it is open, or if an operator set
    /// its state.
    #[must_use]
    pub fn closed_by_owner_at(&self) -> Option<Timestamp> {
        self.closed_at.filter(|_| self.state == State::Deleted)
    }

    /// The state of the account before its owner closed it, which a password reset restores.
    #[must_use]
    pub fn state_before_closing(&self) -> Option<State> {
        let closed_at = self.closed_by_owner_at();
        closed_at.map(|_| self.closed_state.unwrap_or(State::Active))
    }

    /// Whether the password can be reset: the account is not deleted, or its owner closed it.
    #[must_use]
    pub fn may_reset_password(&self) -> bool {
        self.state != State::Deleted || self.closed_by_owner_at().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn user(state: State) -> User {
        serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "jane@example.com", "password_hash": "x",
            "state": state, "role": "member", "level": 0, "session_epoch": 0,
            "created_at": 0, "updated_at": 0,
        }))
        .expect("a user")
    }

    #[test]
    fn a_closed_account_is_erased_when_its_days_have_passed() {
        let month = ClosedLifetime::days(30);
        assert!(!month.has_passed(CLOSED, CLOSED));
        assert!(!month.has_passed(CLOSED, CLOSED + (30 * DAY - 1)));
        assert!(month.has_passed(CLOSED, CLOSED + 30 * DAY));
        let never = ClosedLifetime::days(0);
        assert!(!never.has_passed(CLOSED, CLOSED + 10_000 * DAY));
        assert_eq!(never.last_day(CLOSED), None);
    }

    #[test]
    fn an_account_that_must_be_erased_was_closed_on_the_last_day_or_before() {
        let month = ClosedLifetime::days(30);
        for seconds in [0, 1, DAY - 1, DAY, 40 * DAY + 7] {
            let now = CLOSED + 30 * DAY + seconds;
            let last = month.last_day(now).expect("a day");
            assert!(Day::of(CLOSED) <= last, "{seconds}");
            assert_eq!(last, Day::of(CLOSED + seconds));
            assert!(!month.has_passed(Timestamp::from_seconds(last.next().number() * DAY), now));
        }
    }

    #[test]
    fn a_day_is_written_as_a_date() {
        assert_eq!(Day::FIRST.to_string(), "2026-01-01");
        assert_eq!(Day::of(CLOSED).to_string(), "2027-01-15");
        assert_eq!(
            Day::of(Timestamp::from_seconds(-1)).to_string(),
            "1969-12-31"
        );
        assert_eq!(Day::numbered(Day::FIRST.number()), Day::FIRST);
    }

    #[test]
    fn only_an_account_that_its_owner_closed_can_be_reopened() {
        let closed = User {
            closed_at: Some(CLOSED),
            closed_state: Some(State::Pending),
            ..user(State::Deleted)
        };
        assert_eq!(closed.closed_by_owner_at(), Some(CLOSED));
        assert_eq!(closed.state_before_closing(), Some(State::Pending));
        assert!(closed.may_reset_password());
        let by_operator = user(State::Deleted);
        assert_eq!(by_operator.state_before_closing(), None);
        assert!(!by_operator.may_reset_password());
        for state in [State::Active, State::Pending, State::Banned, State::Other] {
            assert!(user(state).may_reset_password(), "{state:?}");
            // An operator changed the state since the closing.
            let reopened = User {
                state,
                ..closed.clone()
            };
            assert_eq!(reopened.closed_by_owner_at(), None, "{state:?}");
        }
    }
}
