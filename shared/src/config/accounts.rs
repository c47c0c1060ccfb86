//! Accounts: uids, one-time codes and the activity log.

use super::{ConfigError, Variables};
use crate::domain::user::PendingLifetime;

/// Settings of accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// `IDENTITY_UID_PREFIX`: prefix of new uids, two to six ASCII letters.
    pub uid_prefix: String,
    /// `IDENTITY_PREVENT_USER_EXISTENCE_ERRORS`: whether a password reset of an unknown address
    /// returns the same response as one of a known address.
    pub prevent_user_existence_errors: bool,
    /// `IDENTITY_CODE_EXPIRE_TIME`: lifetime of one-time codes, in seconds.
    pub code_lifetime: i64,
    /// `IDENTITY_ACTIVITY_DAYS`, converted to seconds: retention of the activity log.
    pub activity_retention: i64,
    /// `IDENTITY_CONFIRMATION`: whether the mailed link alone confirms an address. Otherwise a
    /// confirmation also requires a session of the account or its password.
    pub link_confirms: bool,
}

impl Accounts {
    /// Reads the settings of accounts.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        Ok(Self {
            uid_prefix: variables.text("IDENTITY_UID_PREFIX", "ID", |text| {
                (2..=6).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphabetic())
            })?,
            prevent_user_existence_errors: variables.parsed(
                "IDENTITY_PREVENT_USER_EXISTENCE_ERRORS",
                "false",
                |text| {
                    text.parse()
                        .map_err(|_| "is neither true nor false".to_owned())
                },
            )?,
            code_lifetime: variables.number("IDENTITY_CODE_EXPIRE_TIME", "3600", 300..=86_400)?,
            activity_retention: variables.number("IDENTITY_ACTIVITY_DAYS", "90", 1..=3650)?
                * 86_400,
            link_confirms: variables.parsed(
                "IDENTITY_CONFIRMATION",
                "proof",
                |text| match text {
                    "proof" => Ok(false),
                    "link" => Ok(true),
                    _ => Err("is neither proof nor link".to_owned()),
                },
            )?,
        })
    }
}

/// Reads `IDENTITY_SIGN_IN_NOTICE`: whether sign-ins from new devices are mailed.
pub fn sign_in_notice(variables: &Variables) -> Result<bool, ConfigError> {
    variables.parsed("IDENTITY_SIGN_IN_NOTICE", "on", |text| match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("is neither on nor off".to_owned()),
    })
}

/// Reads `IDENTITY_PENDING_DAYS`: days until an account whose address is not confirmed expires; 0
/// means never.
pub fn pending_lifetime(variables: &Variables) -> Result<PendingLifetime, ConfigError> {
    let days = variables.number("IDENTITY_PENDING_DAYS", "30", 0..=3650)?;
    Ok(PendingLifetime::days(days))
}
