//! The public keys that functions publish in the Users table: those of session tokens, so that
//! functions that only verify need no access to the token secret; and those of access tokens, so that
//! functions that sign know which keys other services have received.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::{
    platform::clock::Timestamp,
    tokens::signed_token::{SigningKeys, public_key_id},
};

/// Keys that are published before they sign.
pub trait Publishable {
    /// Seconds between the publication of a key and its first signature.
    const LEAD: i64;

    /// The id and the bytes of each public key.
    fn key_set(&self) -> Vec<(&str, &[u8])>;
}

impl<K: Publishable> Publishable for Arc<K> {
    const LEAD: i64 = K::LEAD;

    fn key_set(&self) -> Vec<(&str, &[u8])> {
        self.as_ref().key_set()
    }
}

impl Publishable for SigningKeys {
    /// A verifier caches the keys for a minute; the second minute allows for clocks that differ.
    const LEAD: i64 = 120;

    fn key_set(&self) -> Vec<(&str, &[u8])> {
        self.public_keys().collect()
    }
}

/// The published keys of one kind of tokens. Only session tokens of these keys are accepted: of the
/// current and of the previous version of the token secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedKeys {
    keys: Vec<PublicKey>,
    /// Number of the publication, on which the next one is conditional.
    pub revision: u64,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PublicKey {
    /// Follows from the key, see [`public_key_id`].
    id: String,
    /// The key in base64url.
    bytes: String,
    /// The time from which the key signs, unless it is the only one that verifiers know.
    signs_from: Timestamp,
}

impl PublishedKeys {
    /// Whether the published keys are exactly these, in any order.
    #[must_use]
    pub fn are_those_of(&self, keys: &impl Publishable) -> bool {
        let own = keys.key_set();
        own.len() == self.keys.len()
            && own
                .into_iter()
                .all(|(id, public_key)| self.public_key(id).as_deref() == Some(public_key))
    }

    /// The publication of these keys that replaces `published`. A new key signs after
    /// [`Publishable::LEAD`], if verifiers may have cached a key that signs until then.
    #[must_use]
    pub fn replacing<K: Publishable>(published: Option<&Self>, keys: &K, now: Timestamp) -> Self {
        let known_since = |id: &str| published?.signs_from(id);
        let own = keys.key_set();
        let is_known = own.iter().any(|(id, _)| known_since(id).is_some());
        let first_use = if is_known { now + K::LEAD } else { now };
        let keys = own.into_iter().map(|(id, bytes)| PublicKey {
            id: id.to_owned(),
            bytes: BASE64URL_NOPAD.encode(bytes),
            signs_from: known_since(id).unwrap_or(first_use),
        });
        Self {
            keys: keys.collect(),
            revision: published.map_or(1, |published| published.revision + 1),
        }
    }

    /// The time from which the key with this id signs; `None` if it is not published.
    #[must_use]
    pub fn signs_from(&self, id: &str) -> Option<Timestamp> {
        let key = self.keys.iter().find(|key| key.id == id)?;
        Some(key.signs_from)
    }

    /// The public key with this id; `None` if it is not published, or if the id is not that of the
    /// key.
    #[must_use]
    pub fn public_key(&self, id: &str) -> Option<Vec<u8>> {
        let key = self.keys.iter().find(|key| key.id == id)?;
        let bytes = BASE64URL_NOPAD.decode(key.bytes.as_bytes()).ok()?;
        (public_key_id(&bytes) == id).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn keys(current: &str, previous: Option<&str>) -> SigningKeys {
        SigningKeys::from_secrets(current, previous).expect("keys")
    }

    fn id(secret: &str) -> String {
        let keys = keys(secret, None);
        let (id, _) = keys.public_keys().next().expect("a key");
        id.to_owned()
    }

    #[test]
    fn the_first_keys_sign_at_once() {
        let published = PublishedKeys::replacing(None, &keys("second", Some("first")), NOW);
        assert_eq!(published.revision, 1);
        for secret in ["first", "second"] {
            assert_eq!(published.signs_from(&id(secret)), Some(NOW));
        }
    }

    #[test]
    fn a_new_key_signs_when_no_verifier_has_cached_the_keys_before_it() {
        let first = PublishedKeys::replacing(None, &keys("first", None), NOW);
        let later = NOW + 1000;
        let second = PublishedKeys::replacing(Some(&first), &keys("second", Some("first")), later);
        assert_eq!(second.revision, 2);
        assert_eq!(second.signs_from(&id("first")), Some(NOW));
        assert_eq!(
            second.signs_from(&id("second")),
            Some(later + SigningKeys::LEAD)
        );
    }

    #[test]
    fn a_key_signs_at_once_if_no_published_key_is_still_accepted() {
        let first = PublishedKeys::replacing(None, &keys("first", None), NOW);
        let third =
            PublishedKeys::replacing(Some(&first), &keys("third", Some("second")), NOW + 10);
        assert_eq!(third.signs_from(&id("third")), Some(NOW + 10));
    }

    #[test]
    fn only_the_current_and_the_previous_key_are_published() {
        let first = PublishedKeys::replacing(None, &keys("first", None), NOW);
        let second = PublishedKeys::replacing(Some(&first), &keys("second", Some("first")), NOW);
        let third = PublishedKeys::replacing(Some(&second), &keys("third", Some("second")), NOW);
        assert_eq!(third.public_key(&id("first")), None);
        assert!(third.are_those_of(&keys("third", Some("second"))));
        for other in [
            keys("second", Some("first")),
            keys("third", None),
            keys("third", Some("first")),
        ] {
            assert!(!third.are_those_of(&other));
        }
    }

    #[test]
    fn a_rollback_to_the_previous_version_publishes_nothing_and_voids_the_newer_one_later() {
        let first = PublishedKeys::replacing(None, &keys("first", None), NOW);
        let second = PublishedKeys::replacing(Some(&first), &keys("second", Some("first")), NOW);
        assert!(second.are_those_of(&keys("first", Some("second"))));
        let third = PublishedKeys::replacing(Some(&second), &keys("third", Some("first")), NOW);
        assert_eq!(third.public_key(&id("second")), None);
        assert_eq!(third.signs_from(&id("first")), Some(NOW));
    }

    #[test]
    fn a_stored_key_under_the_id_of_another_is_ignored() {
        let mut published = PublishedKeys::replacing(None, &keys("first", None), NOW);
        let other = PublishedKeys::replacing(None, &keys("other", None), NOW);
        published.keys[0].bytes = other.keys[0].bytes.clone();
        assert_eq!(published.public_key(&id("first")), None);
        assert!(!published.are_those_of(&keys("first", None)));
        published.keys[0].bytes = "no base64url!".to_owned();
        assert_eq!(published.public_key(&id("first")), None);
    }
}
