//! E-mail addresses.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::platform::random::sha256_hex;

/// An address as HTML's `input type=email` accepts it, with two differences: the domain must
/// contain a dot, and letters and digits may be of any script.
///
/// <https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address>
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

/// Text that is not an e-mail address.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidEmail;

/// Maximum octets of a label of a domain name (RFC 1035, section 2.3.4).
const LABEL_LIMIT: usize = 63;

impl EmailAddress {
    /// Parses an address, without the white space around it.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        let composed: String = text.nfc().collect();
        let (local, domain) = composed.split_once('@').ok_or(InvalidEmail)?;
        let local_is_good = !local.is_empty()
            && local
                .chars()
                .all(|c| is_letter_or_digit(c) || ".!#$%&'*+/=?^_`{|}~-".contains(c));
        let domain_is_good = domain.contains('.') && domain.split('.').all(is_label);
        (local_is_good && domain_is_good)
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidEmail)
    }

    /// The address as the user typed it.
    #[must_use]
    pub fn as_typed(&self) -> &str {
        &self.0
    }

    /// The account key of the address: lower case, in Unicode normalisation form C.
    #[must_use]
    pub fn account_key(&self) -> AccountKey {
        AccountKey(self.0.chars().flat_map(char::to_lowercase).nfc().collect())
    }
}

/// The key under which the user of an address is stored. Two spellings of one address have the same
/// account key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountKey(String);

impl AccountKey {
    /// The account key of any text. Text that is not an address gets a key that no address has, so
    /// that a sign-in with it does the same work as one with an unknown address.
    #[must_use]
    pub fn of(text: &str) -> Self {
        EmailAddress::parse(text).map_or_else(
            |InvalidEmail| Self(sha256_hex(text)),
            |address| address.account_key(),
        )
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The address for logs, masked: `j***@example.com`.
impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, domain) = self.0.split_once('@').unwrap_or_default();
        write!(
            f,
            "{}***@{domain}",
            local.chars().next().unwrap_or_default()
        )
    }
}

fn is_letter_or_digit(c: char) -> bool {
    c.is_alphanumeric()
}

fn is_label(label: &str) -> bool {
    let inner = label.chars().all(|c| is_letter_or_digit(c) || c == '-');
    inner
        && !label.is_empty()
        && label.len() <= LABEL_LIMIT
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_html_accepts_is_parsed() {
        for text in [
            "a@b.co",
            "John.Doe+tag@Example.COM",
            "a..b@x.y",
            ".a@x.y",
            "!#$%&'*+/=?^_`{|}~-@x.y",
            "1@2.3",
            "жанна@пошта.укр",
            "用户@例子.中国",
            "a@x-y.z-9.com",
            "  padded@example.com\t",
        ] {
            assert!(EmailAddress::parse(text).is_ok(), "{text}");
        }
        assert!(EmailAddress::parse(&format!("a@{}.co", "x".repeat(63))).is_ok());
    }

    #[test]
    fn an_address_that_html_rejects_or_without_a_dot_in_its_domain_is_an_error() {
        for text in [
            "",
            " ",
            "a",
            "@",
            "a@",
            "@b.co",
            "a@b",
            "a@localhost",
            "a@b@c.co",
            "a@.co",
            "a@b.",
            "a@b..co",
            "a@-b.co",
            "a@b-.co",
            "a b@c.co",
            "a@b c.co",
            "\"a b\"@c.co",
            "a@[127.0.0.1]",
            "a,b@c.co",
            "a<b>@c.co",
            "a@b_c.co",
            "a\0@b.co",
            "a\n@b.co",
            "a\u{200b}@b.co",
            "a\u{202e}@b.co",
            "a\u{a0}b@c.co",
            "a\u{2028}@b.co",
            "😀@b.co",
        ] {
            assert_eq!(EmailAddress::parse(text), Err(InvalidEmail), "{text:?}");
        }
        assert_eq!(
            EmailAddress::parse(&format!("a@{}.co", "x".repeat(64))),
            Err(InvalidEmail)
        );
    }

    #[test]
    fn the_account_key_does_not_depend_on_case_or_unicode_composition() {
        let key = AccountKey::of;
        assert_eq!(key(" John@Example.COM ").as_str(), "john@example.com");
        assert_eq!(key("JOSE\u{301}@x.y"), key("jos\u{e9}@x.y"));
        assert_eq!(key("ΣΑΣ@x.y"), key("σασ@x.y"));
        assert!(!key("no address").as_str().contains('@'));
        assert_eq!(key("ЖАННА@пошта.укр").as_str(), "жанна@пошта.укр");
    }

    #[test]
    fn debug_output_masks_the_address() {
        assert_eq!(
            format!("{:?}", EmailAddress::parse("jane@example.com")),
            "Ok(j***@example.com)"
        );
    }
}
