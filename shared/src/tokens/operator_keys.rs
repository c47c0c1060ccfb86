//! The operator's keys of access tokens, and the rule by which a key that replaces another begins to
//! sign.

use std::sync::Arc;

use crate::{
    Error,
    platform::{clock::Timestamp, secrets::Versions},
    tokens::{
        access_key::{AccessKey, UnusableKey},
        access_token::{AccessTokenKeys, LEAD, LIFE},
        published_keys::PublishedKeys,
    },
};

/// The keys of one fetch of the operator's secret.
pub struct OperatorKeys {
    current: Arc<AccessKey>,
    previous: Option<Arc<AccessKey>>,
    /// Whether the age of the current version is known. Secrets Manager reports it; a development
    /// stack does not, so that its key signs at once.
    has_age: bool,
}

impl OperatorKeys {
    /// Reads the versions of the secret. A previous version that holds no usable key is ignored, so
    /// that the operator can replace it.
    ///
    /// # Errors
    /// [`Error::Internal`] if the current version holds no usable key.
    pub(crate) fn parse(Versions { current, previous }: Versions) -> Result<Self, Error> {
        let has_age = current.created_at.is_some();
        let current = AccessKey::from_pem(&current.value).map_err(unusable)?;
        let previous = previous.and_then(|version| AccessKey::from_pem(&version.value).ok());
        let previous = previous.filter(|previous| previous.id() != current.id());
        Ok(Self {
            current: Arc::new(current),
            previous: previous.map(Arc::new),
            has_age,
        })
    }

    /// The keys in force, given those that other services have received.
    ///
    /// A key that was not published does not sign while there is another that was: the operator's
    /// previous key, or the stack's derived keys. The latter are in force only until no token of
    /// theirs is valid any more.
    #[must_use]
    pub fn in_force(
        &self,
        derived: &AccessTokenKeys,
        published: Option<&PublishedKeys>,
        now: Timestamp,
    ) -> AccessTokenKeys {
        let since = |key: &AccessKey| published?.signs_from(key.id());
        let current_since = since(&self.current);
        let is_over = current_since.is_some_and(|since| now >= since + LIFE + LEAD);
        let derived = derived.all().filter(|key| !is_over && since(key).is_some());
        let mut others: Vec<Arc<AccessKey>> =
            self.previous.iter().chain(derived).cloned().collect();
        // Those that sign first. `false` comes before `true`.
        others.sort_by_key(|key| (since(key).is_none(), since(key)));
        let is_replacement = others.first().is_some_and(|key| since(key).is_some());
        let current_from = if self.has_age && is_replacement {
            Some(current_since.unwrap_or(Timestamp::MAX))
        } else {
            None
        };
        AccessTokenKeys::new(Arc::clone(&self.current), others, current_from)
    }
}

fn unusable(reason: UnusableKey) -> Error {
    Error::internal(format!(
        "IDENTITY_ACCESS_TOKEN_KEY_ARN: the current version of the secret cannot be used: {reason}"
    ))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::Ed25519KeyPair;
    use data_encoding::BASE64;
    use zeroize::Zeroizing;

    use super::*;
    use crate::{
        platform::secrets::Version,
        tokens::{access_token::Secrets, published_keys::Publishable},
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const TWO_HOURS: i64 = <AccessTokenKeys as Publishable>::LEAD;

    /// The private key of a name.
    fn pem(name: u8) -> String {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[name; 32]).expect("a key");
        let der = pair.to_pkcs8v1().expect("PKCS#8");
        let content = BASE64.encode(der.as_ref());
        format!("-----BEGIN PRIVATE KEY-----\n{content}\n-----END PRIVATE KEY-----\n")
    }

    fn id(name: u8) -> String {
        let key = AccessKey::from_pem(&pem(name)).expect("a key");
        key.id().to_owned()
    }

    fn version(text: String) -> Version {
        Version {
            value: Zeroizing::new(text),
            created_at: Some(NOW),
        }
    }

    fn operator(current: u8, previous: Option<u8>) -> OperatorKeys {
        let versions = Versions {
            current: version(pem(current)),
            previous: previous.map(|name| version(pem(name))),
        };
        OperatorKeys::parse(versions).expect("keys")
    }

    fn derived() -> AccessTokenKeys {
        let secrets = Secrets {
            current: Zeroizing::new("secret".to_owned()),
            previous: None,
            since: None,
        };
        AccessTokenKeys::from_secrets(&secrets).expect("keys")
    }

    fn derived_id() -> String {
        ids(&derived())[0].clone()
    }

    fn ids(keys: &AccessTokenKeys) -> Vec<String> {
        keys.all().map(|key| key.id().to_owned()).collect()
    }

    fn signer(keys: &OperatorKeys, published: Option<&PublishedKeys>, now: Timestamp) -> String {
        let keys = keys.in_force(&derived(), published, now);
        keys.signer(now).id().to_owned()
    }

    fn publish(
        keys: &OperatorKeys,
        published: Option<&PublishedKeys>,
        now: Timestamp,
    ) -> PublishedKeys {
        let keys = keys.in_force(&derived(), published, now);
        PublishedKeys::replacing(published, &keys, now)
    }

    #[test]
    fn the_first_key_of_a_stack_signs_at_once() {
        for keys in [operator(1, None), operator(1, Some(2))] {
            assert_eq!(signer(&keys, None, NOW), id(1));
            let published = publish(&keys, None, NOW);
            assert_eq!(signer(&keys, Some(&published), NOW), id(1));
        }
    }

    #[test]
    fn a_key_that_replaces_another_signs_two_hours_after_its_publication() {
        let before = publish(&operator(1, None), None, NOW + -10_000);
        let keys = operator(2, Some(1));
        // Not published, however old the version of the secret is.
        assert_eq!(signer(&keys, Some(&before), NOW + 100_000), id(1));
        let after = publish(&keys, Some(&before), NOW);
        assert_eq!(
            ids(&keys.in_force(&derived(), Some(&after), NOW)),
            [id(2), id(1)]
        );
        for (seconds, expected) in [(0, 1), (7200, 1), (TWO_HOURS - 1, 1), (TWO_HOURS, 2)] {
            assert_eq!(
                signer(&keys, Some(&after), NOW + seconds),
                id(expected),
                "{seconds}"
            );
        }
    }

    #[test]
    fn a_key_that_replaces_the_derived_key_signs_two_hours_after_its_publication() {
        let before = PublishedKeys::replacing(None, &derived(), NOW + -10_000);
        let keys = operator(1, None);
        assert_eq!(signer(&keys, Some(&before), NOW), derived_id());
        let after = publish(&keys, Some(&before), NOW);
        assert_eq!(signer(&keys, Some(&after), NOW + 7200), derived_id());
        assert_eq!(signer(&keys, Some(&after), NOW + TWO_HOURS), id(1));
        // The derived key is published until its last token has expired.
        let published = |now| ids(&keys.in_force(&derived(), Some(&after), now));
        let end = NOW + TWO_HOURS + LIFE + LEAD;
        assert_eq!(published(end + -1), [id(1), derived_id()]);
        assert_eq!(published(end), [id(1)]);
    }

    #[test]
    fn a_rollback_takes_effect_at_once() {
        let before = publish(&operator(1, None), None, NOW);
        let after = publish(&operator(2, Some(1)), Some(&before), NOW);
        assert_eq!(signer(&operator(1, Some(2)), Some(&after), NOW), id(1));
    }

    #[test]
    fn a_key_signs_at_once_if_no_published_key_is_left() {
        let before = publish(&operator(1, None), None, NOW);
        // Two versions within two hours: as after the disclosure of the first key.
        assert_eq!(signer(&operator(3, Some(2)), Some(&before), NOW), id(3));
        let after = publish(&operator(3, Some(2)), Some(&before), NOW);
        assert_eq!(signer(&operator(3, Some(2)), Some(&after), NOW), id(3));
        // Of the derived keys, none was published.
        assert_eq!(signer(&operator(3, None), Some(&before), NOW), id(3));
    }

    #[test]
    fn the_key_that_was_published_first_signs_until_then() {
        let first = publish(&operator(1, None), None, NOW);
        let second = publish(&operator(2, Some(1)), Some(&first), NOW);
        let keys = operator(3, Some(2));
        let third = publish(&keys, Some(&second), NOW + 60);
        assert_eq!(signer(&keys, Some(&third), NOW + 60), id(2));
        assert_eq!(signer(&keys, Some(&third), NOW + 60 + TWO_HOURS), id(3));
    }

    #[test]
    fn a_key_of_unknown_age_signs_at_once() {
        let before = PublishedKeys::replacing(None, &derived(), NOW);
        let versions = Versions {
            current: Version {
                value: Zeroizing::new(pem(1)),
                created_at: None,
            },
            previous: None,
        };
        let keys = OperatorKeys::parse(versions).expect("keys");
        assert_eq!(signer(&keys, Some(&before), NOW), id(1));
    }

    #[test]
    fn an_unusable_previous_version_is_ignored_and_an_unusable_current_one_is_an_error() {
        let versions = |current: String, previous: String| Versions {
            current: version(current),
            previous: Some(version(previous)),
        };
        let keys = OperatorKeys::parse(versions(pem(1), "no key".to_owned())).expect("keys");
        assert!(keys.current.id() == id(1) && keys.previous.is_none());
        // The same key twice is one key.
        let keys = OperatorKeys::parse(versions(pem(1), pem(1))).expect("keys");
        assert!(keys.current.id() == id(1) && keys.previous.is_none());
        let error = OperatorKeys::parse(versions("a secret".to_owned(), pem(1))).err();
        let text = format!("{:?}", error.expect("an error"));
        assert!(
            text.contains("IDENTITY_ACCESS_TOKEN_KEY_ARN: ") && !text.contains("a secret"),
            "{text}"
        );
    }
}
