//! Users: what is stored of one, and what is told.

mod label;

use std::fmt;

use data_encoding::{BASE32_NOPAD, HEXUPPER};
use serde::{Deserialize, Serialize};

pub use label::Label;
use label::LabelView;

use crate::{
    Error,
    domain::{email_address::EmailAddress, password::PasswordHash},
    platform::{clock::Timestamp, random},
};

/// A user as stored, whole, under the key of the address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// Names the user to other services; never changes.
    pub uid: String,
    /// The address as typed.
    pub email: EmailAddress,
    /// The password's hash.
    pub password_hash: PasswordHash,
    /// Whether the account may be used.
    pub state: State,
    /// What the user may do, in words of the services behind this one.
    pub role: String,
    /// How far the user is verified, in numbers of the services behind this one.
    pub level: u32,
    /// The second factor; absent while it is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp_secret: Option<OtpSecret>,
    /// The highest time step of `otp_secret` that was accepted. Codes of it and of those before it
    /// are used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp_last_step: Option<u64>,
    /// A secret that was drawn for an authenticator and does not count before a code of it is
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp_pending_secret: Option<OtpSecret>,
    /// The recovery codes of `otp_secret` that are left, hashed with one salt.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        with = "serde_dynamo::string_set"
    )]
    pub otp_recovery_codes: Vec<PasswordHash>,
    /// Goes up when every session of the user ends: a session that began in another epoch is over.
    pub session_epoch: u64,
    /// A JSON text of the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Who invited the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral_uid: Option<String>,
    /// Facts that other services know of the user.
    #[serde(default)]
    pub labels: Vec<Label>,
    /// When the user signed up.
    pub created_at: Timestamp,
    /// When anything of the above changed.
    pub updated_at: Timestamp,
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Signed up, address not confirmed yet.
    Pending,
    /// In use.
    Active,
    /// Shut out.
    Banned,
    /// Gone, kept for the record.
    Deleted,
    /// Any state that another service set: not in use.
    #[serde(other)]
    Other,
}

/// The secret that a user shares with an authenticator, base32 (RFC 4648).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OtpSecret(String);

impl OtpSecret {
    /// A new secret of 160 random bits, which is what RFC 4226 recommends.
    #[must_use]
    pub fn draw() -> Self {
        Self(BASE32_NOPAD.encode(&random::bytes::<20>()))
    }

    /// Takes over a secret that was drawn elsewhere; `None` where authenticators could not share
    /// it.
    #[must_use]
    pub fn import(text: &str) -> Option<Self> {
        let bare = text.trim_end_matches('=');
        BASE32_NOPAD
            .decode(bare.as_bytes())
            .is_ok_and(|bytes| bytes.len() >= 10)
            .then(|| Self(bare.to_owned()))
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OtpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtpSecret(..)")
    }
}

/// What a sign-up gives.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The address as typed.
    pub email: EmailAddress,
    /// The password's hash.
    pub password_hash: PasswordHash,
    /// Who invited the user.
    pub referral_uid: Option<String>,
    /// A JSON text of the client's.
    pub data: Option<String>,
}

impl User {
    /// A user who has just signed up, with a uid drawn by chance.
    #[must_use]
    pub fn new(new: NewUser, uid_prefix: &str, now: Timestamp) -> Self {
        Self {
            uid: new_uid(uid_prefix),
            email: new.email,
            password_hash: new.password_hash,
            state: State::Pending,
            role: "member".to_owned(),
            level: 0,
            otp_secret: None,
            otp_last_step: None,
            otp_pending_secret: None,
            otp_recovery_codes: Vec::new(),
            session_epoch: 0,
            data: new.data,
            referral_uid: new.referral_uid,
            labels: Vec::new(),
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether the state of the account lets its owner sign in. Told only to who knows the
    /// password.
    pub fn may_sign_in(&self) -> Result<(), Error> {
        match self.state {
            State::Active | State::Pending => Ok(()),
            State::Banned => Err(Error::AccountBanned),
            State::Deleted => Err(Error::AccountDeleted),
            State::Other => Err(Error::AccountNotActive),
        }
    }

    /// The user once her address is confirmed: active, of level 1 at least, with the label that
    /// says so.
    #[must_use]
    pub fn confirmed(&self, now: Timestamp) -> Self {
        Self {
            state: State::Active,
            level: self.level.max(1),
            ..self.verified(now)
        }
    }

    /// What is told of the user.
    #[must_use]
    pub fn profile<'a>(&'a self, csrf_token: Option<&'a str>) -> Profile<'a> {
        Profile {
            email: self.email.as_typed(),
            uid: &self.uid,
            role: &self.role,
            level: self.level,
            otp: self.otp_secret.is_some(),
            state: self.state,
            referral_uid: self.referral_uid.as_deref(),
            csrf_token,
            data: self.data.as_deref(),
            created_at: self.created_at.rfc3339(),
            updated_at: self.updated_at.rfc3339(),
            labels: self.labels.iter().map(LabelView::from).collect(),
            phones: [],
            profiles: [],
            data_storages: [],
        }
    }
}

/// What is told of a user, in Barong's order. This service keeps no phones, profiles and data
/// storages; the empty lists are there because clients iterate them.
#[derive(Serialize)]
pub struct Profile<'a> {
    email: &'a str,
    uid: &'a str,
    role: &'a str,
    level: u32,
    otp: bool,
    state: State,
    referral_uid: Option<&'a str>,
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

/// A new uid: the prefix and ten upper-case hexadecimal digits.
fn new_uid(prefix: &str) -> String {
    format!("{prefix}{}", HEXUPPER.encode(&random::bytes::<5>()))
}

/// Whether the text has the form of a uid that Latchkey or Barong may have given, with whatever
/// prefix: two to six letters and ten hexadecimal digits.
#[must_use]
pub fn has_uid_form(text: &str) -> bool {
    let Some((prefix, digits)) = text
        .len()
        .checked_sub(10)
        .and_then(|end| text.split_at_checked(end))
    else {
        return false;
    };
    (2..=6).contains(&prefix.len())
        && prefix.bytes().all(|byte| byte.is_ascii_alphabetic())
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the text has the form of a uid with this prefix.
#[must_use]
pub fn is_uid(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    digits.len() == 10
        && digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_confirmed_user_is_active_and_labelled_once() {
        let confirmed = user("pending").confirmed(Timestamp::from_seconds(9));
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
        .confirmed(Timestamp::from_seconds(9));
        assert_eq!((first.level, first.labels), (3, vec![label(9, 9)]));
    }

    #[test]
    fn uids_of_other_prefixes_have_the_form_too() {
        for text in [
            "ID0123456789",
            "UACAFE000000",
            "PREFIX0123456789",
            "idabcdefabcd",
        ] {
            assert!(has_uid_form(text), "{text}");
        }
        for text in [
            "",
            "I0123456789",
            "TOOLONG0123456789",
            "ID012345678",
            "ID01234567890",
            "ID012345678g",
            "I10123456789",
            "ID-123456789",
            "ßß0123456789",
        ] {
            assert!(!has_uid_form(text), "{text}");
        }
    }

    #[test]
    fn a_secret_from_elsewhere_is_base32() {
        let read = |text: &str| OtpSecret::import(text).map(|secret| secret.0);
        assert_eq!(
            read("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").as_deref(),
            Some("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
        );
        assert_eq!(
            read("GEZDGNBVGY3TQOJQGEZA====").as_deref(),
            Some("GEZDGNBVGY3TQOJQGEZA")
        );
        for text in [
            "",
            "GEZDGNBV",
            "GEZDGNBVGY3TQOJ1",
            "gezdgnbvgy3tqojq",
            "GEZDGNBV GY3TQOJQ",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn uids_are_the_prefix_and_ten_hexadecimal_digits() {
        assert!(is_uid(&new_uid("ID"), "ID"));
        for text in [
            "",
            "ID",
            "ID012345678",
            "ID01234567890",
            "id0123456789",
            "ID012345678g",
            "ID012345678a",
            "XX0123456789",
            " ID0123456789",
        ] {
            assert!(!is_uid(text, "ID"), "{text:?}");
        }
    }
}
