//! Words that are easy to guess at this service and for this account.

use crate::domain::email_address::EmailAddress;

/// Minimum length of a word, in characters. Shorter words occur in random passwords.
const MIN_LENGTH: usize = 3;
/// Maximum number of words of the name of an application. Every word costs time at each estimate.
const MAX_WORDS: usize = 8;

/// Words that an attacker tries first: the name of the application with its words, and the address
/// of the user. An estimate of the strength of a password ranks them before all other words.
#[derive(Clone, Debug, Default)]
pub struct Dictionary(Vec<String>);

impl Dictionary {
    /// The name of an application, and its words.
    #[must_use]
    pub fn of_app(name: &str) -> Self {
        let words = name.split(|character: char| !character.is_alphanumeric());
        let mut dictionary = Self::default();
        for word in [name].into_iter().chain(words).take(MAX_WORDS) {
            dictionary.add(word);
        }
        dictionary
    }

    /// These words, the address of the user and its local part.
    #[must_use]
    pub fn with_address(&self, address: &EmailAddress) -> Self {
        let mut dictionary = self.clone();
        let address = address.as_typed();
        dictionary.add(address);
        if let Some((local, _)) = address.rsplit_once('@') {
            dictionary.add(local);
        }
        dictionary
    }

    /// The words, the most likely first.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn add(&mut self, word: &str) {
        let is_new = self.words().all(|known| known != word);
        if is_new && word.chars().count() >= MIN_LENGTH {
            self.0.push(word.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(dictionary: &Dictionary) -> Vec<&str> {
        dictionary.words().collect()
    }

    #[test]
    fn a_dictionary_has_the_name_its_words_the_address_and_its_local_part() {
        let app = Dictionary::of_app("Acme & Söhne (my)");
        assert_eq!(words(&app), ["Acme & Söhne (my)", "Acme", "Söhne"]);
        assert_eq!(words(&Dictionary::of_app("Latchkey")), ["Latchkey"]);
        let address = EmailAddress::parse("Mia.Meier@example.com").expect("an address");
        assert_eq!(
            words(&Dictionary::of_app("Latchkey").with_address(&address)),
            ["Latchkey", "Mia.Meier@example.com", "Mia.Meier"]
        );
    }

    #[test]
    fn the_number_of_words_is_bounded() {
        let name = "abc ".repeat(1000);
        assert!(words(&Dictionary::of_app(&name)).len() <= MAX_WORDS);
    }
}
