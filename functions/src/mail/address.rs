//! Conversion of addresses to ASCII, as SES requires.

use std::fmt::Write;

use data_encoding::BASE64;
use shared::{config::Sender, domain::email_address::EmailAddress};

/// Bytes of a name that fit into an encoded word of at most 75 characters (RFC 2047, section 2).
const ENCODED_WORD_BYTES: usize = 45;

/// The sender as a mailbox (RFC 5322). A name that is not ASCII is encoded (RFC 2047).
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

/// The address with its domain in ASCII (IDNA). SES rejects a local part that is not ASCII.
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
    fn an_ascii_name_is_quoted() {
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
    fn any_other_name_is_split_into_encoded_words_of_at_most_75_characters() {
        assert_eq!(
            mailbox(&sender("Ключ")),
            "=?UTF-8?B?0JrQu9GO0Yc=?= <noreply@example.com>"
        );
        let words = encoded_words(&"ї".repeat(64));
        assert!(words.split(' ').all(|word| word.len() <= 75), "{words}");
        assert_eq!(words.split(' ').count(), 3);
    }

    #[test]
    fn a_domain_is_converted_to_ascii() {
        assert_eq!(ascii(&email("a@пошта.укр")), "a@xn--80a1acn3a.xn--j1amh");
        assert_eq!(ascii(&email("John@Example.com")), "John@example.com");
    }
}
