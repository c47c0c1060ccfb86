//! Recovery codes: what signs a user in once whose authenticator is lost.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    domain::password::{Hasher, HashingFailed, Password, PasswordHash},
    platform::random,
};

/// Upper-case letters and digits without those that look alike (I and 1, O and 0): 32, so that each
/// carries five bits.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Fifty bits. Guessing is held back by the count of wrong codes, and, for who has a copy of the
/// table, by the hash.
const LENGTH: usize = 10;

/// A recovery code in one spelling: upper case, no hyphen. It cannot be stored, and leaves no trace
/// in memory.
pub struct RecoveryCode(Password);

impl RecoveryCode {
    /// How many a user gets.
    pub const COUNT: usize = 10;

    /// A new code, by chance.
    #[must_use]
    pub fn draw() -> Self {
        let bytes = Zeroizing::new(random::bytes::<LENGTH>());
        // A byte is one of 256, a multiple of 32: each character is as likely as any other.
        let characters = bytes
            .iter()
            .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)));
        Self(Password::new(characters.copied().map(char::from).collect()))
    }

    /// Reads a code, in any case, with hyphens and spaces anywhere or nowhere; `None` for what has
    /// not the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let characters = text
            .chars()
            .filter(|&c| c != '-' && !c.is_whitespace())
            .map(|c| c.to_ascii_uppercase());
        let code = Password::new(characters.collect());
        let plain = code.reveal();
        (plain.len() == LENGTH && plain.bytes().all(|byte| ALPHABET.contains(&byte)))
            .then(|| Self(code))
    }

    /// The code as its user is to keep it: `XXXXX-XXXXX`.
    #[must_use]
    pub fn spelled(&self) -> String {
        let (front, back) = self.0.reveal().split_at(LENGTH / 2);
        format!("{front}-{back}")
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

/// The codes as they are stored: with the live parameters and one new salt for all, so that one
/// hash finds a code among them.
pub async fn hash_recovery_codes(
    codes: &[RecoveryCode],
    hasher: &Hasher,
) -> Result<Vec<PasswordHash>, HashingFailed> {
    let mut stored: Vec<PasswordHash> = Vec::with_capacity(codes.len());
    for RecoveryCode(code) in codes {
        let hash = match stored.first() {
            None => hasher.hash(code).await?,
            Some(first) => hasher.hash_like(first, code).await?,
        };
        stored.push(hash);
    }
    Ok(stored)
}

/// The stored code that this is, if it is one. All are looked at, so the time tells neither which
/// nor how near it came.
pub(super) async fn find(
    stored: &[PasswordHash],
    code: &RecoveryCode,
    hasher: &Hasher,
) -> Result<Option<PasswordHash>, HashingFailed> {
    let Some(first) = stored.first() else {
        return Ok(None);
    };
    let hash = hasher.hash_like(first, &code.0).await?;
    Ok((stored.iter().filter(|stored| stored.matches(&hash)).count() > 0).then_some(hash))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::password::parse_params;

    fn hasher(params: &str) -> Hasher {
        Hasher::new(parse_params(params).expect("good parameters")).expect("a hasher")
    }

    fn code(text: &str) -> RecoveryCode {
        RecoveryCode::parse(text).expect("a code")
    }

    #[test]
    fn a_code_is_two_groups_of_five_characters_that_cannot_be_mistaken() {
        let codes: HashSet<String> = (0..1000).map(|_| RecoveryCode::draw().spelled()).collect();
        assert_eq!(codes.len(), 1000);
        let characters: HashSet<char> = codes.iter().flat_map(|code| code.chars()).collect();
        assert_eq!(
            characters.len(),
            33,
            "all of the alphabet and the hyphen: {characters:?}"
        );
        assert!(characters.is_disjoint(&HashSet::from(['0', 'O', '1', 'I'])));
        for code in codes {
            assert_eq!((code.len(), code.find('-')), (11, Some(5)), "{code}");
            assert_eq!(
                RecoveryCode::parse(&code).map(|read| read.spelled()),
                Some(code)
            );
        }
    }

    #[test]
    fn case_hyphens_and_spaces_do_not_matter() {
        for text in [
            "ABCDE-FGH23",
            "abcdefgh23",
            " aBcDe-fGh23\n",
            "ABCDE FGH23",
            "AB-CD-EF-GH-23",
            "-ABCDEFGH23-",
            "abcde - fgh23",
        ] {
            assert_eq!(
                RecoveryCode::parse(text)
                    .map(|code| code.spelled())
                    .as_deref(),
                Some("ABCDE-FGH23"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_has_not_the_form_of_one_is_none() {
        for text in [
            "",
            "123456",
            "ABCDE-FGH2",
            "ABCDE-FGH234",
            "ABCDE-FGH20",
            "ABCDE-FGHI2",
            "ABCDE_FGH23",
            "ABCDE-FGH2é",
            "ａｂｃｄｅｆｇｈ２３",
        ] {
            assert!(RecoveryCode::parse(text).is_none(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_code_is_found_by_itself_alone_also_after_the_parameters_changed() {
        let codes = [
            code("ABCDE-FGH23"),
            code("ABCDE-FGH24"),
            code("99999-99999"),
        ];
        let stored = hash_recovery_codes(&codes, &hasher("m=8192,t=1,p=1"))
            .await
            .expect("hashes");
        assert_eq!(
            stored
                .iter()
                .map(PasswordHash::as_str)
                .collect::<HashSet<_>>()
                .len(),
            3
        );
        let later = hasher("m=9216,t=2,p=1");
        for (code, stored_as) in codes.iter().zip(&stored) {
            assert_eq!(
                find(&stored, code, &later)
                    .await
                    .expect("an answer")
                    .as_ref(),
                Some(stored_as)
            );
        }
        assert_eq!(
            find(&stored, &code("ABCDE-FGH25"), &later)
                .await
                .expect("an answer"),
            None
        );
        assert_eq!(find(&[], &codes[0], &later).await.expect("an answer"), None);
    }

    #[tokio::test]
    async fn two_users_with_one_code_have_two_hashes_of_it() {
        let hasher = hasher("m=8192,t=1,p=1");
        let one = hash_recovery_codes(&[code("ABCDE-FGH23")], &hasher)
            .await
            .expect("hashes");
        assert_ne!(
            one,
            hash_recovery_codes(&[code("ABCDE-FGH23")], &hasher)
                .await
                .expect("hashes")
        );
    }

    #[test]
    fn debugging_output_shows_nothing() {
        assert_eq!(format!("{:?}", code("ABCDE-FGH23")), "RecoveryCode(..)");
    }
}
