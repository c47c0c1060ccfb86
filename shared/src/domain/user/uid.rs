//! The uid, the identifier of a user in the API and in other services.

use std::fmt;

use data_encoding::HEXUPPER;
use serde::{Deserialize, Serialize};

use crate::{domain::email_address::AccountKey, platform::random};

/// Hexadecimal digits at the end of a uid.
const DIGITS: usize = 10;

/// The uid of a user: two to six letters and ten hexadecimal digits, such as `ID0123456789`. It
/// never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(String);

impl Uid {
    /// A random uid: the prefix and ten upper-case hexadecimal digits.
    #[must_use]
    pub fn generate(prefix: &str) -> Self {
        Self(format!(
            "{prefix}{}",
            HEXUPPER.encode(&random::bytes::<5>())
        ))
    }

    /// The uid in items that are written for an address without an account. No user has it: it does
    /// not have the form of a uid.
    #[must_use]
    pub fn decoy(account: &AccountKey) -> Self {
        Self(format!("NOBODY#{}", random::sha256_hex(account.as_str())))
    }

    /// Parses a uid with any prefix, as Latchkey and Barong generate them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, digits) = text
            .len()
            .checked_sub(DIGITS)
            .and_then(|end| text.split_at_checked(end))?;
        let has_form = (2..=6).contains(&prefix.len())
            && prefix.bytes().all(|byte| byte.is_ascii_alphabetic())
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        has_form.then(|| Self(text.to_owned()))
    }

    /// Parses a uid with this prefix and upper-case digits.
    #[must_use]
    pub fn parse_with_prefix(text: &str, prefix: &str) -> Option<Self> {
        let digits = text.strip_prefix(prefix)?;
        let has_form = digits.len() == DIGITS
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
        has_form.then(|| Self(text.to_owned()))
    }

    /// The uid as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_of_any_prefix_is_parsed() {
        for text in [
            "ID0123456789",
            "UACAFE000000",
            "PREFIX0123456789",
            "idabcdefabcd",
        ] {
            assert_eq!(
                Uid::parse(text).as_ref().map(Uid::as_str),
                Some(text),
                "{text}"
            );
        }
        for text in [
            "",
            "I0123456789",
            "TOOLONG0123456789",
            "ID012345678",
            "ID01234567890",
            "ID012345678g",
            "I10123456789",
            "ID-123456789",
            "ßß0123456789",
        ] {
            assert_eq!(Uid::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_generated_uid_is_the_prefix_and_ten_upper_case_hexadecimal_digits() {
        let uid = Uid::generate("ID");
        assert_eq!(Uid::parse_with_prefix(uid.as_str(), "ID"), Some(uid));
        for text in [
            "",
            "ID",
            "ID012345678",
            "ID01234567890",
            "id0123456789",
            "ID012345678g",
            "ID012345678a",
            "XX0123456789",
            " ID0123456789",
        ] {
            assert_eq!(Uid::parse_with_prefix(text, "ID"), None, "{text:?}");
        }
    }
}
