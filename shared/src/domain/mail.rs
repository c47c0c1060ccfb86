//! The outbox: mails to be sent, stored in the transaction of what they are about.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{email_address::EmailAddress, language::Language, one_time_code::OneTimeCode},
    platform::{clock::Timestamp, random},
};

/// Seconds for which a notice is worth sending.
const NOTICE_LIFE: i64 = 86_400;

/// What a mail is about.
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
}

/// A mail to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedMail {
    /// Tells this mail from the user's others.
    pub id: String,
    /// The user's uid.
    pub uid: String,
    /// What it is about.
    pub kind: Kind,
    /// Whom it goes to.
    pub email: EmailAddress,
    /// What it is written in.
    #[serde(rename = "lang")]
    pub language: Language,
    /// The code that its link carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// When it is no longer worth sending.
    pub expires_at: Timestamp,
}

impl QueuedMail {
    /// A mail whose link carries a code; worth sending while the code works.
    #[must_use]
    pub fn with_code(
        kind: Kind,
        uid: &str,
        email: &EmailAddress,
        language: Language,
        code: &OneTimeCode,
        now: Timestamp,
    ) -> Self {
        Self {
            jti: Some(code.jti.clone()),
            expires_at: code.expires_at,
            ..Self::notice(kind, uid, email, language, now)
        }
    }

    /// A mail that tells something.
    #[must_use]
    pub fn notice(
        kind: Kind,
        uid: &str,
        email: &EmailAddress,
        language: Language,
        now: Timestamp,
    ) -> Self {
        Self {
            id: random::identifier(),
            uid: uid.to_owned(),
            kind,
            email: email.clone(),
            language,
            jti: None,
            queued_at: now,
            expires_at: now + NOTICE_LIFE,
        }
    }
}
