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
    /// A random uid: the prefix in upper case and ten upper-case hexadecimal digits.
    #[must_use]
    pub fn generate(prefix: &str) -> Self {
        Self(format!(
            "{}{}",
            prefix.to_ascii_uppercase(),
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

    /// Parses a uid with this prefix, in any case: earlier versions kept the case of the configured
    /// prefix, and imported uids may have lower-case digits. The case of `text` is kept, because
    /// uids that differ in case are different.
    #[must_use]
    pub fn parse_with_prefix(text: &str, prefix: &str) -> Option<Self> {
        let uid = Self::parse(text)?;
        let (start, _) = text.split_at(text.len() - DIGITS);
        start.eq_ignore_ascii_case(prefix).then_some(uid)
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
        for prefix in ["ID", "id", "Id"] {
            let uid = Uid::generate(prefix);
            assert!(uid.as_str().starts_with("ID"), "{uid}");
            let digits = &uid.as_str()[2..];
            assert!(
                digits.len() == 10
                    && digits
                        .bytes()
                        .all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')),
                "{uid}"
            );
        }
    }

    #[test]
    fn a_uid_with_the_prefix_is_parsed_in_any_case_and_keeps_its_case() {
        for prefix in ["ID", "id"] {
            for text in ["ID01234ABCDE", "id01234ABCDE", "Id01234abcde"] {
                let uid = Uid::parse_with_prefix(text, prefix);
                assert_eq!(uid.as_ref().map(Uid::as_str), Some(text), "{prefix}");
            }
        }
        for text in [
            "",
            "ID",
            "ID012345678",
            "ID01234567890",
            "ID012345678g",
            "XX0123456789",
            "IDA0123456789",
            " ID0123456789",
        ] {
            assert_eq!(Uid::parse_with_prefix(text, "ID"), None, "{text:?}");
        }
    }
}
