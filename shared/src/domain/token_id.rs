//! Token ids, the claim `jti` (RFC 7519, section 4.1.7).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::platform::{clock::Timestamp, random};

/// The id of a session token or of a one-time code: 256 random bits, in a session token after its
/// time. It is a secret: the Users and
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

    /// A random id that begins with its time, `<milliseconds>.<random>`.
    #[must_use]
    pub fn generate_at(now: Timestamp) -> Self {
        Self(format!(
            "{:013}.{}",
            now.milliseconds(),
            random::identifier()
        ))
    }

    /// The time with which the id begins: 13 digits, whose order is that of time. `None` if it
    /// begins with no time, as those of earlier versions.
    #[must_use]
    pub fn time(&self) -> Option<&str> {
        let (time, _) = self.0.split_once('.')?;
        let is_time = time.len() == 13 && time.bytes().all(|byte| byte.is_ascii_digit());
        is_time.then_some(time)
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
    fn an_id_with_a_time_begins_with_it() {
        let now = Timestamp::from_milliseconds(1_800_000_000_123);
        let id = TokenId::generate_at(now);
        assert_eq!(id.time(), Some("1800000000123"));
        assert_ne!(id, TokenId::generate_at(now));
        for other in [
            TokenId::generate(),
            TokenId::from_text(".x"),
            TokenId::from_text("180000000012.x"),
            TokenId::from_text("18000000#0123.x"),
        ] {
            assert_eq!(other.time(), None);
        }
    }

    #[test]
    fn debug_output_does_not_reveal_the_id() {
        let id = TokenId::from_text("secret");
        assert_eq!(
            format!("{id:?} {:?}", Some(&id)),
            "TokenId(..) Some(TokenId(..))"
        );
    }
}
