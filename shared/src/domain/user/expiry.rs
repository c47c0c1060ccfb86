//! Expiry of accounts whose address was never confirmed. Otherwise a stranger could sign up with the
//! address of another person and keep it forever.

use super::{CredentialAccess, State, User};
use crate::platform::clock::Timestamp;

const DAY: i64 = 86_400;

/// The time within which the address of a new account must be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingLifetime(Option<i64>);

impl PendingLifetime {
    /// No account expires.
    pub const UNLIMITED: Self = Self(None);

    /// This number of days; 0 means [`PendingLifetime::UNLIMITED`].
    #[must_use]
    pub const fn days(days: i64) -> Self {
        match days {
            0 => Self::UNLIMITED,
            days => Self(Some(days.saturating_mul(DAY))),
        }
    }
}

impl<C: CredentialAccess> User<C> {
    /// Whether the account is pending and its address was never confirmed. A stranger may have
    /// created it.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.state == State::Pending && !self.has_verified_email()
    }

    /// Whether the account has expired: it is unconfirmed, and the lifetime has passed since its
    /// sign-up or its import, whichever was later.
    #[must_use]
    pub fn has_expired(&self, lifetime: PendingLifetime, now: Timestamp) -> bool {
        let since = self
            .pending_since
            .map_or(self.created_at, |since| since.max(self.created_at));
        lifetime
            .0
            .is_some_and(|seconds| self.is_unconfirmed() && now >= since + seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTH: PendingLifetime = PendingLifetime::days(30);
    const CREATED: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn user(state: State) -> User {
        serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "jane@example.com", "password_hash": "x",
            "state": state, "role": "member", "level": 0, "session_epoch": 0,
            "created_at": CREATED, "updated_at": CREATED,
        }))
        .expect("a user")
    }

    #[test]
    fn an_unconfirmed_account_expires_when_its_last_day_has_passed() {
        let last = CREATED + 30 * DAY;
        let pending = user(State::Pending);
        assert!(!pending.has_expired(MONTH, CREATED));
        assert!(!pending.has_expired(MONTH, last + -1));
        assert!(pending.has_expired(MONTH, last));
        assert!(pending.has_expired(PendingLifetime::days(1), CREATED + DAY));
    }

    #[test]
    fn the_import_counts_if_it_was_after_the_sign_up() {
        for (pending_since, start) in [
            (CREATED + 400 * DAY, CREATED + 400 * DAY),
            (CREATED + -DAY, CREATED),
        ] {
            let imported = User {
                pending_since: Some(pending_since),
                ..user(State::Pending)
            };
            assert!(!imported.has_expired(MONTH, start + (30 * DAY - 1)));
            assert!(imported.has_expired(MONTH, start + 30 * DAY));
        }
    }

    #[test]
    fn other_accounts_do_not_expire() {
        let later = CREATED + 4000 * DAY;
        for state in [State::Active, State::Banned, State::Deleted, State::Other] {
            assert!(!user(state).has_expired(MONTH, later), "{state:?}");
        }
        // An operator may make a confirmed account pending again.
        let confirmed = user(State::Pending).verified(CREATED);
        assert!(!confirmed.is_unconfirmed());
        assert!(!confirmed.has_expired(MONTH, later));
        let forever = PendingLifetime::days(0);
        assert!(!user(State::Pending).has_expired(forever, later));
        // A mail that bounced confirms nothing.
        let bounced = user(State::Pending).with_problem(
            crate::domain::user::MailProblem::Bounce,
            CREATED,
            CREATED,
        );
        assert!(bounced.expect("a label").has_expired(MONTH, later));
    }
}
