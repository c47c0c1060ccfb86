//! Passkeys: the WebAuthn credentials of users, and the state of a ceremony between its options
//! and its response. [`webauthn`](crate::domain::webauthn) verifies the responses.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        user::Uid,
        webauthn::{
            Aaguid, Authentication, CredentialId, NewCredential, PublicKey, StoredCredential,
        },
    },
    platform::{clock::Timestamp, random},
};

/// Maximum number of passkeys of a user.
pub const PASSKEY_LIMIT: usize = 20;
/// Maximum length of the name of a passkey, in characters.
pub const NAME_LIMIT: usize = 64;
/// Seconds for which the state of a ceremony is valid.
pub const CEREMONY_LIFETIME: i64 = 300;
/// Seconds after which a password reset no longer removes a passkey. A thief of a session could
/// have added a younger one.
const RECENT: i64 = 72 * 3600;

/// SHA-256 of the id of a credential, in hexadecimal digits. It is the key of the passkey, because
/// credential ids are longer than some keys may be, and the item of the user lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CredentialHash(String);

impl CredentialHash {
    /// The hash of a credential id.
    #[must_use]
    pub fn of(id: &CredentialId) -> Self {
        Self(random::sha256_hex_of(id.as_bytes()))
    }

    /// The hash as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A passkey as stored. It is only valid while the item of its user lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    /// The uid of the user, which is also the user handle of the credential.
    pub uid: Uid,
    /// The id that the authenticator gave the credential.
    #[serde(rename = "credential_id")]
    pub id: CredentialId,
    /// The public key.
    #[serde(with = "cose")]
    pub public_key: PublicKey,
    /// The signature counter of the newest use; 0 if the authenticator has none.
    pub sign_count: u32,
    /// Whether the authenticator may copy the credential to other devices.
    pub backup_eligible: bool,
    /// Whether such a copy existed at the newest use.
    pub backed_up: bool,
    /// The model of the authenticator; all zeros if it is not disclosed.
    pub aaguid: Aaguid,
    /// How browsers reach the authenticator, for the options of later ceremonies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transports: Vec<String>,
    /// The name that the user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The time at which it was added.
    pub created_at: Timestamp,
    /// The time of the newest use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// The stored form of a public key: its `COSE_Key` in base64url.
mod cose {
    use data_encoding::BASE64URL_NOPAD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::domain::webauthn::PublicKey;

    pub(super) fn serialize<S: Serializer>(key: &PublicKey, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64URL_NOPAD.encode(key.as_cose()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PublicKey, D::Error> {
        let text = String::deserialize(from)?;
        let cose = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(D::Error::custom)?;
        PublicKey::from_cose(&cose).map_err(D::Error::custom)
    }
}

/// A passkey as the API returns it.
#[derive(Serialize)]
pub struct PasskeyView<'a> {
    id: &'a CredentialId,
    name: Option<&'a str>,
    aaguid: Aaguid,
    backed_up: bool,
    transports: &'a [String],
    created_at: String,
    last_used_at: Option<String>,
}

impl Passkey {
    /// The attributes of the item.
    pub const ATTRIBUTES: &'static [&'static str] = &[
        "aaguid",
        "backed_up",
        "backup_eligible",
        "created_at",
        "credential_id",
        "last_used_at",
        "name",
        "public_key",
        "sign_count",
        "transports",
        "uid",
    ];

    /// A verified credential as a passkey of a user.
    #[must_use]
    pub fn new(credential: NewCredential, uid: &Uid, name: Option<String>, now: Timestamp) -> Self {
        let NewCredential {
            id,
            public_key,
            sign_count,
            aaguid,
            backup_eligible,
            backed_up,
            transports,
        } = credential;
        Self {
            uid: uid.clone(),
            id,
            public_key,
            sign_count,
            backup_eligible,
            backed_up,
            aaguid,
            transports,
            name,
            created_at: now,
            last_used_at: None,
        }
    }

    /// The hash under which the passkey is stored.
    #[must_use]
    pub fn hash(&self) -> CredentialHash {
        CredentialHash::of(&self.id)
    }

    /// What a response is verified with.
    #[must_use]
    pub fn credential(&self) -> StoredCredential<'_> {
        StoredCredential {
            id: &self.id,
            user_handle: self.uid.as_str().as_bytes(),
            public_key: &self.public_key,
            sign_count: self.sign_count,
            backup_eligible: self.backup_eligible,
        }
    }

    /// Whether a password reset removes the passkey, because it was added shortly before.
    #[must_use]
    pub fn is_recent(&self, now: Timestamp) -> bool {
        now < self.created_at + RECENT
    }

    /// The passkey as the API returns it.
    #[must_use]
    pub fn view(&self) -> PasskeyView<'_> {
        PasskeyView {
            id: &self.id,
            name: self.name.as_deref(),
            aaguid: self.aaguid,
            backed_up: self.backed_up,
            transports: &self.transports,
            created_at: self.created_at.rfc3339(),
            last_used_at: self.last_used_at.map(Timestamp::rfc3339),
        }
    }
}

/// Sorts passkeys for a list.
pub fn newest_first(passkeys: &mut [Passkey]) {
    passkeys.sort_by_key(|passkey| Reverse((passkey.created_at, passkey.hash())));
}

/// An accepted use of a passkey, which the write of the operation must record.
#[derive(Clone, Debug)]
pub struct PasskeyUse {
    /// The passkey, as it was read.
    pub passkey: Passkey,
    /// What the authenticator reported.
    pub authentication: Authentication,
}

#[cfg(test)]
impl Passkey {
    /// A passkey of a user, with this credential id and a public key without a known private one.
    pub(crate) fn sample(uid: &str, id: &str, now: Timestamp) -> Self {
        // The point is the generator of P-256.
        const GENERATOR: &str = "pQECAyYgASFYIGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWIlggT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU";
        serde_json::from_value(serde_json::json!({
            "uid": uid, "credential_id": id, "public_key": GENERATOR, "sign_count": 7, "backup_eligible": false,
            "backed_up": false, "aaguid": "00000000-0000-0000-0000-000000000000", "transports": ["internal"],
            "created_at": now,
        }))
        .expect("a passkey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn a_passkey_is_recent_for_three_days() {
        let passkey = Passkey::sample("ID0123456789", "b25l", NOW);
        assert!(passkey.is_recent(NOW));
        assert!(passkey.is_recent(NOW + (72 * 3600 - 1)));
        assert!(!passkey.is_recent(NOW + 72 * 3600));
    }

    #[test]
    fn a_passkey_is_shown_without_key_and_counter() {
        let passkey = Passkey::sample("ID0123456789", "b25l", NOW);
        let view = serde_json::to_value(passkey.view()).expect("JSON");
        assert_eq!(
            view,
            serde_json::json!({
                "id": "b25l", "name": null, "aaguid": "00000000-0000-0000-0000-000000000000", "backed_up": false,
                "transports": ["internal"], "created_at": "2027-01-15T08:00:00Z", "last_used_at": null,
            })
        );
    }

    #[test]
    fn a_hash_does_not_depend_on_the_encoding_of_the_id() {
        let id = CredentialId::parse("b25l").expect("an id");
        assert_eq!(CredentialHash::of(&id).as_str(), random::sha256_hex("one"));
    }
}
