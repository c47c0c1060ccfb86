//! Passwords: the rule they must meet, how guessable they are, and how they are kept.

mod argon2id;
mod hash;
mod memory;
mod policy;
mod rule;
mod scheme;
mod strength;

use std::fmt;

use zeroize::Zeroizing;

use crate::{Error, FieldFault};

pub use hash::{Hasher, HashingFailed, InvalidHash, PasswordHash, Verdict, parse_params};
pub use policy::{PasswordFault, PasswordPolicy};
pub use rule::{PasswordRule, RuleError};
pub use strength::Strength;

/// A password as it was received: not trimmed, its case as it came. It cannot be stored, and leaves
/// no trace in memory.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl From<HashingFailed> for Error {
    fn from(error: HashingFailed) -> Self {
        Self::internal(error)
    }
}

impl From<PasswordFault> for FieldFault {
    fn from(fault: PasswordFault) -> Self {
        match fault {
            PasswordFault::Requirements => Self::PasswordRequirements,
            PasswordFault::Weak => Self::PasswordWeak,
            PasswordFault::Breached => Self::PasswordBreached,
        }
    }
}

impl Password {
    /// Takes over what the client sent.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The password in plain text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Password {
    /// Both come from the client who asks, so the time that this takes tells nothing.
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}
