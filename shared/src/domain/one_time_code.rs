//! Codes that are mailed: the newest of a kind that a user asked for.

use serde::{Deserialize, Serialize};

use crate::platform::{clock::Timestamp, random};

/// What a code lets its bearer do. A user has one code of a kind at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Set a new password.
    Reset,
    /// Confirm the address.
    Confirmation,
}

/// A code as stored. The token that is mailed names it by its `jti`, and needs the stack's key
/// besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeCode {
    /// Names the code.
    pub jti: String,
    /// When it stops working.
    pub expires_at: Timestamp,
}

impl OneTimeCode {
    /// A new code that lives for so many seconds.
    #[must_use]
    pub fn new(life: i64, now: Timestamp) -> Self {
        Self {
            jti: random::identifier(),
            expires_at: now + life,
        }
    }

    /// Whether this is the code that a genuine token names by its `jti`.
    #[must_use]
    pub fn is_named_by(&self, jti: &str, now: Timestamp) -> bool {
        self.jti == jti && now < self.expires_at
    }
}
