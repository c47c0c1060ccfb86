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
    /// A notice that the password was reset, and a second factor turned on shortly before removed.
    PasswordChangedOtpRemoved,
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
    /// The client that signed in, for a notice of a sign-in.
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
    pub fn sign_in_notice(
        user: &User,
        client: &Client,
        language: Language,
        now: Timestamp,
    ) -> Option<Self> {
        let notice = Self::notice(Kind::NewSignIn, user, language, now)?;
        Some(Self {
            client: Some(ReportedClient {
                address: client.address.clone(),
                user_agent: client.user_agent.clone(),
            }),
            ..notice
        })
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

    /// Checks that the mail may be sent to the user as they are now.
    ///
    /// # Errors
    /// The reported problem with mails to their address, unless the mail is the reset mail that the
    /// user may receive after a complaint.
    pub fn check_recipient(&self, user: &User) -> Result<(), MailProblem> {
        match user.mail_problem() {
            None => Ok(()),
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
        for kind in [Kind::PasswordChanged, Kind::PasswordChangedOtpRemoved] {
            let notice = QueuedMail::reset_notice(kind, &pending, Language::En, NOW);
            assert_eq!((notice.kind, notice.uid), (kind, pending.uid.clone()));
        }
    }
}
