//! The requirements on passwords, and the parameters of their hashes.

use argon2::Params;

use super::{ConfigError, Variables, application::app_name, variables::is_printable_ascii};
use crate::{
    domain::password::{Dictionary, HashKind, PasswordPolicy, PasswordRule, parse_params},
    platform::service_url::ServiceUrl,
};

const REGEXP: &str = "IDENTITY_PASSWORD_REGEXP";
pub(super) const DEFAULT_REGEXP: &str =
    r"^(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=[^0-9]*[0-9])[\s\S]{8,80}$";

/// Requirements on new passwords.
#[derive(Debug)]
pub struct Passwords {
    /// `IDENTITY_PASSWORD_REGEXP`: regular expression that a password must match, in JavaScript's
    /// syntax.
    pub regexp: String,
    /// `IDENTITY_PASSWORD_MIN_ENTROPY`: minimum of the estimated entropy, in bits.
    pub min_entropy: f64,
    /// `IDENTITY_BREACHED_PASSWORDS_URL`: base URL of the service for breached passwords; `None` if
    /// `IDENTITY_BREACHED_PASSWORDS` is `off`.
    pub breached_passwords: Option<ServiceUrl>,
    /// `IDENTITY_APP_NAME`: a password must not be easy to guess from it.
    app_name: String,
}

impl Passwords {
    /// Reads the requirements. Does not compile the expression, because the function that publishes
    /// it does not use it.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let is_on = variables.parsed("IDENTITY_BREACHED_PASSWORDS", "off", |text| match text {
            "off" => Ok(false),
            "hibp" => Ok(true),
            _ => Err("is neither off nor hibp".to_owned()),
        })?;
        let url = variables.parsed(
            "IDENTITY_BREACHED_PASSWORDS_URL",
            "https://api.pwnedpasswords.com/range/",
            ServiceUrl::parse,
        )?;
        Ok(Self {
            regexp: variables.text(REGEXP, DEFAULT_REGEXP, is_printable_ascii)?,
            min_entropy: variables.number("IDENTITY_PASSWORD_MIN_ENTROPY", "25", 0.0..=64.0)?,
            breached_passwords: is_on.then_some(url),
            app_name: app_name(variables)?,
        })
    }

    /// Compiles the expression.
    ///
    /// # Errors
    /// If the expression has invalid or unsupported syntax, or could take exponential time.
    pub fn policy(&self) -> Result<PasswordPolicy, ConfigError> {
        let rule = PasswordRule::parse(&self.regexp)
            .map_err(|error| ConfigError::new(REGEXP, error.to_string()))?;
        let dictionary = Dictionary::of_app(&self.app_name);
        Ok(PasswordPolicy::new(rule, self.min_entropy, dictionary))
    }
}

/// Reads `IDENTITY_ARGON2`, the Argon2id parameters of new password hashes (RFC 9106, section 3.1).
/// The default is one of those that the OWASP Password Storage Cheat Sheet recommends.
pub fn argon2(variables: &Variables) -> Result<Params, ConfigError> {
    variables.parsed("IDENTITY_ARGON2", "m=19456,t=2,p=1", |text| {
        parse_params(text).ok_or_else(|| {
            "is not of the form m=19456,t=2,p=1, or out of bounds (m 8192 to 524288 KiB, t and p 1 to 16)".to_owned()
        })
    })
}

/// Maximum number of kinds of imported hashes. Every refused sign-in computes one hash of each.
const MAX_KINDS: usize = 4;

/// Reads `IDENTITY_IMPORTED_HASHES`, the kinds of imported hashes that are still in use, separated
/// by `;`.
pub fn imported_hashes(variables: &Variables) -> Result<Vec<HashKind>, ConfigError> {
    variables.parsed("IDENTITY_IMPORTED_HASHES", "", |text| {
        let kinds = text.split(';').filter(|_| !text.is_empty());
        let kinds: Vec<HashKind> = kinds
            .map(|kind| {
                HashKind::parse(kind.trim()).ok_or_else(|| {
                    format!(
                        "{kind:?} is neither of the form bcrypt-10 (cost 4 to 14) nor m=65536,t=3,p=4 (m 8 to 524288 KiB and at least 8 for each lane, t and p 1 to 16)"
                    )
                })
            })
            .collect::<Result<_, _>>()?;
        if kinds.len() > MAX_KINDS {
            return Err(format!("lists more than {MAX_KINDS} kinds"));
        }
        Ok(kinds)
    })
}
