//! Encryption of stored secrets under the data keys: AES-256-GCM (NIST SP 800-38D).
//!
//! A sealed value is the text `v1.<key version>.<base64url>`. The last part is the nonce of 96 random
//! bits, the ciphertext, and the tag of 128 bits. The associated data is `v1 <field> <uid>`, so a
//! value opens only in the item and the attribute for which it was sealed.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{BoxError, platform::random};

/// The version of the format.
const FORMAT: &str = "v1";
/// The HKDF label of the keys of this format.
const LABEL: &[u8] = b"aes-256-gcm data key";
/// The member of the data secret that names the current version.
const CURRENT: &str = "current";
/// Minimum length of a key text in characters. 43 letters and digits have 256 bits.
const MIN_KEY_LENGTH: usize = 43;
/// Maximum length of the name of a version in characters.
const MAX_VERSION_LENGTH: usize = 32;

/// Where a secret is stored: the associated data of its encryption.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The uid of the user.
    pub uid: &'a str,
    /// The name of the attribute.
    pub field: &'a str,
}

impl Place<'_> {
    /// Neither part contains a space.
    fn associated_data(&self) -> Aad<String> {
        Aad::from(format!("{FORMAT} {} {}", self.field, self.uid))
    }
}

/// A secret, encrypted under a data key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// Wraps a stored text. [`DataKeys::open`] checks its format.
    #[must_use]
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    /// Whether a text can only be a sealed value. No OTP secret in base32 contains a dot.
    #[must_use]
    pub fn is_sealed(text: &str) -> bool {
        text.contains('.')
    }

    /// The text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version of the key; `None` if the format is unknown.
    #[must_use]
    pub fn key_version(&self) -> Option<&str> {
        self.parts().map(|(version, _)| version)
    }

    fn parts(&self) -> Option<(&str, &str)> {
        let rest = self.0.strip_prefix(FORMAT)?.strip_prefix('.')?;
        rest.split_once('.')
            .filter(|(version, _)| is_version(version))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// The reason that a value cannot be opened. Contains no part of the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The text has no known format.
    #[error("the value has no known format")]
    Malformed,
    /// The data secret does not contain the key.
    #[error("the data secret has no key version {0:?}")]
    UnknownVersion(String),
    /// The value was sealed for another user or attribute, or under another key of the same version,
    /// or it is damaged.
    #[error(
        "the value does not open under key version {0:?}: it belongs to another user, another field or another data secret, or it is damaged"
    )]
    Rejected(String),
}

/// The data keys of a stack by version.
pub struct DataKeys {
    current: String,
    keys: BTreeMap<String, LessSafeKey>,
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKeys(..)")
    }
}

impl DataKeys {
    /// Reads the text of the data secret: a JSON object whose member `current` names the current
    /// version, and whose other members are the key texts by version. The keys are derived from
    /// these texts by HKDF-SHA-256 (RFC 5869), so that Secrets Manager can generate them.
    ///
    /// # Errors
    /// Names the invalid member, without its value.
    pub fn parse(secret: &str) -> Result<Self, BoxError> {
        // The error of serde_json could quote a part of the secret.
        let mut texts: BTreeMap<String, Zeroizing<String>> =
            serde_json::from_str::<BTreeMap<String, String>>(secret)
                .map_err(|_| "the data secret is not a JSON object of strings")?
                .into_iter()
                .map(|(name, text)| (name, Zeroizing::new(text)))
                .collect();
        let current = texts
            .remove(CURRENT)
            .ok_or("the data secret has no member \"current\"")?
            .to_string();
        let keys = texts
            .iter()
            .map(|(version, text)| Ok((version.clone(), derive(version, text)?)))
            .collect::<Result<BTreeMap<_, _>, BoxError>>()?;
        if !keys.contains_key(&current) {
            return Err("the data secret does not contain its current version".into());
        }
        Ok(Self { current, keys })
    }

    /// The version under which [`DataKeys::seal`] encrypts.
    #[must_use]
    pub fn current(&self) -> &str {
        &self.current
    }

    /// Encrypts a secret under the current key.
    ///
    /// # Errors
    /// If the encryption fails, which does not depend on the secret.
    pub fn seal(&self, secret: &str, place: Place<'_>) -> Result<Sealed, BoxError> {
        let key = self
            .keys
            .get(&self.current)
            .ok_or("the current data key is missing")?;
        let nonce = random::bytes::<NONCE_LEN>();
        // With the capacity for the tag, so that no reallocation leaves a copy of the secret.
        let mut encrypted = Vec::with_capacity(secret.len() + AES_256_GCM.tag_len());
        encrypted.extend_from_slice(secret.as_bytes());
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            place.associated_data(),
            &mut encrypted,
        )
        .map_err(|_| "the encryption of a secret failed")?;
        let encrypted = BASE64URL_NOPAD.encode(&[&nonce[..], &encrypted].concat());
        Ok(Sealed(format!("{FORMAT}.{}.{encrypted}", self.current)))
    }

    /// Decrypts a value that was sealed for this place.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&self, sealed: &Sealed, place: Place<'_>) -> Result<Zeroizing<String>, OpenError> {
        let (version, encrypted) = sealed.parts().ok_or(OpenError::Malformed)?;
        let encrypted = BASE64URL_NOPAD
            .decode(encrypted.as_bytes())
            .map_err(|_| OpenError::Malformed)?;
        let (nonce, encrypted) = encrypted
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(OpenError::Malformed)?;
        let key = self
            .keys
            .get(version)
            .ok_or_else(|| OpenError::UnknownVersion(version.to_owned()))?;
        let mut buffer = Zeroizing::new(encrypted.to_vec());
        let opened = key.open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            place.associated_data(),
            &mut buffer,
        );
        let rejected = || OpenError::Rejected(version.to_owned());
        let text = opened.map_err(|_| rejected())?;
        std::str::from_utf8(text)
            .map(|text| Zeroizing::new(text.to_owned()))
            .map_err(|_| rejected())
    }
}

fn is_version(version: &str) -> bool {
    (1..=MAX_VERSION_LENGTH).contains(&version.len())
        && version
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn derive(version: &str, text: &str) -> Result<LessSafeKey, BoxError> {
    if !is_version(version) {
        return Err(format!(
            "a key version of the data secret is not 1 to {MAX_VERSION_LENGTH} letters, digits and hyphens"
        )
        .into());
    }
    if text.len() < MIN_KEY_LENGTH {
        return Err(format!(
            "key version {version:?} of the data secret has fewer than {MIN_KEY_LENGTH} characters"
        )
        .into());
    }
    let key = Salt::new(HKDF_SHA256, &[]).extract(text.as_bytes());
    let key = key
        .expand(&[LABEL], &AES_256_GCM)
        .map_err(|_| "the derivation of a data key failed")?;
    Ok(LessSafeKey::new(UnboundKey::from(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    const PLACE: Place<'_> = Place {
        uid: "ID0123456789",
        field: "otp_secret",
    };

    fn keys(current: &str, versions: &[(&str, char)]) -> DataKeys {
        let mut secret = serde_json::json!({ "current": current });
        for (version, character) in versions {
            secret[version] = character.to_string().repeat(64).into();
        }
        DataKeys::parse(&secret.to_string()).expect("keys")
    }

    fn sealed(keys: &DataKeys) -> Sealed {
        keys.seal(SECRET, PLACE).expect("a value")
    }

    fn opened(keys: &DataKeys, sealed: &Sealed) -> Result<String, OpenError> {
        keys.open(sealed, PLACE).map(|text| text.to_string())
    }

    #[test]
    fn a_sealed_value_opens_to_the_secret_and_does_not_contain_it() {
        let keys = keys("1", &[("1", 'a')]);
        let value = sealed(&keys);
        assert_eq!(opened(&keys, &value).as_deref(), Ok(SECRET));
        assert!(value.as_str().starts_with("v1.1.") && !value.as_str().contains(SECRET));
        assert!(Sealed::is_sealed(value.as_str()) && !Sealed::is_sealed(SECRET));
        assert_eq!(value.key_version(), Some("1"));
    }

    #[test]
    fn equal_secrets_are_sealed_to_different_values() {
        let keys = keys("1", &[("1", 'a')]);
        assert_ne!(sealed(&keys), sealed(&keys));
    }

    /// Values of earlier releases must open in later ones.
    #[test]
    fn a_stored_value_of_this_format_opens() {
        let keys = keys("1", &[("1", 'a')]);
        let stored = Sealed::stored(STORED.to_owned());
        assert_eq!(opened(&keys, &stored).as_deref(), Ok(SECRET));
    }

    #[test]
    fn a_value_opens_only_for_its_user_and_field() {
        let keys = keys("1", &[("1", 'a')]);
        let value = sealed(&keys);
        for place in [
            Place {
                uid: "ID0123456788",
                ..PLACE
            },
            Place {
                field: "otp_pending_secret",
                ..PLACE
            },
        ] {
            assert_eq!(
                keys.open(&value, place).err(),
                Some(OpenError::Rejected("1".to_owned())),
                "{place:?}"
            );
        }
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let keys = keys("1", &[("1", 'a')]);
        let value = sealed(&keys);
        let (_, encoded) = value.parts().expect("parts");
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).expect("bytes");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = Sealed(format!("v1.1.{}", BASE64URL_NOPAD.encode(&changed)));
            assert_eq!(
                opened(&keys, &changed),
                Err(OpenError::Rejected("1".to_owned())),
                "{bit}"
            );
        }
    }

    #[test]
    fn every_truncated_value_is_rejected() {
        let keys = keys("1", &[("1", 'a')]);
        let value = sealed(&keys);
        for length in 0..value.as_str().len() {
            let cut = Sealed(value.as_str()[..length].to_owned());
            assert!(
                matches!(
                    opened(&keys, &cut),
                    Err(OpenError::Malformed | OpenError::Rejected(_))
                ),
                "{length}"
            );
        }
    }

    #[test]
    fn a_value_of_another_format_is_malformed() {
        let keys = keys("1", &[("1", 'a')]);
        for text in [
            "v2.1.AAAA",
            "v1..AAAA",
            "v1.1",
            "v1.1.!",
            "v1.a b.AAAA",
            ".",
        ] {
            let value = Sealed(text.to_owned());
            assert_eq!(opened(&keys, &value), Err(OpenError::Malformed), "{text}");
        }
    }

    #[test]
    fn after_a_rotation_the_old_version_opens_and_the_new_one_seals() {
        let before = keys("1", &[("1", 'a')]);
        let after = keys("2", &[("1", 'a'), ("2", 'b')]);
        assert_eq!(opened(&after, &sealed(&before)).as_deref(), Ok(SECRET));
        let new = sealed(&after);
        assert_eq!(new.key_version(), Some("2"));
        assert_eq!(
            opened(&before, &new),
            Err(OpenError::UnknownVersion("2".to_owned()))
        );
        // Another secret with the same version.
        assert_eq!(
            opened(&keys("2", &[("2", 'c')]), &new),
            Err(OpenError::Rejected("2".to_owned()))
        );
    }

    #[test]
    fn an_invalid_data_secret_is_rejected_without_its_values() {
        let key = "k".repeat(64);
        for secret in [
            "k".repeat(64),
            format!(r#"{{"1": "{key}"}}"#),
            format!(r#"{{"current": "2", "1": "{key}"}}"#),
            format!(r#"{{"current": 1, "1": "{key}"}}"#),
            format!(r#"{{"current": "1", "1": ["{key}"]}}"#),
            format!(r#"{{"current": "1", "1": "{}"}}"#, &key[..42]),
            format!(r#"{{"current": "1.2", "1.2": "{key}"}}"#),
            format!(r#"{{"current": "", "": "{key}"}}"#),
        ] {
            let error = DataKeys::parse(&secret).expect_err("an error").to_string();
            assert!(
                error.contains("data secret") && !error.contains("kkk"),
                "{secret}: {error}"
            );
        }
    }

    #[test]
    fn debug_output_shows_no_value() {
        let keys = keys("1", &[("1", 'a')]);
        assert_eq!(format!("{:?}", sealed(&keys)), "Sealed(..)");
        assert_eq!(format!("{keys:?}"), "DataKeys(..)");
    }

    /// [`SECRET`], sealed by an independent implementation (the Python package `cryptography`).
    const STORED: &str =
        "v1.1.AAECAwQFBgcICQoL66HluSiKpBL7BATHTfqsyPnifNMLKkuWGSPjKH5QVAFa_4I-tfBXOQWc2sPFoe4G";
}
