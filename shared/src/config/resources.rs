//! Names of the stack's resources.

use super::{ConfigError, Variables};

/// The DynamoDB tables.
#[derive(Clone, Debug)]
pub struct Tables {
    /// `IDENTITY_USERS_TABLE`: name of the Users table.
    pub users: String,
    /// `IDENTITY_GRANTS_TABLE`: name of the Grants table, whose items expire.
    pub grants: String,
}

impl Tables {
    /// Reads the names of the tables.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        Ok(Self {
            users: variables.name("IDENTITY_USERS_TABLE")?,
            grants: variables.name("IDENTITY_GRANTS_TABLE")?,
        })
    }
}

/// Reads `IDENTITY_TOKEN_SECRET`, the ARN of the token secret in Secrets Manager.
pub fn token_secret(variables: &Variables) -> Result<String, ConfigError> {
    variables.name("IDENTITY_TOKEN_SECRET")
}

/// Reads `IDENTITY_DATA_SECRET`, the ARN of the data secret in Secrets Manager.
pub fn data_secret(variables: &Variables) -> Result<String, ConfigError> {
    variables.name("IDENTITY_DATA_SECRET")
}
