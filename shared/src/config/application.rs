//! The application whose users sign in.

use std::str::FromStr;

use super::{
    ConfigError, Variables,
    variables::{is_one_line, origin},
};
use crate::domain::language::Language;

/// The application as users see it.
#[derive(Clone, Debug)]
pub struct Application {
    /// `IDENTITY_APP_NAME`: name in mails, and issuer of OTP secrets in authenticator apps.
    pub name: String,
    /// `IDENTITY_DOMAIN`: origin of the front end, without a slash at its end. Links in mails begin
    /// with it.
    pub domain: String,
    /// `IDENTITY_DEFAULT_LANGUAGE`: language of mails to users who chose none.
    pub default_language: Language,
}

impl Application {
    /// Reads the settings of the application.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        Ok(Self {
            name: app_name(variables)?,
            domain: variables.required("IDENTITY_DOMAIN", origin)?,
            default_language: default_language(variables)?,
        })
    }
}

/// Reads `IDENTITY_APP_NAME`, the name of the application.
pub fn app_name(variables: &Variables) -> Result<String, ConfigError> {
    // The label of an OTP key URI is `issuer:account`, so neither may contain a colon.
    variables.text("IDENTITY_APP_NAME", "Latchkey", |text| {
        is_one_line(text) && !text.contains(':')
    })
}

/// Reads `IDENTITY_DEFAULT_LANGUAGE`, the language of mails to users who chose none.
pub fn default_language(variables: &Variables) -> Result<Language, ConfigError> {
    variables.parsed("IDENTITY_DEFAULT_LANGUAGE", "en", |text| {
        Language::from_str(text).map_err(|_| "is not a language with mail templates".to_owned())
    })
}
