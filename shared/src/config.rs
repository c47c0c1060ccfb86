//! The configuration: environment variables that template.yaml sets, read once at start.

use std::{fmt, str::FromStr};

use argon2::Params;

use crate::{
    captcha::CaptchaSettings,
    email::EmailAddress,
    environment,
    language::Language,
    limits::Limits,
    network::Network,
    outbound::{ServiceUrl, is_confidential},
    password::{self, parse_params},
    session::SessionLife,
};

pub(crate) const PASSWORD_REGEXP: &str = "IDENTITY_PASSWORD_REGEXP";
const DEFAULT_PASSWORD_REGEXP: &str = r"^(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=[^0-9]*[0-9])[\s\S]{8,80}$";

/// Longest values in characters, the `MaxLength` of template.yaml: Lambda holds 4096 bytes of variables, names included.
pub const LONGEST: [(&str, usize); 14] = [
    ("IDENTITY_APP_NAME", 40),
    ("IDENTITY_DOMAIN", 100),
    ("IDENTITY_SESSION_NAME", 64),
    (PASSWORD_REGEXP, 200),
    ("IDENTITY_SENDER_EMAIL", 100),
    ("IDENTITY_SENDER_NAME", 40),
    ("IDENTITY_ACCESS_TOKEN_ISSUER", 100),
    ("IDENTITY_ACCESS_TOKEN_AUDIENCE", 64),
    ("IDENTITY_TRUSTED_PROXIES", 180),
    ("IDENTITY_CAPTCHA_ID", 100),
    ("IDENTITY_CAPTCHA_SECRET_ARN", 150),
    ("IDENTITY_CAPTCHA_URL", 100),
    ("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", 63),
    ("IDENTITY_BREACHED_PASSWORDS_URL", 100),
];

/// Everything that an operator can set. README.md describes each variable.
pub struct Config {
    /// `IDENTITY_APP_NAME`: the name in mails, the issuer of OTP secrets.
    pub app_name: String,
    /// `IDENTITY_DOMAIN`: what links in mails begin with, without a slash at its end.
    pub domain: String,
    /// `IDENTITY_UID_PREFIX`: what uids begin with.
    pub uid_prefix: String,
    /// `IDENTITY_SESSION_NAME`: the name of the session cookie.
    pub session_name: String,
    /// `IDENTITY_SESSION_EXPIRE_TIME`, `IDENTITY_SESSION_MAX_AGE`: how long sessions live.
    pub session_life: SessionLife,
    /// `IDENTITY_CODE_EXPIRE_TIME`: life of reset and confirmation codes in seconds.
    pub code_expire_time: i64,
    /// `IDENTITY_PASSWORD_REGEXP`: what a password must match, in the syntax of JavaScript. It is read by the functions that use it,
    /// for that takes time and space ([`crate::password::PasswordPolicy`]).
    pub password_regexp: String,
    /// `IDENTITY_PASSWORD_MIN_ENTROPY`: the least entropy of a password that is accepted, in bits.
    pub password_min_entropy: f64,
    /// `IDENTITY_ARGON2`: parameters of new password hashes.
    pub argon2: Params,
    /// `IDENTITY_DEFAULT_LANGUAGE`: of mails to those who asked for no other.
    pub default_language: Language,
    /// `IDENTITY_SENDER_EMAIL`, `IDENTITY_SENDER_NAME`: who mails are from.
    pub sender: Sender,
    /// `IDENTITY_PREVENT_USER_EXISTENCE_ERRORS`: an unknown address is answered like a known one.
    pub prevent_user_existence_errors: bool,
    /// `IDENTITY_SIGN_IN_FREE_ATTEMPTS`, `IDENTITY_REQUESTS_PER_MINUTE`, `IDENTITY_MAIL_INTERVAL`, `IDENTITY_MAILS_PER_HOUR`: how
    /// often something may be tried.
    pub limits: Limits,
    /// `IDENTITY_ACTIVITY_DAYS`: seconds for which it is kept what users did.
    pub activity_life: i64,
    /// `IDENTITY_ACCESS_TOKEN_ISSUER`, `IDENTITY_ACCESS_TOKEN_AUDIENCE`: what access tokens say of themselves.
    pub access_token: AccessToken,
    /// `IDENTITY_TRUSTED_PROXIES`: gateways that ask at `/auth`, whose word on the client's address is taken there.
    pub trusted_proxies: Vec<Network>,
    /// `IDENTITY_CAPTCHA`, `IDENTITY_CAPTCHA_ID`, `IDENTITY_CAPTCHA_SECRET_ARN`, `IDENTITY_CAPTCHA_URL`,
    /// `IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS`: what only people may do.
    pub captcha: Option<CaptchaSettings>,
    /// `IDENTITY_BREACHED_PASSWORDS`, `IDENTITY_BREACHED_PASSWORDS_URL`: where it is asked whether a password is known.
    pub breached_passwords: Option<ServiceUrl>,
    /// `IDENTITY_USERS_TABLE`: name of the table of users.
    pub users_table: String,
    /// `IDENTITY_GRANTS_TABLE`: name of the table of what users hold for a time.
    pub grants_table: String,
    /// `IDENTITY_TOKEN_SECRET`: ARN of the secret that the token keys come from.
    pub token_secret: String,
    /// `IDENTITY_MAIL_CONFIGURATION_SET`: SES configuration set, if mails are sent with one.
    pub mail_configuration_set: Option<String>,
}

/// Who mails are from.
#[derive(Debug)]
pub struct Sender {
    /// The name shown.
    pub name: String,
    /// The address.
    pub email: EmailAddress,
}

/// What access tokens say of themselves.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// Who made it: the claim `iss`.
    pub issuer: String,
    /// Whom it is for: the claim `aud`.
    pub audience: String,
}

/// A variable that is missing or cannot be right.
#[derive(PartialEq, Eq)]
pub struct ConfigError {
    variable: &'static str,
    problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.problem)
    }
}

/// What `main` prints of it.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(environment::variable)
    }

    /// Reads variables by the given function, which answers `None` for one that is not set.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        for (variable, longest) in LONGEST {
            if get(variable).is_some_and(|value| value.chars().count() > longest) {
                return Err(problem(variable, format!("is longer than {longest} characters")));
            }
        }
        let vars = Variables(get);
        // Authenticators take what stands before a colon for the issuer.
        let app_name = vars.text("IDENTITY_APP_NAME", "Latchkey", |text| is_one_line(text) && !text.contains(':'))?;
        let sender = Sender {
            name: vars.text("IDENTITY_SENDER_NAME", &app_name, is_one_line)?,
            email: vars.required("IDENTITY_SENDER_EMAIL", |text| {
                EmailAddress::parse(text).map_err(|_| "is not an e-mail address".to_owned())
            })?,
        };
        let session_life = SessionLife {
            idle: vars.number("IDENTITY_SESSION_EXPIRE_TIME", "1800", 60..=86_400)?,
            absolute: vars.number("IDENTITY_SESSION_MAX_AGE", "86400", 60..=2_592_000)?,
        };
        if session_life.absolute < session_life.idle {
            return Err(problem("IDENTITY_SESSION_MAX_AGE", "is less than IDENTITY_SESSION_EXPIRE_TIME"));
        }
        let domain = vars.required("IDENTITY_DOMAIN", parse_domain)?;
        let limits = Limits {
            sign_in_free_attempts: vars.number("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "5", 0..=100)?,
            requests_per_minute: vars.number("IDENTITY_REQUESTS_PER_MINUTE", "60", 0..=100_000)?,
            mail_interval: vars.number("IDENTITY_MAIL_INTERVAL", "60", 0..=3600)?,
            mails_per_hour: vars.number("IDENTITY_MAILS_PER_HOUR", "5", 0..=100)?,
        };
        let is_claim = |text: &str| !text.is_empty() && is_printable_ascii(text) && !text.contains(['"', '\\']);
        let access_token = AccessToken {
            issuer: vars.text("IDENTITY_ACCESS_TOKEN_ISSUER", &domain, is_claim)?,
            audience: vars.text("IDENTITY_ACCESS_TOKEN_AUDIENCE", "latchkey", is_claim)?,
        };
        Ok(Self {
            uid_prefix: vars.text("IDENTITY_UID_PREFIX", "ID", |text| {
                (2..=6).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphabetic())
            })?,
            session_name: vars.text("IDENTITY_SESSION_NAME", "_barong_session", is_token)?,
            session_life,
            code_expire_time: vars.number("IDENTITY_CODE_EXPIRE_TIME", "3600", 300..=86_400)?,
            password_regexp: vars.text(PASSWORD_REGEXP, DEFAULT_PASSWORD_REGEXP, is_printable_ascii)?,
            password_min_entropy: vars.number("IDENTITY_PASSWORD_MIN_ENTROPY", "25", 0.0..=64.0)?,
            argon2: vars.parsed("IDENTITY_ARGON2", "m=19456,t=2,p=1", |text| {
                parse_params(text).ok_or_else(|| {
                    "is not of the form m=19456,t=2,p=1, or out of bounds (m 8192 to 524288 KiB, t and p 1 to 16)".to_owned()
                })
            })?,
            default_language: vars.parsed("IDENTITY_DEFAULT_LANGUAGE", "en", |text| {
                Language::from_str(text).map_err(|_| "is not a language that has templates".to_owned())
            })?,
            prevent_user_existence_errors: vars.parsed("IDENTITY_PREVENT_USER_EXISTENCE_ERRORS", "false", |text| {
                text.parse().map_err(|_| "is neither true nor false".to_owned())
            })?,
            limits,
            activity_life: vars.number("IDENTITY_ACTIVITY_DAYS", "90", 1..=3650)? * 86_400,
            access_token,
            trusted_proxies: vars.parsed("IDENTITY_TRUSTED_PROXIES", "", |text| {
                let networks = text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Network::parse);
                networks
                    .collect::<Option<_>>()
                    .ok_or_else(|| "is not a list of networks as 203.0.113.0/24,2001:db8::/32".to_owned())
            })?,
            captcha: CaptchaSettings::read(&vars)?,
            breached_passwords: password::breached_passwords_url(&vars)?,
            users_table: vars.required("IDENTITY_USERS_TABLE", |text| Ok(text.to_owned()))?,
            grants_table: vars.required("IDENTITY_GRANTS_TABLE", |text| Ok(text.to_owned()))?,
            token_secret: vars.required("IDENTITY_TOKEN_SECRET", |text| Ok(text.to_owned()))?,
            mail_configuration_set: (vars.0)("IDENTITY_MAIL_CONFIGURATION_SET"),
            app_name,
            domain,
            sender,
        })
    }
}

/// Reads variables, with errors that name them.
pub(crate) struct Variables<F>(pub(crate) F);

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    pub(crate) fn parsed<T>(
        &self,
        variable: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let value = (self.0)(variable);
        parse(value.as_deref().unwrap_or(default)).map_err(|why| problem(variable, why))
    }

    pub(crate) fn required<T>(
        &self,
        variable: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let value = (self.0)(variable).ok_or_else(|| problem(variable, "is not set"))?;
        parse(&value).map_err(|why| problem(variable, why))
    }

    pub(crate) fn text(
        &self,
        variable: &'static str,
        default: &str,
        is_good: impl Fn(&str) -> bool,
    ) -> Result<String, ConfigError> {
        self.parsed(variable, default, |text| {
            if is_good(text) { Ok(text.to_owned()) } else { Err("has characters or a length that it cannot have".to_owned()) }
        })
    }

    pub(crate) fn number<T>(
        &self,
        variable: &'static str,
        default: &str,
        bounds: std::ops::RangeInclusive<T>,
    ) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        self.parsed(variable, default, |text| {
            text.parse()
                .ok()
                .filter(|number| bounds.contains(number))
                .ok_or_else(|| format!("is not a number from {} to {}", bounds.start(), bounds.end()))
        })
    }
}

pub(crate) fn problem(variable: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError { variable, problem: problem.into() }
}

fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn is_printable_ascii(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A token of RFC 9110, which is what RFC 6265 lets a cookie's name be.
fn is_token(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

/// A web origin: links carry tokens, so it is https unless the host is this machine.
fn parse_domain(text: &str) -> Result<String, String> {
    const PROBLEM: &str = "is not an origin as https://example.com (http only for localhost)";
    let text = text.trim_end_matches('/');
    let (scheme, authority) = text.split_once("://").ok_or(PROBLEM)?;
    let uri: lambda_http::http::Uri = text.parse().map_err(|_| PROBLEM)?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or(PROBLEM)?;
    let bare = !authority.contains(['/', '?', '#', '@']);
    if bare && is_confidential(scheme, host) { Ok(text.to_owned()) } else { Err(PROBLEM.to_owned()) }
}

#[cfg(test)]
mod tests;
