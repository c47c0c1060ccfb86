//! Recovery codes. Each replaces a TOTP code once, for users who lost their authenticator.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    domain::password::{Hasher, HashingFailed, Password, PasswordHash},
    platform::random,
};

/// 32 digits and upper-case letters, so that each has five bits, without the characters that look
/// alike (`I` and `1`, `O` and `0`).
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Characters of a code: 50 bits. Back-off limits online guessing, and Argon2id slows down offline
/// guessing with a copy of the table.
const LENGTH: usize = 10;

/// A recovery code in plain text, in upper case without hyphens. It cannot be serialized, and its
/// memory is zeroed when it is dropped.
pub struct RecoveryCode(Password);

/// New recovery codes of a user: what the user receives, and what is stored.
pub struct NewRecoveryCodes {
    codes: Vec<RecoveryCode>,
    /// The hashes of the codes, which share one salt.
    pub hashes: Vec<PasswordHash>,
}

impl NewRecoveryCodes {
    /// The number of recovery codes of a user.
    const COUNT: usize = 10;

    /// Random codes, hashed with the configured parameters.
    pub async fn generate(hasher: &Hasher) -> Result<Self, HashingFailed> {
        let codes: Vec<_> = (0..Self::COUNT).map(|_| RecoveryCode::generate()).collect();
        Ok(Self {
            hashes: hash_recovery_codes(&codes, hasher).await?,
            codes,
        })
    }

    /// The codes as displayed to the user.
    #[must_use]
    pub fn formatted(&self) -> Vec<String> {
        self.codes.iter().map(RecoveryCode::formatted).collect()
    }
}

impl RecoveryCode {
    /// A random code.
    fn generate() -> Self {
        let bytes = Zeroizing::new(random::bytes::<LENGTH>());
        // 256 is a multiple of 32, so all characters are equally likely.
        let characters = bytes
            .iter()
            .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)));
        Self(Password::new(characters.copied().map(char::from).collect()))
    }

    /// A code of ten upper-case ASCII letters and digits.
    pub(super) const fn new(code: Password) -> Self {
        Self(code)
    }

    /// The code as displayed to the user: `XXXXX-XXXXX`.
    #[must_use]
    pub fn formatted(&self) -> String {
        let (front, back) = self.0.reveal().split_at(LENGTH / 2);
        format!("{front}-{back}")
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

/// Hashes recovery codes with the configured parameters and one new salt, so that a single hash
/// computation finds a code among them.
async fn hash_recovery_codes(
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

/// The stored hash of a code; `None` if the code is not among them. The code is compared with every
/// hash in constant time, so the duration does not reveal which one matched.
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
    use crate::domain::{otp::SecondFactorCode, password::parse_params};

    fn hasher(params: &str) -> Hasher {
        Hasher::new(parse_params(params).expect("good parameters")).expect("a hasher")
    }

    fn code(text: &str) -> RecoveryCode {
        match SecondFactorCode::parse(text) {
            Some(SecondFactorCode::Recovery(code)) => code,
            other => panic!("not a recovery code: {other:?}"),
        }
    }

    #[test]
    fn a_code_is_two_groups_of_five_characters_without_lookalikes() {
        let codes: HashSet<String> = (0..1000)
            .map(|_| RecoveryCode::generate().formatted())
            .collect();
        assert_eq!(codes.len(), 1000);
        let characters: HashSet<char> = codes.iter().flat_map(|code| code.chars()).collect();
        assert_eq!(
            characters.len(),
            33,
            "the alphabet and the hyphen: {characters:?}"
        );
        assert!(characters.is_disjoint(&HashSet::from(['0', 'O', '1', 'I'])));
        for code in codes {
            assert_eq!((code.len(), code.find('-')), (11, Some(5)), "{code}");
            assert_eq!(self::code(&code).formatted(), code);
        }
    }

    #[tokio::test]
    async fn a_code_is_found_even_after_the_parameters_change_and_no_other_code_matches() {
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
    async fn each_of_ten_new_codes_has_its_hash() {
        let hasher = hasher("m=8192,t=1,p=1");
        let new = NewRecoveryCodes::generate(&hasher).await.expect("codes");
        let formatted: HashSet<String> = new.formatted().into_iter().collect();
        assert_eq!((formatted.len(), new.hashes.len()), (10, 10));
        for (text, hash) in new.formatted().iter().zip(&new.hashes) {
            let found = find(&new.hashes, &code(text), &hasher).await;
            assert_eq!(found.expect("an answer").as_ref(), Some(hash));
        }
    }

    #[tokio::test]
    async fn the_same_code_of_two_users_has_different_hashes() {
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
    fn debug_output_does_not_reveal_the_code() {
        assert_eq!(format!("{:?}", code("ABCDE-FGH23")), "RecoveryCode(..)");
    }
}
