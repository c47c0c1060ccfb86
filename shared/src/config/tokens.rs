//! Access tokens for other services.

use super::{Application, ConfigError, Variables, variables::is_printable_ascii};

/// Names in access tokens.
#[derive(Clone, Debug)]
pub struct AccessTokens {
    /// `IDENTITY_ACCESS_TOKEN_ISSUER`: the claim `iss`.
    pub issuer: String,
    /// `IDENTITY_ACCESS_TOKEN_AUDIENCE`: the claim `aud`.
    pub audience: String,
}

impl AccessTokens {
    /// Reads the section. The issuer is the application's domain unless one is given.
    pub fn read(variables: &Variables, application: &Application) -> Result<Self, ConfigError> {
        let is_claim = |text: &str| {
            !text.is_empty() && is_printable_ascii(text) && !text.contains(['"', '\\'])
        };
        Ok(Self {
            issuer: variables.text(
                "IDENTITY_ACCESS_TOKEN_ISSUER",
                &application.domain,
                is_claim,
            )?,
            audience: variables.text("IDENTITY_ACCESS_TOKEN_AUDIENCE", "latchkey", is_claim)?,
        })
    }
}
