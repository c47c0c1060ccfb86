//! How guessable a password is

use zxcvbn::{feedback::Feedback, zxcvbn};

/// How many characters of a password are judged.
const JUDGED: usize = 64;
/// The letters that zxcvbn takes more than one character to stand for, by those characters. It
/// looks up every substring once for each combination of them, so that a password made of them
/// would take half a second.
const AMBIGUOUS: [&str; 7] = ["4@", "({[<", "69", "1!|", "1|7", "$5", "+7"];
/// Characters that stand for two of those letters: each can double the combinations.
const SHARED: &str = "1|7";
/// The most combinations, times substrings, that are tried: 64 combinations over 64 characters,
/// some 30 ms.
const MAX_WORK: usize = 64 * JUDGED * JUDGED;

/// What zxcvbn estimates of a password
#[derive(Debug, Clone, PartialEq)]
pub struct Strength {
    /// Bits: the logarithm to base 2 of the guesses that it takes.
    pub entropy: f64,
    /// From 0, guessed at once, to 4, very hard to guess.
    pub score: u8,
    /// What is wrong with it, if it is weak.
    pub warning: Option<String>,
    /// How to make it better, if it is weak.
    pub suggestions: Vec<String>,
}

impl Strength {
    /// Judges the first 64 characters of a password, or as many of them as can be judged in a
    /// bounded time: no fewer than 12, and all but where a password has a great many of the
    /// characters that can stand for letters.
    #[must_use]
    pub fn of(password: &str) -> Self {
        let estimate = zxcvbn(judged(password), &[]);
        let feedback = estimate.feedback();
        #[expect(
            clippy::cast_precision_loss,
            reason = "an estimate has no 52 significant bits"
        )]
        // An empty password takes no guess, whose logarithm would be no number.
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

fn judged(password: &str) -> &str {
    let mut judged = password
        .char_indices()
        .nth(JUDGED)
        .map_or(password, |(end, _)| &password[..end]);
    while work(judged) > MAX_WORK {
        let mut shorter = judged.chars();
        shorter.next_back();
        judged = shorter.as_str();
    }
    judged
}

/// How many combinations zxcvbn can try, times how many substrings, roughly doubled.
fn work(password: &str) -> usize {
    let combinations: usize = AMBIGUOUS
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

    const SUBSTITUTES: &str = "4@8({[<3691!|70$5+%2";

    #[test]
    fn a_common_password_is_weak_and_told_why() {
        let strength = Strength::of("password");
        assert!(
            strength.entropy < 3.0 && strength.score == 0,
            "{strength:?}"
        );
        assert!(strength.warning.is_some() && !strength.suggestions.is_empty());
    }

    #[test]
    fn a_random_password_is_strong_and_needs_no_advice() {
        let strength = Strength::of("kZ8#vQ2!mT5^xL");
        assert!(
            strength.entropy > 40.0 && strength.score == 4,
            "{strength:?}"
        );
        assert!(strength.warning.is_none() && strength.suggestions.is_empty());
    }

    #[test]
    fn an_empty_password_has_no_entropy() {
        let strength = Strength::of("");
        assert_eq!((strength.entropy.to_bits(), strength.score), (0, 0));
    }

    #[test]
    fn only_the_first_64_characters_count() {
        let judged = "é".repeat(64);
        assert_eq!(
            Strength::of(&judged),
            Strength::of(&format!("{judged}kZ8#vQ2!mT5^xL"))
        );
    }

    #[test]
    fn any_password_has_a_finite_entropy() {
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
            SUBSTITUTES,
        ];
        for password in long.map(|unit| unit.repeat(64)) {
            let entropy = Strength::of(&password).entropy;
            assert!((0.0..=64.0).contains(&entropy), "{password}: {entropy}");
        }
    }

    #[test]
    fn the_work_is_bounded_and_rarely_shortens_what_is_judged() {
        let judged = |password: &str| {
            let judged = judged(password);
            assert!(work(judged) <= MAX_WORK);
            judged.chars().count()
        };
        assert_eq!(judged(&"P@ssw0rd!1".repeat(7)), 64);
        assert_eq!(judged(&"correct horse battery staple ".repeat(3)), 64);
        for start in 0..SUBSTITUTES.len() {
            let rotated: String = SUBSTITUTES.chars().cycle().skip(start).take(64).collect();
            assert!(judged(&rotated) >= 12, "{rotated}");
        }
        assert_eq!(judged(&"({[1|7+69$54@".repeat(4)), 12);
    }
}
