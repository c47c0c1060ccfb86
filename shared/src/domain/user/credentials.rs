//! The credentials in the item of a user, which most functions must not read.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::StoredOtpSecret;
use crate::domain::password::PasswordHash;

/// The credentials of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credentials {
    /// The hash of the password.
    pub password_hash: PasswordHash,
    /// The TOTP secret; `None` while OTP is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp_secret: Option<StoredOtpSecret>,
    /// A new TOTP secret. It has no effect until the user enables OTP with a code of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp_pending_secret: Option<StoredOtpSecret>,
    /// Hashes of the unused recovery codes, which share one salt.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        with = "serde_dynamo::string_set"
    )]
    pub otp_recovery_codes: Vec<PasswordHash>,
}

impl Credentials {
    /// A password without a second factor.
    #[must_use]
    pub const fn of_password(password_hash: PasswordHash) -> Self {
        Self {
            password_hash,
            otp_secret: None,
            otp_pending_secret: None,
            otp_recovery_codes: Vec::new(),
        }
    }
}

/// In place of the credentials: the function reads users without them, and its policy in
/// template.yaml permits no more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Withheld {}

/// What a function reads of the credentials in the item of a user.
pub trait CredentialAccess: DeserializeOwned + Clone {
    /// The attributes of users that are read; `None` for all.
    const ATTRIBUTES: Option<&'static [&'static str]>;

    /// Whether OTP is on, for a user with this last accepted time step.
    fn has_otp(&self, last_step: Option<u64>) -> bool;
}

impl CredentialAccess for Credentials {
    const ATTRIBUTES: Option<&'static [&'static str]> = None;

    fn has_otp(&self, _: Option<u64>) -> bool {
        self.otp_secret.is_some()
    }
}

impl CredentialAccess for Withheld {
    const ATTRIBUTES: Option<&'static [&'static str]> = Some(&[
        "closed_at",
        "created_at",
        "data",
        "device_epoch",
        "email",
        "labels",
        "language",
        "level",
        "otp_enabled_at",
        "otp_last_step",
        "passkeys",
        "pending_since",
        "referral_uid",
        "role",
        "session_epoch",
        "sign_in_notice_at",
        "state",
        "uid",
        "updated_at",
    ]);

    fn has_otp(&self, last_step: Option<u64>) -> bool {
        last_step.is_some()
    }
}

/// As [`Withheld`], with the attributes that only an export of the data contains.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exported {}

impl CredentialAccess for Exported {
    const ATTRIBUTES: Option<&'static [&'static str]> = Some(&[
        "closed_at",
        "complaint_reset",
        "created_at",
        "data",
        "device_epoch",
        "email",
        "labels",
        "language",
        "level",
        "otp_enabled_at",
        "otp_last_step",
        "passkeys",
        "password_known_at",
        "pending_since",
        "recovery_failures",
        "recovery_retry_at",
        "referral_uid",
        "role",
        "session_epoch",
        "sign_in_notice_at",
        "state",
        "totp_failures",
        "totp_retry_at",
        "uid",
        "updated_at",
    ]);

    fn has_otp(&self, last_step: Option<u64>) -> bool {
        last_step.is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::user::User;

    #[test]
    fn a_user_without_credentials_has_all_that_the_api_returns() {
        let item = json!({
            "uid": "ID0123456789", "email": "John@Example.com", "password_hash": "x", "state": "active", "role": "member",
            "level": 1, "session_epoch": 3, "device_epoch": 2, "created_at": 0, "updated_at": 60, "data": "{}",
            "language": "de", "referral_uid": "ID9876543210", "pending_since": 5,
            "otp_secret": "GEZDGNBVGY3TQOJQ", "otp_last_step": 0, "otp_enabled_at": 7, "otp_recovery_codes": ["y"],
            "labels": [{"key": "email", "value": "verified", "scope": "private", "created_at": 1, "updated_at": 2}],
        });
        let read: serde_json::Map<_, _> = item
            .as_object()
            .expect("an object")
            .clone()
            .into_iter()
            .filter(|(name, _)| {
                Withheld::ATTRIBUTES
                    .expect("a list")
                    .contains(&name.as_str())
            })
            .collect();
        let withheld: User<Withheld> = serde_json::from_value(read.into()).expect("a user");
        let whole: User = serde_json::from_value(item).expect("a user");
        assert!(withheld.has_otp() && whole.has_otp());
        let profile = |json: serde_json::Result<String>| json.expect("JSON");
        assert_eq!(
            profile(serde_json::to_string(&withheld.profile(None))),
            profile(serde_json::to_string(&whole.profile(None)))
        );
        assert_eq!(
            (
                withheld.session_epoch,
                withheld.device_epoch,
                withheld.language,
                withheld.pending_since
            ),
            (
                whole.session_epoch,
                whole.device_epoch,
                whole.language,
                whole.pending_since
            )
        );
    }
}
