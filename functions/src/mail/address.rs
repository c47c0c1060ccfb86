//! Addresses as SES takes them: ASCII.

use std::fmt::Write;

use data_encoding::BASE64;
use shared::{config::Sender, domain::email_address::EmailAddress};

/// Bytes of a name that fit into an encoded word, which has 75 characters at the most.
const ENCODED_WORD_BYTES: usize = 45;

/// The sender as a mailbox of RFC 5322, its name encoded by RFC 2047 where it is not ASCII.
#[must_use]
pub fn mailbox(sender: &Sender) -> String {
    let name = &sender.name;
    let phrase = if name.is_ascii() {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        encoded_words(name)
    };
    format!("{phrase} <{}>", ascii(&sender.email))
}

/// The address with its domain in ASCII (IDNA). SES refuses what is left that is not ASCII, before
/// the at sign.
#[must_use]
pub fn ascii(email: &EmailAddress) -> String {
    let text = email.as_typed();
    let Some((local, domain)) = text.split_once('@') else {
        return text.to_owned();
    };
    match idna::domain_to_ascii(domain) {
        Ok(domain) => format!("{local}@{domain}"),
        Err(_) => text.to_owned(),
    }
}

fn encoded_words(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, tail) = rest.split_at(rest.floor_char_boundary(ENCODED_WORD_BYTES));
        let separator = if words.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(
            words,
            "{separator}=?UTF-8?B?{}?=",
            BASE64.encode(word.as_bytes())
        );
        rest = tail;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(text: &str) -> EmailAddress {
        EmailAddress::parse(text).expect("an address")
    }

    fn sender(name: &str) -> Sender {
        Sender {
            name: name.to_owned(),
            email: email("noreply@example.com"),
        }
    }

    #[test]
    fn a_name_of_ascii_is_quoted() {
        assert_eq!(
            mailbox(&sender("Acme, Inc.")),
            r#""Acme, Inc." <noreply@example.com>"#
        );
        assert_eq!(
            mailbox(&sender(r#"a"b\c"#)),
            r#""a\"b\\c" <noreply@example.com>"#
        );
    }

    #[test]
    fn any_other_name_is_encoded_in_words_that_are_not_too_long() {
        assert_eq!(
            mailbox(&sender("Ключ")),
            "=?UTF-8?B?0JrQu9GO0Yc=?= <noreply@example.com>"
        );
        let words = encoded_words(&"ї".repeat(64));
        assert!(words.split(' ').all(|word| word.len() <= 75), "{words}");
        assert_eq!(words.split(' ').count(), 3);
    }

    #[test]
    fn a_domain_is_written_in_ascii() {
        assert_eq!(ascii(&email("a@пошта.укр")), "a@xn--80a1acn3a.xn--j1amh");
        assert_eq!(ascii(&email("John@Example.com")), "John@example.com");
    }
}
