//! The faults of parameters, with their error keys.

use std::fmt;

use serde::de::IgnoredAny;

/// A parameter that is missing, or whose value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterFault {
    /// Prefix of the operation's error keys, for example `identity.session`.
    pub module: &'static str,
    /// Name of the parameter in the request.
    pub parameter: &'static str,
    /// The fault, which selects the error key.
    pub kind: ParameterFaultKind,
}

/// The faults that a parameter can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterFaultKind {
    /// The request does not contain the parameter.
    Missing,
    /// The value is empty or white space.
    Blank,
    /// The value is longer than the limit of the parameter.
    TooLong,
    /// A `captcha_response` that is neither text nor an object.
    InvalidFormat,
    /// The value is none of those that the parameter can have.
    Invalid,
}

/// A value that a rule of its parameter rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldFault {
    /// The address is not a valid e-mail address.
    EmailInvalid,
    /// The address already has an account.
    EmailTaken,
    /// The password does not match `IDENTITY_PASSWORD_REGEXP`.
    PasswordRequirements,
    /// The estimated entropy of the password is below `IDENTITY_PASSWORD_MIN_ENTROPY`.
    PasswordWeak,
    /// The password is known from a data breach.
    PasswordBreached,
    /// The value of `data` is not a JSON text (RFC 8259).
    DataInvalid,
    /// The key of a label is not 3 to 255 characters of `[a-z0-9_-]`.
    KeyInvalid,
    /// The user has a label with this key.
    KeyTaken,
    /// The value of a label is not 3 to 255 characters of `[a-z0-9_-]`.
    ValueInvalid,
}

impl FieldFault {
    /// The fault of a value of `data`, if it has one.
    #[must_use]
    pub fn of_data(text: &str) -> Option<Self> {
        serde_json::from_str::<IgnoredAny>(text)
            .is_err()
            .then_some(Self::DataInvalid)
    }

    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::EmailInvalid => "email.invalid",
            Self::EmailTaken => "email.taken",
            Self::PasswordRequirements => "password.requirements",
            Self::PasswordWeak => "password.weak",
            Self::PasswordBreached => "password.breached",
            Self::DataInvalid => "data.invalid_format",
            Self::KeyInvalid => "key.invalid",
            Self::KeyTaken => "key.taken",
            Self::ValueInvalid => "value.invalid",
        }
    }
}

/// Writes the error key.
impl fmt::Display for ParameterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            module,
            parameter,
            kind,
        } = self;
        match (kind, *parameter) {
            // Barong names this parameter differently if it is missing than if it is blank.
            (ParameterFaultKind::Missing, "reset_password_token") => {
                write!(f, "{module}.missing_pass_token")
            }
            (ParameterFaultKind::InvalidFormat, "captcha_response") => {
                write!(f, "{module}.invalid_captcha_format")
            }
            (ParameterFaultKind::Missing, _) => write!(f, "{module}.missing_{parameter}"),
            (ParameterFaultKind::Blank, _) => write!(f, "{module}.empty_{parameter}"),
            // As for the other faults of these values, the key has no module.
            (ParameterFaultKind::TooLong, "data") => f.write_str("data.too_long"),
            (ParameterFaultKind::TooLong, "name") => f.write_str("name.too_long"),
            (ParameterFaultKind::TooLong, _) => write!(f, "{module}.too_long_{parameter}"),
            (ParameterFaultKind::Invalid, _) => write!(f, "{module}.invalid_{parameter}"),
            (ParameterFaultKind::InvalidFormat, _) => {
                write!(f, "{module}.invalid_{parameter}_format")
            }
        }
    }
}
