//! What a stored hash says of how it was made, and what of that is verified here.

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
/// KiB that a stored hash may ask for. More would end the function instead of answering.
pub(super) const MEMORY_LIMIT: u32 = 512 * 1024;
/// Passes over that memory.
pub(super) const PASSES: RangeInclusive<u32> = 1..=16;
/// Lanes of that memory.
pub(super) const LANES: RangeInclusive<u32> = 1..=16;
/// Cost of bcrypt, each step of which doubles the time: 14 takes about a second.
const BCRYPT_COST: RangeInclusive<u32> = 4..=14;

/// How a hash was made.
pub(super) enum Scheme<'a> {
    /// RFC 9106.
    Argon2id {
        params: Params,
        salt: Salt,
        output: Output,
    },
    /// What Barong used.
    Bcrypt(&'a str),
}

/// Reads a hash. One of another kind, or one that asks for too much, is an error, which does not
/// quote the hash.
pub(super) fn read(text: &str) -> Result<Scheme<'_>, BoxError> {
    if ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
    {
        let cost = text
            .parse::<HashParts>()
            .map_err(|_| "not a hash of bcrypt")?
            .get_cost();
        let is_written_plainly = text
            .get(4..6)
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let is_good = is_written_plainly && BCRYPT_COST.contains(&cost);
        return is_good
            .then_some(Scheme::Bcrypt(text))
            .ok_or_else(|| "a cost out of bounds".into());
    }
    let phc = phc::PasswordHash::new(text).map_err(|_| "not a PHC string")?;
    if phc.algorithm.as_str() != ALGORITHM.as_str() || phc.version != Some(VERSION.into()) {
        return Err("a hash of a kind that is not supported".into());
    }
    let params = Params::try_from(&phc).map_err(|_| "not parameters of Argon2id")?;
    if params.m_cost() > MEMORY_LIMIT
        || !PASSES.contains(&params.t_cost())
        || !LANES.contains(&params.p_cost())
    {
        return Err("parameters out of bounds".into());
    }
    let (Some(salt), Some(output)) = (phc.salt, phc.hash) else {
        return Err("a hash without salt or output".into());
    };
    if salt.as_ref().len() < argon2::MIN_SALT_LEN {
        return Err("a salt that is too short".into());
    }
    Ok(Scheme::Argon2id {
        params,
        salt,
        output,
    })
}

/// Whether a hash of bcrypt is that of the password, of which bcrypt looks at the first 72 bytes.
/// To bcrypt a NUL is the end of a password, after which it begins anew, so that `a` and `a\0a` are
/// one; no password with a NUL was ever hashed, so it is wrong, after the same work.
pub(super) fn is_bcrypt_of(hash: &str, password: &Password) -> Result<bool, BoxError> {
    let same = bcrypt::verify(password.reveal(), hash).map_err(|_| "not a hash of bcrypt")?;
    Ok(same && !password.reveal().contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::password::PasswordHash;

    fn is_of(hash: &str, password: &str) -> bool {
        is_bcrypt_of(hash, &Password::new(password.to_owned())).expect("a hash")
    }

    #[test]
    fn the_test_vectors_of_bcrypt_verify() {
        // Openwall's crypt_blowfish, wrapper.c.
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
            assert!(is_of(hash, password), "{hash}");
            assert!(!is_of(hash, &format!("x{password}")), "{hash}");
        }
    }

    #[test]
    fn bytes_after_the_seventy_second_do_not_count() {
        let hash = "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui";
        let looked_at = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        assert_eq!(looked_at.len(), 72);
        assert!(is_of(hash, looked_at) && is_of(hash, &format!("{looked_at}other")));
        assert!(!is_of(hash, &looked_at[..71]));
    }

    #[test]
    fn a_nul_does_not_begin_a_password_anew() {
        let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        assert!(
            bcrypt::verify("U*U\0U*U", hash).expect("a hash"),
            "or this test shows nothing"
        );
        for password in ["U*U\0U*U", "U*U\0", "\0U*U", "\0"] {
            assert!(!is_of(hash, password), "{password:?}");
        }
    }

    #[test]
    fn only_hashes_that_can_be_verified_in_time_are_imported() {
        const BCRYPT: &str = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        const ARGON2: &str = "c29tZXNhbHRzb21lc2FsdA$/X5EVS2D22ucK8nb1tiP4PrNEd9GVKwh/oAT/XoF68M";
        for (start, rest, good) in [
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
                good,
                "{start}{rest}"
            );
        }
    }
}
