//! Names of the stack's resources.

use super::{ConfigError, Variables};

/// The two tables.
#[derive(Clone, Debug)]
pub struct Tables {
    /// `IDENTITY_USERS_TABLE`: name of the table of users.
    pub users: String,
    /// `IDENTITY_GRANTS_TABLE`: name of the table of what users hold for a time.
    pub grants: String,
}

impl Tables {
    /// Reads the section.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        Ok(Self {
            users: variables.name("IDENTITY_USERS_TABLE")?,
            grants: variables.name("IDENTITY_GRANTS_TABLE")?,
        })
    }
}

/// Reads `IDENTITY_TOKEN_SECRET`, the ARN of the secret from which the keys of tokens are derived.
pub fn token_secret(variables: &Variables) -> Result<String, ConfigError> {
    variables.name("IDENTITY_TOKEN_SECRET")
}
