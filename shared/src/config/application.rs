//! The application that accounts belong to.

use std::str::FromStr;

use super::{
    ConfigError, Variables,
    variables::{is_one_line, origin},
};
use crate::domain::language::Language;

/// The application, as people see it.
#[derive(Clone, Debug)]
pub struct Application {
    /// `IDENTITY_APP_NAME`: name in mails, issuer of OTP secrets.
    pub name: String,
    /// `IDENTITY_DOMAIN`: base of links in mails, without a slash at its end.
    pub domain: String,
    /// `IDENTITY_DEFAULT_LANGUAGE`: language of users who chose none.
    pub default_language: Language,
}

impl Application {
    /// Reads the section.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        Ok(Self {
            // Authenticator apps split their labels at a colon.
            name: variables.text("IDENTITY_APP_NAME", "Latchkey", |text| {
                is_one_line(text) && !text.contains(':')
            })?,
            domain: variables.required("IDENTITY_DOMAIN", origin)?,
            default_language: variables.parsed("IDENTITY_DEFAULT_LANGUAGE", "en", |text| {
                Language::from_str(text)
                    .map_err(|_| "is not a language that has templates".to_owned())
            })?,
        })
    }
}
