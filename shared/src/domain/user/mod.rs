//! Users: the stored item, and the profile that the API returns.

mod closure;
mod credentials;
mod expiry;
mod label;
mod mail_language;
mod otp_secret;
mod own_labels;
mod passkeys;
mod record;
mod reset_mails;
mod uid;

use serde::{Deserialize, Serialize};

pub use closure::{ClosedLifetime, Day};
pub use credentials::{CredentialAccess, Credentials, Exported, Withheld};
pub use expiry::PendingLifetime;
pub use label::{Label, LabelView, MailProblem};
pub use otp_secret::{OtpField, OtpSecret, StoredOtpSecret};
pub use own_labels::{LabelScope, LabelText};
pub use record::UserRecord;
pub use reset_mails::{COMPLAINT_RESET_INTERVAL, ComplaintReset, ResetMails};
pub use uid::Uid;

use crate::{
    Error,
    domain::{
        email_address::{AccountKey, EmailAddress},
        language::Language,
        passkey::CredentialHash,
        password::PasswordHash,
    },
    platform::clock::Timestamp,
};

/// A user as stored: one item, under [`User::account_key`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User<C = Credentials> {
    /// The identifier in the API and in other services; never changes.
    pub uid: Uid,
    /// The address, as the user typed it.
    pub email: EmailAddress,
    /// The key under which the user is stored; `None` for a new user. Earlier versions derived it
    /// from the address by another rule.
    #[serde(skip)]
    pub stored_under: Option<AccountKey>,
    /// What proves that a client is the user.
    #[serde(flatten)]
    pub credentials: C,
    /// The state of the account, which decides whether the user can sign in.
    pub state: State,
    /// The role, such as `member`. Only services that consume access tokens interpret it.
    pub role: String,
    /// The verification level: 0 at sign-up; confirming the address raises it to 1. Other services
    /// may assign higher levels.
    pub level: u32,
    /// The highest time step of the TOTP secret whose code was accepted, or 0. Codes of this and of
    /// earlier time steps are rejected (RFC 6238, section 5.2). Present while OTP is on: a session
    /// requires a code, and earlier versions stored an imported secret without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp_last_step: Option<u64>,
    /// When OTP was enabled. `None` if that was before this was recorded, or elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp_enabled_at: Option<Timestamp>,
    /// Consecutive wrong TOTP codes at sign-in.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub totp_failures: u32,
    /// The time from which the next TOTP code is verified, after wrong ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp_retry_at: Option<Timestamp>,
    /// Consecutive wrong recovery codes at sign-in.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recovery_failures: u32,
    /// The time from which the next recovery code is verified, after wrong ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_retry_at: Option<Timestamp>,
    /// When the last notice was sent that the password was entered without the right code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_known_at: Option<Timestamp>,
    /// The session epoch. Incrementing it ends all sessions: a session with another epoch is not
    /// live.
    pub session_epoch: u64,
    /// The hashes of the credential ids of the user's passkeys. A passkey that is not listed here is
    /// not valid.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        with = "serde_dynamo::string_set"
    )]
    pub passkeys: Vec<CredentialHash>,
    /// The time of the newest notice of a sign-in from a new device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in_notice_at: Option<Timestamp>,
    /// The device epoch. Incrementing it invalidates all device tokens of the user.
    #[serde(default)]
    pub device_epoch: u64,
    /// JSON text of the client, sent at sign-up or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The language that the sign-up named, see [`User::mail_language`].
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "mail_language::stored"
    )]
    pub language: Option<Language>,
    /// The uid of the user who referred this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral_uid: Option<Uid>,
    /// Labels of the user.
    #[serde(default)]
    pub labels: Vec<Label>,
    /// The newest reset mail since the recipient complained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complaint_reset: Option<ComplaintReset>,
    /// The time of the import of a pending account, or at which an operator made it pending; `None`
    /// if it is pending since its sign-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_since: Option<Timestamp>,
    /// The time at which the owner closed the account, see [`User::closed_by_owner_at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// The state of the account when its owner closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_state: Option<State>,
    /// The time of the sign-up.
    pub created_at: Timestamp,
    /// The time of the last change of the user's data.
    pub updated_at: Timestamp,
}

/// The state of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The address is not confirmed yet. The user can sign in.
    Pending,
    /// The address is confirmed. The user can sign in.
    Active,
    /// Banned by an operator. The user cannot sign in.
    Banned,
    /// Deleted by an operator, or closed by its owner. The user cannot sign in.
    Deleted,
    /// Any other state, which another service set. The user cannot sign in.
    #[serde(other)]
    Other,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The level of a user who confirmed the address, unless an operator set a higher one.
pub const CONFIRMED_LEVEL: u32 = 1;

/// The data of a sign-up.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The address, as the user typed it.
    pub email: EmailAddress,
    /// The hash of the password.
    pub password_hash: PasswordHash,
    /// The uid of the user who referred this one.
    pub referral_uid: Option<Uid>,
    /// JSON text that the client sent.
    pub data: Option<String>,
    /// The language that the client named.
    pub language: Option<Language>,
}

impl User {
    /// A user at sign-up: pending, with a random uid.
    #[must_use]
    pub fn new(new: NewUser, uid_prefix: &str, now: Timestamp) -> Self {
        Self {
            uid: Uid::generate(uid_prefix),
            email: new.email,
            stored_under: None,
            credentials: Credentials::of_password(new.password_hash),
            state: State::Pending,
            role: "member".to_owned(),
            level: 0,
            otp_last_step: None,
            otp_enabled_at: None,
            totp_failures: 0,
            totp_retry_at: None,
            recovery_failures: 0,
            recovery_retry_at: None,
            password_known_at: None,
            sign_in_notice_at: None,
            session_epoch: 0,
            passkeys: Vec::new(),
            device_epoch: 0,
            data: new.data,
            language: new.language,
            referral_uid: new.referral_uid,
            labels: Vec::new(),
            complaint_reset: None,
            pending_since: None,
            closed_at: None,
            closed_state: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The stored secret in a field.
    #[must_use]
    pub const fn stored_otp_secret(&self, field: OtpField) -> Option<&StoredOtpSecret> {
        match field {
            OtpField::Secret => self.credentials.otp_secret.as_ref(),
            OtpField::Pending => self.credentials.otp_pending_secret.as_ref(),
        }
    }

    /// The user with a confirmed address: active, of level 1 or higher, with the label
    /// `email: verified`, and without valid device tokens. A first confirmation also ends every
    /// session and removes the second factor and the passkeys, because a stranger could have set
    /// them.
    ///
    /// # Errors
    /// [`Error::Internal`] if an epoch is the highest possible one.
    pub fn confirmed(&self, now: Timestamp) -> Result<Self, Error> {
        let confirmed = Self {
            state: State::Active,
            level: self.level.max(CONFIRMED_LEVEL),
            device_epoch: self.next_device_epoch()?,
            ..self.verified(now)
        };
        if self.has_verified_email() {
            return Ok(confirmed);
        }
        Ok(Self {
            session_epoch: self.next_session_epoch()?,
            passkeys: Vec::new(),
            ..confirmed.without_otp()
        })
    }

    /// The session epoch after the current one. Storing it ends all sessions.
    ///
    /// # Errors
    /// [`Error::Internal`] if the epoch is the highest possible one.
    pub(in crate::domain) fn next_session_epoch(&self) -> Result<u64, Error> {
        self.session_epoch
            .checked_add(1)
            .ok_or_else(|| Error::internal("a user has the highest possible session epoch"))
    }

    /// The device epoch after the current one. Storing it invalidates all device tokens.
    ///
    /// # Errors
    /// [`Error::Internal`] if the epoch is the highest possible one.
    pub fn next_device_epoch(&self) -> Result<u64, Error> {
        self.device_epoch
            .checked_add(1)
            .ok_or_else(|| Error::internal("a user has the highest possible device epoch"))
    }

    /// The user without a second factor.
    #[must_use]
    fn without_otp(self) -> Self {
        Self {
            credentials: Credentials::of_password(self.credentials.password_hash),
            otp_last_step: None,
            otp_enabled_at: None,
            totp_failures: 0,
            totp_retry_at: None,
            recovery_failures: 0,
            recovery_retry_at: None,
            ..self
        }
    }

    /// Whether the second factor was enabled so recently that a password reset removes it: a thief
    /// of a session could have enabled it to lock the owner out.
    #[must_use]
    pub fn has_recent_otp(&self, now: Timestamp) -> bool {
        const RECENT: i64 = 72 * 3600;
        self.otp_enabled_at
            .is_some_and(|enabled_at| now < enabled_at + RECENT)
    }
}

impl<C: CredentialAccess> User<C> {
    /// The account key under which the user is, or will be, stored.
    #[must_use]
    pub fn account_key(&self) -> AccountKey {
        let stored = self.stored_under.clone();
        stored.unwrap_or_else(|| self.email.account_key())
    }

    /// Whether a notice of a sign-in from a new device may be sent: at most one an hour.
    #[must_use]
    pub fn sign_in_notice_is_due(&self, now: Timestamp) -> bool {
        const INTERVAL: i64 = 3600;
        self.sign_in_notice_at
            .is_none_or(|sent| now >= sent + INTERVAL)
    }

    /// Checks that the state of the account permits a sign-in. Only a caller who presented the
    /// right password may see the result.
    ///
    /// # Errors
    /// [`Error::AccountBanned`], [`Error::AccountDeleted`] or [`Error::AccountNotActive`].
    pub fn may_sign_in(&self) -> Result<(), Error> {
        match self.state {
            State::Active | State::Pending => Ok(()),
            State::Banned => Err(Error::AccountBanned),
            State::Deleted => Err(Error::AccountDeleted),
            State::Other => Err(Error::AccountNotActive),
        }
    }

    /// Whether OTP is on.
    #[must_use]
    pub fn has_otp(&self) -> bool {
        self.credentials.has_otp(self.otp_last_step)
    }

    /// The user as the API returns it. Only a response that opens a session has a
    /// `csrf_token`.
    #[must_use]
    pub fn profile<'a>(&'a self, csrf_token: Option<&'a str>) -> Profile<'a> {
        Profile {
            email: self.email.as_typed(),
            uid: &self.uid,
            role: &self.role,
            level: self.level,
            otp: self.has_otp(),
            state: self.state,
            referral_uid: self.referral_uid.as_ref(),
            csrf_token,
            data: self.data.as_deref(),
            created_at: self.created_at.rfc3339(),
            updated_at: self.updated_at.rfc3339(),
            labels: self.label_views(),
            phones: [],
            profiles: [],
            data_storages: [],
        }
    }
}

/// A user as the API returns it, with Barong's members in Barong's order. `phones`, `profiles` and
/// `data_storages` are always empty; they are present because clients iterate them.
#[derive(Serialize)]
pub struct Profile<'a> {
    email: &'a str,
    uid: &'a Uid,
    role: &'a str,
    level: u32,
    otp: bool,
    state: State,
    referral_uid: Option<&'a Uid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<&'a str>,
    data: Option<&'a str>,
    created_at: String,
    updated_at: String,
    labels: Vec<LabelView<'a>>,
    phones: [(); 0],
    profiles: [(); 0],
    data_storages: [(); 0],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::passkey::Passkey;

    fn user(state: &str) -> User {
        serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "John@Example.com", "password_hash": "x", "state": state, "role": "member",
            "level": 0, "session_epoch": 0, "created_at": 0, "updated_at": 60,
            "labels": [{"key": "email", "value": "verified", "scope": "private", "created_at": 1, "updated_at": 2}],
        }))
        .expect("a user")
    }

    #[test]
    fn the_profile_has_barongs_members_in_barongs_order() {
        let expected = concat!(
            r#"{"email":"John@Example.com","uid":"ID0123456789","role":"member","level":0,"otp":false,"state":"active","#,
            r#""referral_uid":null,"csrf_token":"c","data":null,"created_at":"1970-01-01T00:00:00Z","updated_at":"1970-01-01T00:01:00Z","#,
            r#""labels":[{"key":"email","value":"verified","scope":"private","created_at":"1970-01-01T00:00:01Z","updated_at":"1970-01-01T00:00:02Z"}],"#,
            r#""phones":[],"profiles":[],"data_storages":[]}"#
        );
        assert_eq!(
            serde_json::to_string(&user("active").profile(Some("c"))).expect("JSON"),
            expected
        );
    }

    #[test]
    fn only_active_and_pending_accounts_may_sign_in() {
        let key = |state| {
            user(state)
                .may_sign_in()
                .err()
                .map(|error| error.keys().concat())
        };
        assert_eq!((key("active"), key("pending")), (None, None));
        assert_eq!(key("banned").as_deref(), Some("identity.session.banned"));
        assert_eq!(key("deleted").as_deref(), Some("identity.session.deleted"));
        assert_eq!(
            key("locked").as_deref(),
            Some("identity.session.not_active")
        );
    }

    #[test]
    fn one_notice_of_a_sign_in_is_sent_an_hour() {
        let at = Timestamp::from_seconds;
        let sent = User {
            sign_in_notice_at: Some(at(100)),
            ..user("active")
        };
        assert!(user("active").sign_in_notice_is_due(at(0)));
        assert!(!sent.sign_in_notice_is_due(at(3699)) && sent.sign_in_notice_is_due(at(3700)));
    }

    #[test]
    fn one_reset_mail_a_day_is_sent_after_a_complaint() {
        let at = Timestamp::from_seconds;
        let confirmed = user("active");
        let with = |problem| {
            confirmed
                .with_problem(problem, at(5), at(5))
                .expect("a label")
        };
        let complained = with(MailProblem::Complaint);
        let asked = |user: &User| User {
            complaint_reset: Some(ComplaintReset {
                mail: "m".to_owned(),
                at: at(10),
            }),
            ..user.clone()
        };
        assert_eq!(confirmed.reset_mails(at(9)), ResetMails::Limited);
        assert_eq!(asked(&confirmed).reset_mails(at(11)), ResetMails::Limited);
        let bounced = with(MailProblem::Bounce);
        assert_eq!(bounced.reset_mails(at(9)), ResetMails::Limited);
        assert_eq!(complained.reset_mails(at(9)), ResetMails::OneADay);
        let asked = asked(&complained);
        assert_eq!(asked.reset_mails(at(10)), ResetMails::NoneToday);
        assert_eq!(asked.reset_mails(at(86_409)), ResetMails::NoneToday);
        assert_eq!(asked.reset_mails(at(86_410)), ResetMails::OneADay);
    }

    #[test]
    fn a_confirmed_user_is_active_and_has_one_email_label() {
        let confirmed = user("pending")
            .confirmed(Timestamp::from_seconds(9))
            .expect("an epoch");
        let label = |created: i64, updated: i64| Label {
            key: "email".to_owned(),
            value: "verified".to_owned(),
            scope: "private".to_owned(),
            created_at: Timestamp::from_seconds(created),
            updated_at: Timestamp::from_seconds(updated),
        };
        assert_eq!(
            (confirmed.state, confirmed.level, &confirmed.labels),
            (State::Active, 1, &vec![label(1, 9)])
        );
        assert_eq!(confirmed.updated_at, Timestamp::from_seconds(9));
        let first = User {
            labels: Vec::new(),
            level: 3,
            ..user("pending")
        }
        .confirmed(Timestamp::from_seconds(9))
        .expect("an epoch");
        assert_eq!((first.level, first.labels), (3, vec![label(9, 9)]));
    }

    #[test]
    fn an_imported_secret_is_base32_of_80_bits_or_more() {
        let import = |text: &str| OtpSecret::import(text).map(|secret| secret.reveal().to_owned());
        assert_eq!(
            import("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").as_deref(),
            Some("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
        );
        assert_eq!(
            import("GEZDGNBVGY3TQOJQGEZA====").as_deref(),
            Some("GEZDGNBVGY3TQOJQGEZA")
        );
        for text in [
            "",
            "GEZDGNBV",
            "GEZDGNBVGY3TQOJ1",
            "gezdgnbvgy3tqojq",
            "GEZDGNBV GY3TQOJQ",
        ] {
            assert_eq!(import(text), None, "{text}");
        }
    }

    #[test]
    fn a_first_confirmation_ends_sessions_and_removes_the_second_factor() {
        let pending = User {
            credentials: Credentials {
                otp_secret: OtpSecret::import("GEZDGNBVGY3TQOJQ").map(StoredOtpSecret::Plain),
                ..user("pending").credentials
            },
            otp_enabled_at: Some(Timestamp::from_seconds(3)),
            totp_failures: 7,
            passkeys: vec![
                Passkey::sample("ID0123456789", "b25l", Timestamp::from_seconds(3)).hash(),
            ],
            labels: Vec::new(),
            ..user("pending")
        };
        let first = pending
            .confirmed(Timestamp::from_seconds(9))
            .expect("an epoch");
        assert_eq!(
            (first.session_epoch, first.has_otp(), first.totp_failures),
            (1, false, 0)
        );
        assert_eq!(first.device_epoch, 1);
        assert!(first.passkeys.is_empty());
        let again = User {
            credentials: pending.credentials,
            passkeys: pending.passkeys.clone(),
            ..user("pending")
        }
        .confirmed(Timestamp::from_seconds(9))
        .expect("an epoch");
        assert_eq!((again.session_epoch, again.has_otp()), (0, true));
        assert_eq!(again.passkeys, pending.passkeys);
        assert_eq!(again.device_epoch, 1, "every confirmation raises it");
    }

    #[test]
    fn a_second_factor_is_recent_for_72_hours() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let enabled = |seconds: i64| User {
            otp_enabled_at: Some(now + seconds),
            ..user("active")
        };
        assert!(enabled(0).has_recent_otp(now) && enabled(-259_199).has_recent_otp(now));
        assert!(!enabled(-259_200).has_recent_otp(now) && !user("active").has_recent_otp(now));
    }
}
