//! The sender of a mail in ASCII, as SES requires.

use std::fmt::Write;

use data_encoding::BASE64;
use shared::config::Sender;

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
    format!("{phrase} <{}>", sender.email.ascii())
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
    use shared::domain::email_address::EmailAddress;

    use super::*;

    fn sender(name: &str) -> Sender {
        Sender {
            name: name.to_owned(),
            email: EmailAddress::parse("noreply@example.com").expect("an address"),
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
}
