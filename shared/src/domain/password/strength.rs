//! The strength of a password, as zxcvbn estimates it.

use zxcvbn::{feedback::Feedback, zxcvbn};

use super::Dictionary;

/// Maximum characters of a password that are evaluated.
const MAX_LENGTH: usize = 64;
/// For each letter with several substitutes, the characters that zxcvbn reads as that letter.
/// zxcvbn looks up every substring once for each combination of them, so a password of such
/// characters would take half a second.
const SUBSTITUTES: [&str; 7] = ["4@", "({[<", "69", "1!|", "1|7", "$5", "+7"];
/// Characters that substitute two of those letters. Each can double the combinations.
const SHARED: &str = "1|7";
/// Maximum [`work`]: 64 combinations over 64 characters, which take about 30 ms.
const MAX_WORK: usize = 64 * MAX_LENGTH * MAX_LENGTH;

/// The estimate of zxcvbn.
#[derive(Debug, Clone, PartialEq)]
pub struct Strength {
    /// Bits of entropy: the base-2 logarithm of the estimated number of guesses.
    pub entropy: f64,
    /// From 0 (guessed immediately) to 4 (very hard to guess).
    pub score: u8,
    /// A warning, in English, if the password is weak.
    pub warning: Option<String>,
    /// Suggestions, in English, if the password is weak.
    pub suggestions: Vec<String>,
}

impl Strength {
    /// Estimates the strength of the first 64 characters of a password. If these contain so many
    /// characters that can substitute letters that the estimate would take too long, fewer
    /// characters are evaluated, but at least 12. A word of the dictionary takes few guesses.
    #[must_use]
    pub fn of(password: &str, dictionary: &Dictionary) -> Self {
        let evaluated = evaluated(password);
        // The beginning of a word counts if no more of the password is evaluated.
        let length = if evaluated.len() < password.len() {
            evaluated.chars().count()
        } else {
            MAX_LENGTH
        };
        let words: Vec<&str> = dictionary
            .words()
            .map(|word| beginning(word, length))
            .collect();
        let estimate = zxcvbn(evaluated, &words);
        let feedback = estimate.feedback();
        #[expect(
            clippy::cast_precision_loss,
            reason = "an estimate has fewer than 52 significant bits"
        )]
        // An empty password takes 0 guesses, which have no logarithm.
        let guesses = estimate.guesses().max(1) as f64;
        Self {
            entropy: guesses.log2(),
            score: estimate.score().into(),
            warning: feedback
                .and_then(Feedback::warning)
                .map(|warning| warning.to_string()),
            suggestions: feedback.map_or_else(Vec::new, |feedback| {
                feedback
                    .suggestions()
                    .iter()
                    .map(ToString::to_string)
                    .collect()
            }),
        }
    }
}

/// The beginning of a password that is evaluated.
fn evaluated(password: &str) -> &str {
    let mut evaluated = beginning(password, MAX_LENGTH);
    while work(evaluated) > MAX_WORK {
        let mut shorter = evaluated.chars();
        shorter.next_back();
        evaluated = shorter.as_str();
    }
    evaluated
}

/// The first `length` characters of a text.
fn beginning(text: &str, length: usize) -> &str {
    text.char_indices()
        .nth(length)
        .map_or(text, |(end, _)| &text[..end])
}

/// The number of combinations that zxcvbn can try, times twice the number of substrings, roughly.
fn work(password: &str) -> usize {
    let combinations: usize = SUBSTITUTES
        .iter()
        .map(|characters| {
            let present = characters
                .chars()
                .filter(|&character| password.contains(character));
            let count: usize = present
                .map(|character| if SHARED.contains(character) { 2 } else { 1 })
                .sum();
            count.max(1)
        })
        .product();
    let length = password.chars().count();
    combinations * length * length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::email_address::EmailAddress;

    const LEET: &str = "4@8({[<3691!|70$5+%2";

    fn strength(password: &str) -> Strength {
        Strength::of(password, &Dictionary::default())
    }

    #[test]
    fn a_common_password_is_weak_and_has_a_warning_and_suggestions() {
        let strength = strength("password");
        assert!(
            strength.entropy < 3.0 && strength.score == 0,
            "{strength:?}"
        );
        assert!(strength.warning.is_some() && !strength.suggestions.is_empty());
    }

    #[test]
    fn a_random_password_is_strong_and_has_no_suggestions() {
        let strength = strength("kZ8#vQ2!mT5^xL");
        assert!(
            strength.entropy > 40.0 && strength.score == 4,
            "{strength:?}"
        );
        assert!(strength.warning.is_none() && strength.suggestions.is_empty());
    }

    #[test]
    fn an_empty_password_has_no_entropy() {
        let strength = strength("");
        assert_eq!((strength.entropy.to_bits(), strength.score), (0, 0));
    }

    #[test]
    fn only_the_first_64_characters_count() {
        let first = "é".repeat(64);
        assert_eq!(
            strength(&first),
            strength(&format!("{first}kZ8#vQ2!mT5^xL"))
        );
    }

    #[test]
    fn every_password_has_a_finite_entropy() {
        let long = [
            "a",
            "ab",
            "1",
            "11/11/1991",
            "qwertyuiop",
            "qWeRtY",
            "qW",
            "é",
            "😀",
            "İ",
            "ẞ",
            "\0",
            "\n",
            LEET,
        ];
        for password in long.map(|unit| unit.repeat(64)) {
            let entropy = strength(&password).entropy;
            assert!((0.0..=64.0).contains(&entropy), "{password}: {entropy}");
        }
    }

    #[test]
    fn the_work_is_bounded_and_ordinary_passwords_are_evaluated_in_full() {
        let length = |password: &str| {
            let evaluated = evaluated(password);
            assert!(work(evaluated) <= MAX_WORK);
            evaluated.chars().count()
        };
        assert_eq!(length(&"P@ssw0rd!1".repeat(7)), 64);
        assert_eq!(length(&"correct horse battery staple ".repeat(3)), 64);
        for start in 0..LEET.len() {
            let rotated: String = LEET.chars().cycle().skip(start).take(64).collect();
            assert!(length(&rotated) >= 12, "{rotated}");
        }
        assert_eq!(length(&"({[1|7+69$54@".repeat(4)), 12);
    }

    fn entropy(password: &str, dictionary: &Dictionary) -> f64 {
        Strength::of(password, dictionary).entropy
    }

    #[test]
    fn the_name_of_the_application_and_its_words_are_easy_to_guess() {
        let dictionary = Dictionary::of_app("Latchkey");
        for password in ["Latchkey2026", "latchkey", "L@tchk3y1!", "yekhctaL1"] {
            assert!(entropy(password, &dictionary) < 25.0, "{password}");
        }
        assert!(strength("Latchkey2026").entropy > 25.0);
        let dictionary = Dictionary::of_app("Zürcher Kantonalbank");
        for password in ["Zürcher-2026", "Kantonalbank1", "Zürcher Kantonalbank"] {
            assert!(entropy(password, &dictionary) < 25.0, "{password}");
        }
    }

    #[test]
    fn the_address_and_its_local_part_are_easy_to_guess() {
        let address = EmailAddress::parse("Qzv.Wexlorn@Example.com").expect("an address");
        let dictionary = Dictionary::of_app("Latchkey").with_address(&address);
        for password in ["qzv.wexlorn@example.com", "Qzv.Wexlorn2026", "Latchkey2026"] {
            assert!(entropy(password, &dictionary) < 25.0, "{password}");
        }
        assert!(strength("Qzv.Wexlorn2026").entropy > 25.0);
    }

    #[test]
    fn the_beginning_of_a_long_address_is_easy_to_guess() {
        let address = format!("qzv.wexlorn@{}.example", "kzpaqvrtw".repeat(6));
        let dictionary =
            Dictionary::default().with_address(&EmailAddress::parse(&address).expect("an address"));
        assert!(address.len() > MAX_LENGTH && entropy(&address, &dictionary) < 25.0);
    }

    #[test]
    fn short_words_do_not_weaken_a_password() {
        let dictionary = Dictionary::of_app("A kZ 8 - vQ mT")
            .with_address(&EmailAddress::parse("x@example.com").expect("an address"));
        assert!(entropy("kZ8#vQ2!mT5^xL", &dictionary) > 40.0);
    }
}
