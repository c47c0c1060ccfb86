//! One-time codes, which are sent by mail. A new code replaces the previous one of its kind.

use serde::{Deserialize, Serialize};

use crate::{domain::token_id::TokenId, platform::clock::Timestamp};

/// The purpose of a one-time code. A user has at most one valid code of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sets a new password.
    Reset,
    /// Confirms the address.
    Confirmation,
}

/// A one-time code as stored. The mailed token contains the id of the code and a signature, so a
/// copy of the table is not enough to forge it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeCode {
    /// The id of the mailed token.
    #[serde(rename = "jti")]
    pub token_id: TokenId,
    /// The time from which the code is rejected.
    pub expires_at: Timestamp,
}

impl OneTimeCode {
    /// A new code that expires after `life` seconds.
    #[must_use]
    pub fn new(life: i64, now: Timestamp) -> Self {
        Self {
            token_id: TokenId::generate(),
            expires_at: now + life,
        }
    }

    /// Whether a token with this id belongs to the code, and the code has not expired.
    #[must_use]
    pub fn is_valid(&self, token_id: &TokenId, now: Timestamp) -> bool {
        self.token_id == *token_id && now < self.expires_at
    }
}
