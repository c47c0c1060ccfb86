//! Changes of the address of an account. A mail to the new address carries a one-time code; the user
//! confirms with it in a session.

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    domain::{
        email_address::EmailAddress,
        one_time_code::OneTimeCode,
        token_id::TokenId,
        user::{State, User},
    },
    platform::clock::Timestamp,
};

/// A requested change of the address, as stored. A new request replaces the previous one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailChange {
    /// The id of the mailed token.
    #[serde(rename = "jti")]
    pub token_id: TokenId,
    /// The time from which the code is rejected.
    pub expires_at: Timestamp,
    /// The new address, as the user typed it.
    pub email: EmailAddress,
    /// The device epoch of the user at the request. A reset or change of the password raises it,
    /// which voids the request, also one that is concurrent with it.
    pub device_epoch: u64,
}

impl EmailChange {
    /// A request of the user to change the address, which the code confirms.
    #[must_use]
    pub fn new(user: &User, email: EmailAddress, code: &OneTimeCode) -> Self {
        Self {
            token_id: code.token_id.clone(),
            expires_at: code.expires_at,
            email,
            device_epoch: user.device_epoch,
        }
    }

    /// Whether a token with this id confirms the change for the user, as they are now.
    #[must_use]
    pub fn is_valid(&self, token_id: &TokenId, user: &User, now: Timestamp) -> bool {
        self.token_id == *token_id
            && self.device_epoch == user.device_epoch
            && now < self.expires_at
    }
}

impl User {
    /// Checks that the user may request, or confirm, a change to this address.
    ///
    /// # Errors
    /// [`Error::EmailNotConfirmed`] while the account is pending: its owner is not known yet.
    /// [`Error::EmailUnchanged`] if the address has the account key of the current one.
    pub fn may_change_email(&self, email: &EmailAddress) -> Result<(), Error> {
        if self.state == State::Pending {
            return Err(Error::EmailNotConfirmed);
        }
        if email.account_key() == self.email.account_key() {
            return Err(Error::EmailUnchanged);
        }
        Ok(())
    }

    /// The user with another address, to which they have proved access. Ends every session and
    /// invalidates all device tokens. A problem with mails to the previous address is forgotten.
    ///
    /// # Errors
    /// [`Error::Internal`] if an epoch is the highest possible one.
    pub fn with_email(&self, email: EmailAddress, now: Timestamp) -> Result<Self, Error> {
        Ok(Self {
            email,
            stored_under: None,
            session_epoch: self.next_session_epoch()?,
            device_epoch: self.next_device_epoch()?,
            complaint_reset: None,
            ..self.verified(now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::MailProblem;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn user(state: &str, email: &str) -> User {
        serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": email, "password_hash": "x", "state": state,
            "role": "member", "level": 1, "session_epoch": 3, "device_epoch": 4,
            "created_at": 0, "updated_at": 0,
        }))
        .expect("a user")
    }

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).expect("an address")
    }

    #[test]
    fn a_change_is_valid_for_its_token_until_it_expires_or_the_device_epoch_rises() {
        let owner = user("active", "jane@example.com");
        let code = OneTimeCode::new(3600, NOW);
        let change = EmailChange::new(&owner, address("new@example.com"), &code);
        let is_valid = |id: &TokenId, user: &User, now| change.is_valid(id, user, now);
        assert!(is_valid(&code.token_id, &owner, NOW + 3599));
        assert!(!is_valid(&code.token_id, &owner, NOW + 3600));
        assert!(!is_valid(&TokenId::generate(), &owner, NOW));
        let with_new_password = User {
            device_epoch: 5,
            ..owner.clone()
        };
        assert!(!is_valid(&code.token_id, &with_new_password, NOW));
        // Ending other sessions does not void the change.
        let alone = User {
            session_epoch: 9,
            ..owner
        };
        assert!(is_valid(&code.token_id, &alone, NOW));
    }

    #[test]
    fn every_spelling_of_the_current_address_is_no_change() {
        let owner = user("active", "Mia@Bücher.example");
        for same in [
            "mia@bücher.example",
            "MIA@xn--bcher-kva.example",
            " mia@ｂücher.example ",
        ] {
            let refused = owner.may_change_email(&address(same));
            assert!(matches!(refused, Err(Error::EmailUnchanged)), "{same}");
        }
        assert!(
            owner
                .may_change_email(&address("mia2@bücher.example"))
                .is_ok()
        );
        // An address of an earlier version that has no valid key.
        let earlier = user("active", "josé@example.com");
        assert!(
            earlier
                .may_change_email(&address("jose@example.com"))
                .is_ok()
        );
        let pending = user("pending", "jane@example.com");
        let refused = pending.may_change_email(&address("new@example.com"));
        assert!(matches!(refused, Err(Error::EmailNotConfirmed)));
    }

    #[test]
    fn a_changed_address_is_verified_and_ends_sessions_and_device_tokens() {
        let bounced = user("active", "jane@example.com")
            .with_problem(MailProblem::Bounce, NOW, NOW)
            .expect("a label");
        let changed = bounced
            .with_email(address("New@example.com"), NOW + 9)
            .expect("epochs");
        assert_eq!(changed.email.as_typed(), "New@example.com");
        assert_eq!(changed.account_key(), changed.email.account_key());
        assert!(changed.has_verified_email() && changed.mail_problem().is_none());
        assert_eq!((changed.session_epoch, changed.device_epoch), (4, 5));
        assert_eq!(changed.updated_at, NOW + 9);
        let last = User {
            session_epoch: u64::MAX,
            ..bounced
        };
        assert!(last.with_email(address("new@example.com"), NOW).is_err());
    }
}
