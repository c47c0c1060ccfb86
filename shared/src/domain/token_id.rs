//! Token ids, the claim `jti` (RFC 7519, section 4.1.7).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::platform::random;

/// The id of a session token or of a one-time code: 256 random bits. It is a secret: the Users and
/// Grants tables hold the id of a session only as a [hash](crate::domain::session::SessionId), and
/// the id of a code is worth nothing without the signing key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(String);

impl TokenId {
    /// A random id.
    #[must_use]
    pub fn generate() -> Self {
        Self(random::identifier())
    }

    /// An id that is given, for tests and fuzz targets.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The id as text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_does_not_reveal_the_id() {
        let id = TokenId::from_text("secret");
        assert_eq!(
            format!("{id:?} {:?}", Some(&id)),
            "TokenId(..) Some(TokenId(..))"
        );
    }
}
