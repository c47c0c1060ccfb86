//! Rate limits and back-off.

use super::{ConfigError, Variables};
use crate::domain::rate_limit::Limits;

/// Reads `IDENTITY_SIGN_IN_FREE_ATTEMPTS`, `IDENTITY_REQUESTS_PER_MINUTE`, `IDENTITY_MAIL_INTERVAL`
/// (in seconds) and `IDENTITY_MAILS_PER_HOUR`. The value 0 switches a limit off.
pub fn limits(variables: &Variables) -> Result<Limits, ConfigError> {
    Ok(Limits {
        sign_in_free_attempts: variables.number("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "5", 0..=100)?,
        requests_per_minute: variables.number("IDENTITY_REQUESTS_PER_MINUTE", "60", 0..=100_000)?,
        mail_interval: variables.number("IDENTITY_MAIL_INTERVAL", "60", 0..=3600)?,
        mails_per_hour: variables.number("IDENTITY_MAILS_PER_HOUR", "5", 0..=100)?,
    })
}
