//! Reading and parsing of environment variables.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use crate::platform::{environment, service_url::is_confidential};

/// A variable that is required and not set, or whose value is invalid.
#[derive(PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct ConfigError {
    /// The name of the variable.
    pub variable: &'static str,
    problem: String,
}

/// As `Display`, because `main` prints the `Debug` form of an error.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl ConfigError {
    /// `problem` continues a sentence that begins with the variable: "is not a number".
    pub(crate) fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self {
            variable,
            problem: problem.into(),
        }
    }
}

/// Returns the value of a variable; `None` if it is not set.
type Get = dyn Fn(&str) -> Option<String>;

/// A source of variables.
pub struct Variables(Box<Get>);

impl Variables {
    /// The environment of this process.
    #[must_use]
    pub fn from_env() -> Self {
        Self::new(environment::variable)
    }

    /// The variables that `get` returns; `None` stands for a variable that is not set.
    pub fn new(get: impl Fn(&str) -> Option<String> + 'static) -> Self {
        Self(Box::new(get))
    }

    fn get(&self, variable: &'static str) -> Result<Option<String>, ConfigError> {
        let value = (self.0)(variable);
        match (max_length(variable), &value) {
            (Some(maximum), Some(text)) if text.chars().count() > maximum => Err(ConfigError::new(
                variable,
                format!("is longer than {maximum} characters"),
            )),
            _ => Ok(value),
        }
    }

    /// A variable of any value, without a default.
    pub(crate) fn optional(&self, variable: &'static str) -> Result<Option<String>, ConfigError> {
        self.get(variable)
    }

    pub(crate) fn parsed<T>(
        &self,
        variable: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let value = self.get(variable)?;
        parse(value.as_deref().unwrap_or(default))
            .map_err(|problem| ConfigError::new(variable, problem))
    }

    pub(crate) fn required<T>(
        &self,
        variable: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let value = self
            .get(variable)?
            .ok_or_else(|| ConfigError::new(variable, "is not set"))?;
        parse(&value).map_err(|problem| ConfigError::new(variable, problem))
    }

    /// The name or ARN of a resource, which template.yaml sets.
    pub(crate) fn name(&self, variable: &'static str) -> Result<String, ConfigError> {
        self.required(variable, |text| Ok(text.to_owned()))
    }

    pub(crate) fn text(
        &self,
        variable: &'static str,
        default: &str,
        is_valid: impl Fn(&str) -> bool,
    ) -> Result<String, ConfigError> {
        self.parsed(variable, default, |text| {
            if is_valid(text) {
                Ok(text.to_owned())
            } else {
                Err("has an invalid length or invalid characters".to_owned())
            }
        })
    }

    pub(crate) fn number<T>(
        &self,
        variable: &'static str,
        default: &str,
        bounds: RangeInclusive<T>,
    ) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        self.parsed(variable, default, |text| {
            text.parse()
                .ok()
                .filter(|number| bounds.contains(number))
                .ok_or_else(|| {
                    format!(
                        "is not a number from {} to {}",
                        bounds.start(),
                        bounds.end()
                    )
                })
        })
    }
}

/// Maximum lengths of values, in characters. They equal `MaxLength` in template.yaml, and keep all
/// variables of a function within Lambda's quota of 4096 bytes, names included.
pub const MAX_LENGTHS: [(&str, usize); 23] = [
    ("IDENTITY_APP_NAME", 40),
    ("IDENTITY_DOMAIN", 100),
    ("IDENTITY_ALLOWED_ORIGINS", 160),
    ("IDENTITY_PAGES_URL", 100),
    ("IDENTITY_LOGO_URL", 100),
    ("IDENTITY_SESSION_NAME", 64),
    ("IDENTITY_PASSWORD_REGEXP", 200),
    ("IDENTITY_IMPORTED_HASHES", 50),
    ("IDENTITY_SENDER_EMAIL", 100),
    ("IDENTITY_SENDER_NAME", 40),
    ("IDENTITY_SUPPORT_URL", 100),
    ("IDENTITY_ACCESS_TOKEN_ISSUER", 100),
    ("IDENTITY_ACCESS_TOKEN_AUDIENCE", 128),
    ("IDENTITY_ACCESS_TOKEN_KEY_ARN", 150),
    ("IDENTITY_TRUSTED_PROXIES", 180),
    ("IDENTITY_PASSKEY_RP_ID", 100),
    ("IDENTITY_PASSKEY_ORIGINS", 160),
    ("IDENTITY_CDN_SECRET_SHA256", 129),
    ("IDENTITY_CAPTCHA_ID", 100),
    ("IDENTITY_CAPTCHA_SECRET_ARN", 150),
    ("IDENTITY_CAPTCHA_URL", 100),
    ("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", 63),
    ("IDENTITY_BREACHED_PASSWORDS_URL", 100),
];

fn max_length(variable: &str) -> Option<usize> {
    MAX_LENGTHS
        .iter()
        .find(|(name, _)| *name == variable)
        .map(|(_, maximum)| *maximum)
}

pub(crate) fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

pub(crate) fn is_printable_ascii(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Parses a web origin (RFC 6454). It must be https unless the host is this machine, because links
/// that begin with it contain tokens.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    const PROBLEM: &str =
        "is not an origin, for example https://example.com (http only for localhost)";
    let text = text.trim_end_matches('/');
    let (scheme, authority) = text.split_once("://").ok_or(PROBLEM)?;
    let uri: lambda_http::http::Uri = text.parse().map_err(|_| PROBLEM)?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or(PROBLEM)?;
    let is_bare = !authority.contains(['/', '?', '#', '@']);
    if is_bare && is_confidential(scheme, host) {
        Ok(text.to_owned())
    } else {
        Err(PROBLEM.to_owned())
    }
}
