//! Access tokens (JWTs), which other services verify.

use super::{Application, ConfigError, Variables, variables::is_printable_ascii};

/// Claims that are the same in all access tokens (RFC 7519, section 4.1).
#[derive(Clone, Debug)]
pub struct AccessTokens {
    /// `IDENTITY_ACCESS_TOKEN_ISSUER`: claim `iss`.
    pub issuer: String,
    /// `IDENTITY_ACCESS_TOKEN_AUDIENCE`: claim `aud`.
    pub audience: String,
}

impl AccessTokens {
    /// Reads the claims. The default of the issuer is the domain of the application.
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
