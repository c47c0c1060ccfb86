//! The schemes of stored hashes, with bounds for their parameters.

use std::ops::RangeInclusive;

use argon2::{
    Algorithm, Params, Version,
    password_hash::phc::{self, Output, Salt},
};
use bcrypt::HashParts;

use super::Password;
use crate::BoxError;

pub(super) const ALGORITHM: Algorithm = Algorithm::Argon2id;
pub(super) const VERSION: Version = Version::V0x13;
/// Maximum memory of a stored hash, in KiB. More could exceed the memory of the function.
pub(super) const MEMORY_LIMIT: u32 = 512 * 1024;
/// Permitted passes over the memory.
pub(super) const PASSES: RangeInclusive<u32> = 1..=16;
/// Permitted lanes of the memory.
pub(super) const LANES: RangeInclusive<u32> = 1..=16;
/// Permitted costs of bcrypt. Each step doubles the time; 14 takes about one second.
const BCRYPT_COST: RangeInclusive<u32> = 4..=14;

/// The kind of a hash. Verifying hashes of one kind takes the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// Argon2id (RFC 9106).
    Argon2id {
        /// Memory, in KiB.
        memory: u32,
        /// Passes over the memory.
        passes: u32,
        /// Lanes of the memory.
        lanes: u32,
    },
    /// bcrypt.
    Bcrypt {
        /// The base-2 logarithm of the number of rounds.
        cost: u32,
    },
}

impl HashKind {
    /// Parses the kind of an imported hash: `bcrypt-10`, with a cost from 4 to 14, or
    /// `m=65536,t=3,p=4`, with the bounds of an imported Argon2id hash: at most 524288 KiB, 16
    /// passes and 16 lanes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("bcrypt-") {
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|cost| BCRYPT_COST.contains(cost))
                .map(|cost| Self::Bcrypt { cost }),
            None => params(text, Params::MIN_M_COST).map(|params| Self::argon2id(&params)),
        }
    }

    pub(super) const fn argon2id(params: &Params) -> Self {
        Self::Argon2id {
            memory: params.m_cost(),
            passes: params.t_cost(),
            lanes: params.p_cost(),
        }
    }
}

/// Parses `m=19456,t=2,p=1`, with at least `minimum` KiB of memory.
pub(super) fn params(text: &str, minimum: u32) -> Option<Params> {
    let mut numbers = ["m=", "t=", "p="]
        .into_iter()
        .zip(text.split(','))
        .map(|(name, part)| part.trim().strip_prefix(name)?.parse().ok());
    let (m, t, p): (u32, u32, u32) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let is_valid = text.split(',').count() == 3
        && (minimum..=MEMORY_LIMIT).contains(&m)
        && PASSES.contains(&t)
        && LANES.contains(&p);
    is_valid.then(|| Params::new(m, t, p, None).ok())?
}

/// The scheme and the parts of a hash.
pub(super) enum Scheme<'a> {
    /// Argon2id (RFC 9106), as a PHC string.
    Argon2id {
        params: Params,
        salt: Salt,
        output: Output,
    },
    /// bcrypt, as in Barong.
    Bcrypt { hash: &'a str, cost: u32 },
}

impl Scheme<'_> {
    pub(super) const fn kind(&self) -> HashKind {
        match self {
            Self::Argon2id { params, .. } => HashKind::argon2id(params),
            Self::Bcrypt { cost, .. } => HashKind::Bcrypt { cost: *cost },
        }
    }
}

/// Parses a hash. An unsupported scheme or a parameter out of bounds is an error, which does not
/// contain the hash.
pub(super) fn parse(text: &str) -> Result<Scheme<'_>, BoxError> {
    if ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
    {
        let cost = text
            .parse::<HashParts>()
            .map_err(|_| "malformed bcrypt hash")?
            .get_cost();
        let has_plain_digits = text
            .get(4..6)
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let is_supported = has_plain_digits && BCRYPT_COST.contains(&cost);
        return is_supported
            .then_some(Scheme::Bcrypt { hash: text, cost })
            .ok_or_else(|| "the cost of the bcrypt hash is not a number from 4 to 14".into());
    }
    let phc =
        phc::PasswordHash::new(text).map_err(|_| "the hash is neither bcrypt nor a PHC string")?;
    if phc.algorithm.as_str() != ALGORITHM.as_str() || phc.version != Some(VERSION.into()) {
        return Err("the hash is not Argon2id, version 19".into());
    }
    let params = Params::try_from(&phc).map_err(|_| "malformed Argon2id parameters")?;
    if params.m_cost() > MEMORY_LIMIT
        || !PASSES.contains(&params.t_cost())
        || !LANES.contains(&params.p_cost())
    {
        return Err("an Argon2id parameter exceeds m=524288, t=16 or p=16".into());
    }
    let (Some(salt), Some(output)) = (phc.salt, phc.hash) else {
        return Err("the hash has no salt or no output".into());
    };
    if salt.as_ref().len() < argon2::MIN_SALT_LEN {
        return Err("the salt is shorter than 8 bytes".into());
    }
    Ok(Scheme::Argon2id {
        params,
        salt,
        output,
    })
}

/// Verifies a password against a bcrypt hash. Only the first 72 bytes of the password count.
///
/// bcrypt repeats a password after a terminating NUL, so it cannot distinguish `a` from `a\0a`. A
/// password with a NUL was never hashed with bcrypt, so it is wrong, after the same work.
pub(super) fn verify_bcrypt(hash: &str, password: &Password) -> Result<bool, BoxError> {
    let is_equal = bcrypt::verify(password.reveal(), hash).map_err(|_| "malformed bcrypt hash")?;
    Ok(is_equal && !password.reveal().contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::password::PasswordHash;

    fn is_right(hash: &str, password: &str) -> bool {
        verify_bcrypt(hash, &Password::new(password.to_owned())).expect("a hash")
    }

    #[test]
    fn the_test_vectors_of_bcrypt_are_verified() {
        // From Openwall's crypt_blowfish, wrapper.c.
        for (hash, password) in [
            (
                "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
                "U*U",
            ),
            (
                "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK",
                "U*U*",
            ),
            (
                "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a",
                "U*U*U",
            ),
            (
                "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
                "",
            ),
            (
                "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
                "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored",
            ),
        ] {
            assert!(is_right(hash, password), "{hash}");
            assert!(!is_right(hash, &format!("x{password}")), "{hash}");
        }
    }

    #[test]
    fn bcrypt_ignores_bytes_after_the_72nd() {
        let hash = "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui";
        let first_72_bytes =
            "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        assert_eq!(first_72_bytes.len(), 72);
        assert!(
            is_right(hash, first_72_bytes) && is_right(hash, &format!("{first_72_bytes}other"))
        );
        assert!(!is_right(hash, &first_72_bytes[..71]));
    }

    #[test]
    fn a_password_with_a_nul_does_not_match_a_bcrypt_hash() {
        let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        assert!(
            bcrypt::verify("U*U\0U*U", hash).expect("a hash"),
            "bcrypt alone would accept the password"
        );
        for password in ["U*U\0U*U", "U*U\0", "\0U*U", "\0"] {
            assert!(!is_right(hash, password), "{password:?}");
        }
    }

    #[test]
    fn the_kind_of_an_imported_hash_is_a_cost_of_bcrypt_or_parameters_of_argon2id() {
        let argon2id = |memory, passes, lanes| HashKind::Argon2id {
            memory,
            passes,
            lanes,
        };
        for (text, kind) in [
            ("bcrypt-4", HashKind::Bcrypt { cost: 4 }),
            ("bcrypt-14", HashKind::Bcrypt { cost: 14 }),
            ("m=65536,t=3,p=4", argon2id(65536, 3, 4)),
            ("m=1024,t=16,p=16", argon2id(1024, 16, 16)),
        ] {
            assert_eq!(HashKind::parse(text), Some(kind), "{text}");
        }
        for text in [
            "",
            "bcrypt",
            "bcrypt-",
            "bcrypt-3",
            "bcrypt-15",
            "bcrypt-x",
            "bcrypt-10 ",
            "BCRYPT-10",
            "scrypt-10",
            "10",
            "m=65536",
            "m=65536,t=3",
            "m=1,t=1,p=1",
            "m=8,t=1,p=2",
            "m=524289,t=1,p=1",
            "m=65536,t=17,p=1",
            "m=65536,t=0,p=1",
            "m=65536,t=1,p=17",
        ] {
            assert_eq!(HashKind::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_supported_hashes_within_bounds_are_imported() {
        const BCRYPT: &str = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        const ARGON2: &str = "c29tZXNhbHRzb21lc2FsdA$/X5EVS2D22ucK8nb1tiP4PrNEd9GVKwh/oAT/XoF68M";
        for (start, rest, is_valid) in [
            ("$2a$04$", BCRYPT, true),
            ("$2b$14$", BCRYPT, true),
            ("$2y$12$", BCRYPT, true),
            ("$2x$12$", BCRYPT, false),
            ("$2$12$", BCRYPT, false),
            ("$2a$03$", BCRYPT, false),
            ("$2a$15$", BCRYPT, false),
            ("$2a$31$", BCRYPT, false),
            ("$2a$+5$", BCRYPT, false),
            ("$2a$05$", &BCRYPT[1..], false),
            (
                "$2a$05$",
                "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyO!!",
                false,
            ),
            (" $2a$05$", BCRYPT, false),
            ("$argon2id$v=19$m=19456,t=2,p=1$", ARGON2, true),
            ("$argon2id$v=19$m=524288,t=16,p=16$", ARGON2, true),
            ("$argon2id$v=19$m=524289,t=1,p=1$", ARGON2, false),
            ("$argon2id$v=19$m=19456,t=17,p=1$", ARGON2, false),
            ("$argon2id$v=19$m=19456,t=2,p=17$", ARGON2, false),
            ("$argon2id$v=16$m=19456,t=2,p=1$", ARGON2, false),
            ("$argon2id$m=19456,t=2,p=1$", ARGON2, false),
            ("$argon2i$v=19$m=19456,t=2,p=1$", ARGON2, false),
            ("$argon2d$v=19$m=19456,t=2,p=1$", ARGON2, false),
            (
                "$argon2id$v=19$m=19456,t=2,p=1$",
                "c29tZXNhbHRzb21lc2FsdA",
                false,
            ),
            (
                "$argon2id$v=19$m=19456,t=2,p=1$",
                "c29tZXM$/X5EVS2D22ucK8nb1tiP4PrNEd9GVKwh/oAT/XoF68M",
                false,
            ),
            ("", "", false),
            ("", "password", false),
            ("", "5f4dcc3b5aa765d61d8327deb882cf99", false),
        ] {
            assert_eq!(
                PasswordHash::import(&format!("{start}{rest}")).is_ok(),
                is_valid,
                "{start}{rest}"
            );
        }
    }
}
