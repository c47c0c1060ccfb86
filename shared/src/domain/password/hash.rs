//! Password hashes: Argon2id, computed in one buffer per process, and bcrypt, only to verify hashes
//! of imported users (OWASP Password Storage Cheat Sheet).

use std::{fmt, sync::Arc};

use argon2::{
    Params,
    password_hash::phc::{self, Ident, Output, ParamsString, Salt},
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};

use super::{
    Password, argon2id,
    memory::Memory,
    scheme::{self, ALGORITHM, LANES, MEMORY_LIMIT, PASSES, Scheme, VERSION},
};
use crate::{
    BoxError,
    platform::{clock::Stopwatch, random},
};

const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = Params::DEFAULT_OUTPUT_LEN;

/// The stored hash of a password: a PHC string such as
/// `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`, or the bcrypt hash of an imported user before
/// their first sign-in, such as `$2a$12$<salt and hash>`.
///
/// <https://github.com/P-H-C/phc-string-format>
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

/// The text is not a supported hash, or its parameters are out of bounds.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidHash;

impl PasswordHash {
    /// Parses the hash of an imported user: Argon2id as a PHC string, or bcrypt (`$2a$`, `$2b$`,
    /// `$2y$`).
    ///
    /// # Errors
    /// [`InvalidHash`], also if a function could not verify the hash within its memory or time.
    pub fn import(text: &str) -> Result<Self, InvalidHash> {
        scheme::parse(text)
            .map(|_| Self(text.to_owned()))
            .map_err(|_| InvalidHash)
    }

    /// The hash as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both hashes are equal, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// The result of verifying a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is wrong, or there is no hash.
    Wrong,
    /// The password is right.
    Right,
    /// The password is right, but its hash is a bcrypt hash or has other parameters than new
    /// hashes. The caller should replace it.
    RightButOutdated,
}

/// A hash could not be computed, or a stored hash could not be parsed.
#[derive(Debug, thiserror::Error)]
#[error("cannot compute or verify a password hash: {0}")]
pub struct HashingFailed(BoxError);

/// Computes and verifies hashes, each on a separate thread, so that network I/O continues.
#[derive(Clone)]
pub struct Hasher {
    params: Params,
    /// The hash to verify for an unknown address: the configured parameters and random output,
    /// which no password matches.
    dummy: PasswordHash,
    memory: Arc<Memory>,
    /// Receives the duration of each hash computation.
    report: fn(Stopwatch),
}

impl Hasher {
    /// A hasher that computes new hashes with these parameters.
    pub fn new(params: Params) -> Result<Self, HashingFailed> {
        let dummy = encode(
            &params,
            &random::bytes::<SALT_BYTES>(),
            &random::bytes::<OUTPUT_BYTES>(),
        )
        .map_err(failed)?;
        Ok(Self {
            params,
            dummy,
            memory: Arc::default(),
            report: |_| (),
        })
    }

    /// Calls `report` after each hash computation, with a stopwatch that was started before it.
    #[must_use]
    pub fn reporting(self, report: fn(Stopwatch)) -> Self {
        Self { report, ..self }
    }

    /// Allocates the memory and runs the self-test of the implementation, unless that is done. Call
    /// it while waiting for a response; otherwise, or if it fails, the first hash computation does
    /// the same.
    pub async fn warm_up(&self) {
        if self.memory.is_ready() {
            return;
        }
        let memory = Arc::clone(&self.memory);
        let count = self.params.block_count();
        let work = move || {
            argon2id::prepare();
            memory.with_blocks(count, |_| ())
        };
        let _ = tokio::task::spawn_blocking(work).await;
    }

    /// Hashes a password with a new salt.
    pub async fn hash(&self, password: &Password) -> Result<PasswordHash, HashingFailed> {
        let hasher = self.clone();
        let password = password.clone();
        run(move || {
            let salt = random::bytes::<SALT_BYTES>();
            let output = hasher.compute(&hasher.params, &password, &salt, OUTPUT_BYTES)?;
            encode(&hasher.params, &salt, &output)
        })
        .await
    }

    /// Hashes a password with the parameters and the salt of another hash. The result equals that
    /// hash if both are of the same password, so one computation suffices to find a password among
    /// hashes that share a salt.
    ///
    /// # Errors
    /// [`HashingFailed`] if the other hash is not Argon2id.
    pub async fn hash_like(
        &self,
        other: &PasswordHash,
        password: &Password,
    ) -> Result<PasswordHash, HashingFailed> {
        let hasher = self.clone();
        let other = other.clone();
        let password = password.clone();
        run(move || {
            let Scheme::Argon2id {
                params,
                salt,
                output,
            } = scheme::parse(&other.0)?
            else {
                return Err("only an Argon2id hash can be computed again".into());
            };
            encode(
                &params,
                salt.as_ref(),
                &hasher.compute(&params, &password, salt.as_ref(), output.len())?,
            )
        })
        .await
    }

    /// Verifies a password against the hash of a user. Without a hash it verifies the password
    /// against a dummy hash, so that an unknown address takes as long as a wrong password.
    pub async fn verify(
        &self,
        password: &Password,
        stored: Option<&PasswordHash>,
    ) -> Result<Verdict, HashingFailed> {
        let hasher = self.clone();
        let password = password.clone();
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.dummy).clone();
        let verdict = run(move || hasher.compare(&password, &stored)).await?;
        Ok(if known { verdict } else { Verdict::Wrong })
    }

    fn compare(&self, password: &Password, stored: &PasswordHash) -> Result<Verdict, BoxError> {
        let (params, salt, expected) = match scheme::parse(&stored.0)? {
            Scheme::Argon2id {
                params,
                salt,
                output,
            } => (params, salt, output),
            Scheme::Bcrypt(hash) => {
                let right = scheme::verify_bcrypt(hash, password)?;
                return Ok(if right {
                    Verdict::RightButOutdated
                } else {
                    Verdict::Wrong
                });
            }
        };
        let output = self.compute(&params, password, salt.as_ref(), expected.len())?;
        if verify_slices_are_equal(&output, expected.as_bytes()).is_err() {
            return Ok(Verdict::Wrong);
        }
        let is_current = (params.m_cost(), params.t_cost(), params.p_cost())
            == (
                self.params.m_cost(),
                self.params.t_cost(),
                self.params.p_cost(),
            );
        Ok(if is_current {
            Verdict::Right
        } else {
            Verdict::RightButOutdated
        })
    }

    fn compute(
        &self,
        params: &Params,
        password: &Password,
        salt: &[u8],
        length: usize,
    ) -> Result<Vec<u8>, BoxError> {
        let mut output = vec![0; length];
        argon2id::prepare();
        self.memory.with_blocks(params.block_count(), |blocks| {
            let stopwatch = Stopwatch::start();
            argon2id::hash_into(
                &mut output,
                params,
                password.reveal().as_bytes(),
                salt,
                blocks,
            )?;
            (self.report)(stopwatch);
            Ok(output)
        })?
    }
}

/// Parses Argon2id parameters such as `m=19456,t=2,p=1` (RFC 9106, section 3.1): memory in KiB,
/// passes, lanes. Returns `None` if the text has another form, or a parameter is out of bounds:
/// 8192 to 524288 KiB, 1 to 16 passes, 1 to 16 lanes. The minimum that OWASP recommends is the
/// default of the configuration.
///
/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
#[must_use]
pub fn parse_params(text: &str) -> Option<Params> {
    let mut numbers = ["m=", "t=", "p="]
        .into_iter()
        .zip(text.split(','))
        .map(|(name, part)| part.trim().strip_prefix(name)?.parse().ok());
    let (m, t, p): (u32, u32, u32) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let is_valid = text.split(',').count() == 3
        && (8192..=MEMORY_LIMIT).contains(&m)
        && PASSES.contains(&t)
        && LANES.contains(&p);
    is_valid.then(|| Params::new(m, t, p, None).ok())?
}

fn encode(params: &Params, salt: &[u8], output: &[u8]) -> Result<PasswordHash, BoxError> {
    let phc = phc::PasswordHash {
        algorithm: Ident::try_from(ALGORITHM.as_str())?,
        version: Some(VERSION.into()),
        params: ParamsString::try_from(params)?,
        salt: Some(Salt::new(salt)?),
        hash: Some(Output::new(output)?),
    };
    Ok(PasswordHash(phc.to_string()))
}

async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BoxError> + Send + 'static,
) -> Result<T, HashingFailed> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(failed)?
        .map_err(failed)
}

fn failed(error: impl Into<BoxError>) -> HashingFailed {
    HashingFailed(error.into())
}

#[cfg(test)]
mod tests {
    use argon2::Block;

    use super::*;

    fn hasher(params: &str) -> Hasher {
        Hasher::new(parse_params(params).expect("good parameters")).expect("a hasher")
    }

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_password_of_a_hash_is_right() {
        let hasher = hasher("m=8192,t=1,p=1");
        let hash = hasher
            .hash(&password("Correct horse 1"))
            .await
            .expect("a hash");
        assert!(
            hash.as_str().starts_with("$argon2id$v=19$m=8192,t=1,p=1$"),
            "{}",
            hash.as_str()
        );
        assert_eq!(
            hasher
                .verify(&password("Correct horse 1"), Some(&hash))
                .await
                .ok(),
            Some(Verdict::Right)
        );
        for wrong in ["correct horse 1", "Correct horse 1 ", "", "Correct horse"] {
            assert_eq!(
                hasher.verify(&password(wrong), Some(&hash)).await.ok(),
                Some(Verdict::Wrong),
                "{wrong:?}"
            );
        }
    }

    #[tokio::test]
    async fn two_hashes_of_the_same_password_differ() {
        let hasher = hasher("m=8192,t=1,p=1");
        let first = hasher.hash(&password("x")).await.expect("a hash");
        assert_ne!(first, hasher.hash(&password("x")).await.expect("a hash"));
    }

    #[tokio::test]
    async fn a_hash_with_the_salt_of_another_is_equal_for_the_same_password_only() {
        let old = hasher("m=8192,t=1,p=1");
        let new = hasher("m=9216,t=2,p=1");
        let hash = old.hash(&password("x")).await.expect("a hash");
        assert!(
            new.hash_like(&hash, &password("x"))
                .await
                .expect("a hash")
                .matches(&hash)
        );
        assert!(
            !new.hash_like(&hash, &password("y"))
                .await
                .expect("a hash")
                .matches(&hash)
        );
        assert!(
            new.hash_like(&PasswordHash("x".to_owned()), &password("x"))
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_verified_and_outdated() {
        let old = hasher("m=8192,t=1,p=1");
        let new = hasher("m=9216,t=2,p=1");
        let hash = old.hash(&password("x")).await.expect("a hash");
        assert_eq!(
            new.verify(&password("x"), Some(&hash)).await.ok(),
            Some(Verdict::RightButOutdated)
        );
        assert_eq!(
            new.verify(&password("y"), Some(&hash)).await.ok(),
            Some(Verdict::Wrong)
        );
    }

    #[tokio::test]
    async fn without_a_hash_every_password_is_wrong_and_a_hash_is_computed() {
        let hasher = hasher("m=8192,t=1,p=1");
        assert_eq!(
            hasher.verify(&password("x"), None).await.ok(),
            Some(Verdict::Wrong)
        );
        let is_used = |blocks: &mut [Block]| {
            blocks
                .iter()
                .all(|block| block.as_ref().iter().any(|&word| word != 0))
        };
        assert!(
            hasher
                .memory
                .with_blocks(hasher.params.block_count(), is_used)
                .expect("memory"),
            "a hash was computed in the memory"
        );
    }

    #[test]
    fn the_dummy_hash_has_the_configured_parameters() {
        assert!(
            hasher("m=9216,t=3,p=2")
                .dummy
                .as_str()
                .starts_with("$argon2id$v=19$m=9216,t=3,p=2$")
        );
    }

    #[tokio::test]
    async fn a_hash_of_the_reference_implementation_is_verified() {
        // echo -n password | argon2 somesaltsomesalt -id -t 2 -k 8192 -p 1 -l 32 -e
        let reference = PasswordHash(
            "$argon2id$v=19$m=8192,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$/X5EVS2D22ucK8nb1tiP4PrNEd9GVKwh/oAT/XoF68M".to_owned(),
        );
        assert_eq!(
            hasher("m=8192,t=2,p=1")
                .verify(&password("password"), Some(&reference))
                .await
                .ok(),
            Some(Verdict::Right)
        );
    }

    #[tokio::test]
    async fn a_malformed_or_too_expensive_hash_is_an_error() {
        for text in [
            "",
            "x",
            "$argon2id$v=19$m=8192,t=1,p=1",
            "$argon2i$v=19$m=8192,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let stored = PasswordHash(text.to_owned());
            assert!(
                hasher("m=8192,t=1,p=1")
                    .verify(&password("x"), Some(&stored))
                    .await
                    .is_err(),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_bcrypt_hash_is_verified_and_outdated() {
        let hasher = hasher("m=8192,t=1,p=1");
        for version in ["2a", "2b", "2y"] {
            // A test vector of the implementations of OpenBSD and Openwall.
            let text =
                format!("${version}$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
            let hash = PasswordHash::import(&text).expect("a hash");
            assert_eq!(
                hasher.verify(&password("U*U"), Some(&hash)).await.ok(),
                Some(Verdict::RightButOutdated),
                "{version}"
            );
            for wrong in ["U*V", "u*U", "", "U*U*", "U*", "U*U\0", "U*U\0U*U"] {
                assert_eq!(
                    hasher.verify(&password(wrong), Some(&hash)).await.ok(),
                    Some(Verdict::Wrong),
                    "{version} {wrong:?}"
                );
            }
        }
    }

    #[test]
    fn malformed_or_out_of_bounds_parameters_are_rejected() {
        assert!(parse_params("m=19456,t=2,p=1").is_some());
        for text in [
            "",
            "m=19456",
            "m=19456,t=2",
            "t=2,m=19456,p=1",
            "m=1,t=2,p=1",
            "m=19456,t=0,p=1",
            "m=19456,t=2,p=0",
            "m=99999999,t=2,p=1",
            "m=x,t=2,p=1",
            "m=19456,t=2,p=1,q=1",
        ] {
            assert!(parse_params(text).is_none(), "{text}");
        }
    }

    #[test]
    fn debug_output_reveals_neither_password_nor_hash() {
        assert_eq!(
            format!(
                "{:?}{:?}",
                password("secret"),
                PasswordHash("secret".to_owned())
            ),
            "Password(..)PasswordHash(..)"
        );
    }
}
