//! OTP secrets: in plain text, and as stored.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::{
    domain::user::Uid,
    platform::{
        random,
        sealing::{Place, Sealed},
    },
};

/// The secret that a user shares with an authenticator app, in base32 without padding (RFC 4648).
/// It cannot be serialized, and its memory is zeroed when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct OtpSecret(Zeroizing<String>);

impl OtpSecret {
    /// A new secret of 160 random bits, the length that RFC 4226 recommends (section 4, R6).
    #[must_use]
    pub fn generate() -> Self {
        let bytes = Zeroizing::new(random::bytes::<20>());
        Self(Zeroizing::new(BASE32_NOPAD.encode(&*bytes)))
    }

    /// Wraps the text of an opened value.
    #[must_use]
    pub const fn opened(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// Parses the secret of an imported user. Returns `None` if it is not base32 in upper case, or
    /// has fewer than 80 bits.
    #[must_use]
    pub fn import(text: &str) -> Option<Self> {
        let bare = text.trim_end_matches('=');
        BASE32_NOPAD
            .decode(bare.as_bytes())
            .is_ok_and(|bytes| bytes.len() >= 10)
            .then(|| Self(Zeroizing::new(bare.to_owned())))
    }

    /// The secret as text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OtpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtpSecret(..)")
    }
}

/// An attribute of a user that holds an OTP secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtpField {
    /// The secret of the enabled second factor.
    Secret,
    /// The secret that the user has not confirmed with a code yet.
    Pending,
}

impl OtpField {
    /// Both fields.
    pub const ALL: [Self; 2] = [Self::Secret, Self::Pending];

    /// The name of the attribute, which the encryption authenticates.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "otp_secret",
            Self::Pending => "otp_pending_secret",
        }
    }

    /// The place of this field of a user.
    #[must_use]
    pub fn place(self, uid: &Uid) -> Place<'_> {
        Place {
            uid: uid.as_str(),
            field: self.name(),
        }
    }
}

/// An OTP secret as stored.
#[derive(Clone, PartialEq, Eq)]
pub enum StoredOtpSecret {
    /// In plain text, as versions before the data keys stored it.
    Plain(OtpSecret),
    /// Encrypted under a data key.
    Sealed(Sealed),
}

impl StoredOtpSecret {
    /// The stored text, for conditions that the value is unchanged.
    #[must_use]
    pub fn as_stored(&self) -> &str {
        match self {
            Self::Plain(secret) => secret.reveal(),
            Self::Sealed(sealed) => sealed.as_str(),
        }
    }
}

impl fmt::Debug for StoredOtpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredOtpSecret(..)")
    }
}

impl Serialize for StoredOtpSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_stored())
    }
}

impl<'de> Deserialize<'de> for StoredOtpSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(if Sealed::is_sealed(&text) {
            Self::Sealed(Sealed::stored(text))
        } else {
            Self::Plain(OtpSecret(Zeroizing::new(text)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_sealed_values_are_distinguished_and_stored_unchanged() {
        for (text, is_sealed) in [
            ("GEZDGNBVGY3TQOJQ", false),
            ("not base32", false),
            ("v1.1.AAAA", true),
            ("v9.unknown", true),
        ] {
            let stored: StoredOtpSecret =
                serde_json::from_value(serde_json::json!(text)).expect("a value");
            assert_eq!(matches!(stored, StoredOtpSecret::Sealed(_)), is_sealed);
            assert_eq!(serde_json::to_value(&stored).expect("JSON"), text);
        }
    }

    #[test]
    fn debug_output_shows_neither_plain_nor_sealed_secrets() {
        let secret = OtpSecret::import("GEZDGNBVGY3TQOJQ").expect("a secret");
        let sealed = Sealed::stored("v1.1.AAAA".to_owned());
        assert_eq!(format!("{secret:?}"), "OtpSecret(..)");
        for stored in [
            StoredOtpSecret::Plain(secret),
            StoredOtpSecret::Sealed(sealed),
        ] {
            assert_eq!(format!("{stored:?}"), "StoredOtpSecret(..)");
        }
    }
}
