//! The outbox: mails to send, each stored in the same transaction as the change that it reports or
//! confirms.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        email_address::EmailAddress,
        language::Language,
        one_time_code::OneTimeCode,
        session::Client,
        token_id::TokenId,
        user::{CredentialAccess, MailProblem, Uid, User},
    },
    platform::{clock::Timestamp, random},
};

/// Seconds after which an unsent notice is dropped.
const NOTICE_LIFE: i64 = 86_400;

/// The kind of a mail, which selects its templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A link to set a new password.
    PasswordReset,
    /// A notice that the password was changed.
    PasswordChanged,
    /// A notice that the second factor was turned on.
    OtpEnabled,
    /// A notice that the second factor was turned off.
    OtpDisabled,
    /// A link to confirm the address.
    Confirmation,
    /// A notice that the password was entered repeatedly without the right code.
    PasswordKnown,
    /// A notice that a recovery code was used.
    RecoveryCodeUsed,
    /// A notice that new recovery codes replaced the old ones.
    RecoveryCodesReplaced,
    /// A link to confirm a new address, sent to that address.
    EmailChange,
    /// A notice that a change of the address was requested, sent to the current one.
    EmailChangeRequested,
    /// A notice that the address was changed, sent to the previous one.
    EmailChanged,
    /// A notice that the password was reset, and a second factor turned on shortly before removed.
    PasswordChangedOtpRemoved,
    /// A notice that the password was reset, and passkeys added shortly before removed.
    PasswordChangedPasskeysRemoved,
    /// A notice that the password was reset, and both a second factor and passkeys removed.
    PasswordChangedOtpAndPasskeysRemoved,
    /// A notice that a passkey was added.
    PasskeyAdded,
    /// A notice that a passkey was removed.
    PasskeyRemoved,
    /// A notice that a passkey was refused because of its signature counter: there may be a copy.
    PasskeyCloneSuspected,
    /// A notice that the account was closed by its owner.
    AccountClosed,
    /// A notice of a sign-in from a device on which the user had not signed in before.
    NewSignIn,
}

/// A mail to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedMail {
    /// A random id, unique among the mails of a user.
    pub id: String,
    /// The uid of the recipient; the partition key of the item.
    pub uid: Uid,
    /// The kind of the mail.
    pub kind: Kind,
    /// The address of the recipient.
    pub email: EmailAddress,
    /// The language of the templates.
    #[serde(rename = "lang")]
    pub language: Language,
    /// The id of the one-time code in the link; `None` for a notice.
    #[serde(rename = "jti", default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// The client whose request caused the mail, for a notice that describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ReportedClient>,
    /// The time of the request or change that caused the mail.
    pub queued_at: Timestamp,
    /// The time from which the mail is no longer sent.
    pub expires_at: Timestamp,
}

/// The client that a notice describes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedClient {
    /// The IP address; empty if it is unknown.
    pub address: String,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl QueuedMail {
    /// The notice of a sign-in by a client. `None` if the address of the user is not confirmed.
    #[must_use]
    pub fn sign_in_notice<C: CredentialAccess>(
        user: &User<C>,
        client: &Client,
        language: Language,
        now: Timestamp,
    ) -> Option<Self> {
        Self::notice(Kind::NewSignIn, user, language, now).map(|notice| notice.with_client(client))
    }

    /// The notice with the device and the address of the client that caused it.
    #[must_use]
    pub fn with_client(self, client: &Client) -> Self {
        Self {
            client: Some(ReportedClient {
                address: client.address.clone(),
                user_agent: client.user_agent.clone(),
            }),
            ..self
        }
    }

    /// A mail with a one-time code in its link. It expires with the code.
    #[must_use]
    pub fn with_code(
        kind: Kind,
        uid: &Uid,
        email: &EmailAddress,
        language: Language,
        code: &OneTimeCode,
        now: Timestamp,
    ) -> Self {
        Self {
            token_id: Some(code.token_id.clone()),
            expires_at: code.expires_at,
            ..Self::without_code(kind, uid, email, language, now)
        }
    }

    /// Whether the mail may be sent although the address is not, or no longer, the one of the user:
    /// it asks to confirm a new address, or reports an event. A code for the account must not reach
    /// a previous address, even if its mail was requested before the change.
    #[must_use]
    pub fn may_reach(&self, user: &User) -> bool {
        match self.kind {
            Kind::PasswordReset | Kind::Confirmation => self.is_for_current_address(user),
            Kind::EmailChange
            | Kind::EmailChangeRequested
            | Kind::EmailChanged
            | Kind::PasswordChanged
            | Kind::OtpEnabled
            | Kind::OtpDisabled
            | Kind::PasswordKnown
            | Kind::RecoveryCodeUsed
            | Kind::RecoveryCodesReplaced
            | Kind::PasswordChangedOtpRemoved
            | Kind::PasswordChangedPasskeysRemoved
            | Kind::PasswordChangedOtpAndPasskeysRemoved
            | Kind::PasskeyAdded
            | Kind::PasskeyRemoved
            | Kind::PasskeyCloneSuspected
            | Kind::NewSignIn
            | Kind::AccountClosed => true,
        }
    }

    fn is_for_current_address(&self, user: &User) -> bool {
        self.email.account_key() == user.email.account_key()
    }

    /// Checks that the mail may be sent to the user as they are now.
    ///
    /// # Errors
    /// The reported problem with mails to their address, unless the mail is the reset mail that the
    /// user may receive after a complaint. A problem does not concern a new or a previous address.
    pub fn check_recipient(&self, user: &User) -> Result<(), MailProblem> {
        match user.mail_problem() {
            None => Ok(()),
            Some(_) if !self.is_for_current_address(user) => Ok(()),
            Some(MailProblem::Complaint) if self.is_permitted_after_complaint(user) => Ok(()),
            Some(problem) => Err(problem),
        }
    }

    fn is_permitted_after_complaint(&self, user: &User) -> bool {
        let permitted = user.complaint_reset.as_ref();
        self.kind == Kind::PasswordReset && permitted.is_some_and(|reset| reset.mail == self.id)
    }

    /// A notice, which contains no code. `None` if the address of the user is not confirmed: it may
    /// belong to another person, who receives only confirmation and reset mails and the notice that
    /// follows a reset.
    #[must_use]
    pub fn notice<C: CredentialAccess>(
        kind: Kind,
        user: &User<C>,
        language: Language,
        now: Timestamp,
    ) -> Option<Self> {
        (!user.is_unconfirmed()).then(|| Self::reset_notice(kind, user, language, now))
    }

    /// The notice that follows a password reset by mail. The address need not be confirmed, because
    /// its owner made the reset.
    #[must_use]
    pub fn reset_notice<C>(kind: Kind, user: &User<C>, language: Language, now: Timestamp) -> Self {
        Self::without_code(kind, &user.uid, &user.email, language, now)
    }

    fn without_code(
        kind: Kind,
        uid: &Uid,
        email: &EmailAddress,
        language: Language,
        now: Timestamp,
    ) -> Self {
        Self {
            id: random::identifier(),
            uid: uid.clone(),
            kind,
            email: email.clone(),
            language,
            token_id: None,
            client: None,
            queued_at: now,
            expires_at: now + NOTICE_LIFE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn user(state: &str) -> User {
        serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "jane@example.com", "password_hash": "x",
            "state": state, "role": "member", "level": 0, "session_epoch": 0,
            "created_at": 0, "updated_at": 0,
        }))
        .expect("a user")
    }

    #[test]
    fn an_unconfirmed_address_receives_only_the_notice_that_follows_a_reset() {
        let pending = user("pending");
        let confirmed = pending.verified(NOW);
        for kind in [
            Kind::PasswordChanged,
            Kind::OtpEnabled,
            Kind::OtpDisabled,
            Kind::PasswordKnown,
            Kind::RecoveryCodeUsed,
            Kind::RecoveryCodesReplaced,
            Kind::PasskeyAdded,
            Kind::PasskeyRemoved,
            Kind::PasskeyCloneSuspected,
            Kind::EmailChangeRequested,
            Kind::EmailChanged,
            Kind::AccountClosed,
        ] {
            assert_eq!(
                QueuedMail::notice(kind, &pending, Language::En, NOW),
                None,
                "{kind:?}"
            );
            for user in [&confirmed, &user("active"), &user("banned")] {
                let notice = QueuedMail::notice(kind, user, Language::En, NOW);
                assert_eq!(notice.map(|notice| notice.kind), Some(kind));
            }
        }
        for kind in [
            Kind::PasswordChanged,
            Kind::PasswordChangedOtpRemoved,
            Kind::PasswordChangedPasskeysRemoved,
            Kind::PasswordChangedOtpAndPasskeysRemoved,
        ] {
            let notice = QueuedMail::reset_notice(kind, &pending, Language::En, NOW);
            assert_eq!((notice.kind, notice.uid), (kind, pending.uid.clone()));
        }
    }

    #[test]
    fn only_a_code_for_the_account_is_bound_to_the_current_address() {
        let user = user("active");
        let code = OneTimeCode::new(3600, NOW);
        let to = |kind, address: &str| {
            let email = EmailAddress::parse(address).expect("an address");
            QueuedMail::with_code(kind, &user.uid, &email, Language::En, &code, NOW)
        };
        for (kind, reaches_others) in [
            (Kind::PasswordReset, false),
            (Kind::Confirmation, false),
            (Kind::EmailChange, true),
            (Kind::EmailChanged, true),
            (Kind::PasswordChanged, true),
        ] {
            assert!(to(kind, "Jane@Example.com").may_reach(&user), "{kind:?}");
            let other = to(kind, "other@example.com");
            assert_eq!(other.may_reach(&user), reaches_others, "{kind:?}");
        }
    }

    #[test]
    fn a_problem_with_the_current_address_does_not_concern_a_new_one() {
        let bounced = user("active")
            .with_problem(MailProblem::Bounce, NOW, NOW)
            .expect("a label");
        let code = OneTimeCode::new(3600, NOW);
        let to = |address: &str| {
            let email = EmailAddress::parse(address).expect("an address");
            let mail = QueuedMail::with_code(
                Kind::EmailChange,
                &bounced.uid,
                &email,
                Language::En,
                &code,
                NOW,
            );
            mail.check_recipient(&bounced)
        };
        assert_eq!(to("new@example.com"), Ok(()));
        assert_eq!(to("jane@example.com"), Err(MailProblem::Bounce));
    }
}
