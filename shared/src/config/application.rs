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

/// The image beside the name of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    /// `IDENTITY_LOGO_URL`.
    pub url: String,
    /// The origin of the URL, for a Content-Security-Policy.
    pub origin: String,
}

impl FromStr for Logo {
    type Err = String;

    /// Parses an https URL. Only unreserved characters are allowed, so that the URL needs no
    /// escaping in a header or in HTML.
    fn from_str(url: &str) -> Result<Self, String> {
        const PROBLEM: &str = "is not the https URL of an image, such as https://example.com/a.svg";
        let (host, path) = url
            .strip_prefix("https://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(PROBLEM)?;
        let is_host = |host: &str| {
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let inner = |byte: u8| allowed(byte) || matches!(byte, b'.' | b'-');
            host.bytes().all(inner)
                && host.bytes().next().is_some_and(allowed)
                && host.bytes().last().is_some_and(allowed)
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
        let is_valid_host = match host.split_once(':') {
            Some((host, port)) => is_host(host) && is_port(port),
            None => is_host(host),
        };
        let is_valid_path = path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~/?=&%+".contains(&byte));
        if is_valid_host && is_valid_path {
            Ok(Self {
                url: url.to_owned(),
                origin: format!("https://{host}"),
            })
        } else {
            Err(PROBLEM.to_owned())
        }
    }
}

/// Reads `IDENTITY_LOGO_URL`, the logo, if one is set.
pub fn logo(variables: &Variables) -> Result<Option<Logo>, ConfigError> {
    const LOGO: &str = "IDENTITY_LOGO_URL";
    variables
        .optional(LOGO)?
        .map(|url| {
            url.parse()
                .map_err(|problem: String| ConfigError::new(LOGO, problem))
        })
        .transpose()
}
