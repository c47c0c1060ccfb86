//! E-mail addresses.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::platform::random::sha256_hex;

/// An address that HTML's `input type=email` accepts, with a dot in its domain, and with letters
/// and digits of any script where HTML allows those of ASCII.
///
/// <https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address>
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

/// Text that is not an e-mail address.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidEmail;

/// Octets of a label of a domain name at the most (RFC 1035).
const LABEL_LIMIT: usize = 63;

impl EmailAddress {
    /// Reads an address; white space around it does not count.
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

    /// The address as it was typed.
    #[must_use]
    pub fn as_typed(&self) -> &str {
        &self.0
    }

    /// What the address is looked up by: without regard to case, and one spelling of what Unicode
    /// can spell in two ways.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.chars().flat_map(char::to_lowercase).nfc().collect()
    }
}

/// What any text that stands for an address is looked up by: an address by its key, everything else
/// by a key that no address has, so that a sign-in with something that is no address does the same
/// work as one with an unknown address.
#[must_use]
pub fn lookup_key(text: &str) -> String {
    EmailAddress::parse(text).map_or_else(|InvalidEmail| sha256_hex(text), |address| address.key())
}

/// The address with most of it hidden, for logs: `j***@example.com`.
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
    fn what_html_accepts_is_an_address() {
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
    fn what_html_refuses_or_has_no_dot_in_its_domain_is_none() {
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
    fn addresses_are_compared_without_regard_to_case_or_spelling() {
        assert_eq!(lookup_key(" John@Example.COM "), "john@example.com");
        assert_eq!(lookup_key("JOSE\u{301}@x.y"), lookup_key("jos\u{e9}@x.y"));
        assert_eq!(lookup_key("ΣΑΣ@x.y"), lookup_key("σασ@x.y"));
        assert!(!lookup_key("no address").contains('@'));
        assert_eq!(
            EmailAddress::parse("ЖАННА@пошта.укр").map(|address| address.key()),
            Ok("жанна@пошта.укр".to_owned())
        );
    }

    #[test]
    fn debugging_output_hides_the_address() {
        assert_eq!(
            format!("{:?}", EmailAddress::parse("jane@example.com")),
            "Ok(j***@example.com)"
        );
    }
}
