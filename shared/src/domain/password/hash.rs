//! Password hashes: Argon2id, computed in one buffer per process, and bcrypt, only to verify hashes
//! of imported users (OWASP Password Storage Cheat Sheet).

use std::{fmt, hint::black_box, sync::Arc};

use argon2::{
    Params,
    password_hash::phc::{self, Ident, Output, ParamsString, Salt},
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};

use super::{
    Password, argon2id,
    memory::Memory,
    scheme::{self, ALGORITHM, HashKind, Scheme, VERSION},
};
use crate::{
    BoxError,
    platform::{clock::Stopwatch, random},
};

const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = Params::DEFAULT_OUTPUT_LEN;
/// Length of salt and output in the text of a bcrypt hash, in characters.
const BCRYPT_SALT_AND_OUTPUT: usize = 53;

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

/// A hash that is verified only for the time that it takes.
#[derive(Clone)]
struct Decoy {
    kind: HashKind,
    hash: PasswordHash,
}

impl Decoy {
    fn new(kind: HashKind) -> Result<Self, BoxError> {
        let hash = match kind {
            HashKind::Argon2id {
                memory,
                passes,
                lanes,
            } => encode(
                &Params::new(memory, passes, lanes, None)?,
                &random::bytes::<SALT_BYTES>(),
                &random::bytes::<OUTPUT_BYTES>(),
            )?,
            HashKind::Bcrypt { cost } => PasswordHash(format!(
                "$2b${cost:02}${}",
                ".".repeat(BCRYPT_SALT_AND_OUTPUT)
            )),
        };
        Ok(Self { kind, hash })
    }
}

/// Computes and verifies hashes, each on a separate thread, so that network I/O continues.
#[derive(Clone)]
pub struct Hasher {
    params: Params,
    /// One hash of each kind that a stored hash may have; the first is of the configured kind. A
    /// refusal verifies those whose kind the hash of the user does not have.
    decoys: Vec<Decoy>,
    memory: Arc<Memory>,
    /// Receives the duration of each hash computation.
    report: fn(Stopwatch),
}

impl Hasher {
    /// A hasher that computes new hashes with these parameters.
    pub fn new(params: Params) -> Result<Self, HashingFailed> {
        let current = Decoy::new(HashKind::argon2id(&params)).map_err(failed)?;
        Ok(Self {
            params,
            decoys: vec![current],
            memory: Arc::default(),
            report: |_| (),
        })
    }

    /// Lets every refusal verify a hash of each of these kinds too, so that the time of a refusal
    /// does not depend on the kind of the user's hash.
    pub fn with_imported(mut self, kinds: &[HashKind]) -> Result<Self, HashingFailed> {
        for kind in kinds {
            if self.decoys.iter().all(|decoy| decoy.kind != *kind) {
                self.decoys.push(Decoy::new(*kind).map_err(failed)?);
            }
        }
        Ok(self)
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

    /// Verifies a password against the hash of a user; `None` for an unknown address. A refusal
    /// computes one hash of the configured kind and one of each imported kind, for an unknown
    /// address as for a wrong password.
    pub async fn verify(
        &self,
        password: &Password,
        stored: Option<&PasswordHash>,
    ) -> Result<Verdict, HashingFailed> {
        let hasher = self.clone();
        let password = password.clone();
        let stored = stored.cloned();
        run(move || {
            let verdict = match &stored {
                Some(stored) => hasher.compare(&password, stored)?,
                None => Verdict::Wrong,
            };
            if verdict == Verdict::Wrong {
                for decoy in hasher.further_decoys(stored.as_ref()) {
                    black_box(hasher.compare(&password, &decoy.hash)?);
                }
            }
            Ok(verdict)
        })
        .await
    }

    /// The decoys to verify after a stored hash did not match: those of other kinds.
    fn further_decoys(&self, stored: Option<&PasswordHash>) -> impl Iterator<Item = &Decoy> {
        let kind = stored
            .and_then(|stored| scheme::parse(&stored.0).ok())
            .map(|scheme| scheme.kind());
        self.decoys
            .iter()
            .filter(move |decoy| Some(decoy.kind) != kind)
    }

    fn compare(&self, password: &Password, stored: &PasswordHash) -> Result<Verdict, BoxError> {
        let scheme = scheme::parse(&stored.0)?;
        let is_current = scheme.kind() == HashKind::argon2id(&self.params);
        let is_right = match scheme {
            Scheme::Argon2id {
                params,
                salt,
                output,
            } => {
                let computed = self.compute(&params, password, salt.as_ref(), output.len())?;
                verify_slices_are_equal(&computed, output.as_bytes()).is_ok()
            }
            Scheme::Bcrypt { hash, .. } => {
                let stopwatch = Stopwatch::start();
                let is_right = scheme::verify_bcrypt(hash, password)?;
                (self.report)(stopwatch);
                is_right
            }
        };
        Ok(match (is_right, is_current) {
            (false, _) => Verdict::Wrong,
            (true, true) => Verdict::Right,
            (true, false) => Verdict::RightButOutdated,
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
    scheme::params(text, 8192)
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
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    const BCRYPT: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

    #[tokio::test]
    async fn a_refusal_verifies_one_hash_of_each_kind_for_every_hash_of_a_user() {
        let kind = |text: &str| HashKind::parse(text).expect("a kind");
        let current = kind("m=8192,t=1,p=1");
        let imported = [kind("bcrypt-5"), kind("m=9216,t=2,p=1"), current];
        let hasher = hasher("m=8192,t=1,p=1")
            .with_imported(&imported)
            .expect("a hasher");
        let of = async |hasher: &Hasher| hasher.hash(&password("x")).await.expect("a hash");
        let other = self::hasher("m=9216,t=2,p=1");
        let bcrypt = PasswordHash(BCRYPT.to_owned());
        let unlisted = self::hasher("m=10240,t=1,p=1");
        for (stored, listed) in [
            (None, true),
            (Some(of(&hasher).await), true),
            (Some(of(&other).await), true),
            (Some(bcrypt), true),
            (Some(of(&unlisted).await), false),
        ] {
            let own = stored
                .as_ref()
                .map(|hash| scheme::parse(&hash.0).expect("a hash").kind());
            let mut verified: Vec<HashKind> = own
                .into_iter()
                .chain(
                    hasher
                        .further_decoys(stored.as_ref())
                        .map(|decoy| decoy.kind),
                )
                .collect();
            verified.sort_by_key(|kind| format!("{kind:?}"));
            let mut expected = vec![current, imported[0], imported[1]];
            if !listed {
                expected.extend(own);
            }
            expected.sort_by_key(|kind| format!("{kind:?}"));
            assert_eq!(verified, expected);
        }
    }

    #[tokio::test]
    async fn only_a_refusal_verifies_hashes_of_other_kinds() {
        static COMPUTED: AtomicUsize = AtomicUsize::new(0);
        let kinds =
            ["bcrypt-4", "m=9216,t=2,p=1"].map(|kind| HashKind::parse(kind).expect("a kind"));
        let hasher = hasher("m=8192,t=1,p=1")
            .with_imported(&kinds)
            .expect("a hasher")
            .reporting(|_| {
                COMPUTED.fetch_add(1, Ordering::Relaxed);
            });
        let hash = hasher.hash(&password("x")).await.expect("a hash");
        for (stored, text, verdict, count) in [
            (Some(&hash), "x", Verdict::Right, 1),
            (Some(&hash), "y", Verdict::Wrong, 3),
            (None, "y", Verdict::Wrong, 3),
            // The text matches no decoy, and would be wrong if it did.
            (None, "", Verdict::Wrong, 3),
        ] {
            COMPUTED.store(0, Ordering::Relaxed);
            let actual = hasher.verify(&password(text), stored).await;
            assert_eq!(actual.ok(), Some(verdict), "{text}");
            assert_eq!(COMPUTED.load(Ordering::Relaxed), count, "{text}");
        }
    }

    #[test]
    fn the_first_decoy_has_the_configured_parameters() {
        let hasher = hasher("m=9216,t=3,p=2");
        let decoy = hasher.decoys[0].hash.as_str();
        assert!(
            decoy.starts_with("$argon2id$v=19$m=9216,t=3,p=2$"),
            "{decoy}"
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
