//! Passwords: the rule for their form, the estimate of their strength, and their hashes.

mod argon2id;
mod dictionary;
mod hash;
mod memory;
mod policy;
mod rule;
mod scheme;
mod strength;

use std::fmt;

use zeroize::Zeroizing;

use crate::{Error, FieldFault};

pub use dictionary::Dictionary;
pub use hash::{Hasher, HashingFailed, InvalidHash, PasswordHash, Verdict, parse_params};
pub use policy::{PasswordFault, PasswordPolicy};
pub use rule::{PasswordRule, RuleError};
pub use scheme::HashKind;
pub use strength::Strength;
/// The advice of [`Strength`].
pub use zxcvbn::feedback::{Suggestion, Warning};

/// A password in plain text, exactly as received: neither trimmed nor normalised. It cannot be
/// serialized, and its memory is zeroed when it is dropped.
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
    /// Wraps a password that a client sent.
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
    /// Not in constant time: both passwords come from the same client.
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}
