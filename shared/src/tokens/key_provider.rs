//! The signing keys of the stack, derived from the token secret.

use std::sync::{Arc, OnceLock};

use crate::{
    Error,
    platform::{
        aws::SecretsManager,
        clock::Timestamp,
        secrets::{CachedSecret, Stages, Versions},
    },
    tokens::{
        access_token::{AccessTokenKeys, Secrets},
        signed_token::{Claims, Purpose, SigningKeys, TokenError},
    },
};

/// Maximum age of the token secret, in seconds, where a newer version matters at once: an unknown
/// key id, and the published keys.
const VERIFYING_AGE: i64 = 60;

/// Maximum age of the token secret, in seconds, when signing. Until then an instance signs with a
/// key that holders of the newer version still verify as the previous one, so two rotations must be
/// further apart than this.
const SIGNING_AGE: i64 = 300;

/// The keys, derived from the token secret in Secrets Manager. The secret is fetched during init
/// and refreshed as it ages.
#[derive(Clone)]
pub struct KeyProvider(CachedSecret<Derived>);

/// The keys that are derived from one fetch of the secret.
pub(crate) struct Derived {
    /// The current key signs.
    pub signing_keys: Arc<SigningKeys>,
    secrets: Secrets,
    /// The previous key signs. Derived on first use, which is rare.
    previous_signing_keys: OnceLock<Option<Arc<SigningKeys>>>,
    /// Derived on first use, which most functions never make.
    access_token_keys: OnceLock<Arc<AccessTokenKeys>>,
}

impl Derived {
    /// The same keys, of which the previous one signs; `None` before the first rotation.
    pub fn previous_signing_keys(&self) -> Result<Option<Arc<SigningKeys>>, Error> {
        if let Some(derived) = self.previous_signing_keys.get() {
            return Ok(derived.clone());
        }
        let current = Some(self.secrets.current.as_str());
        let derived = self
            .secrets
            .previous
            .as_ref()
            .map(|previous| SigningKeys::from_secrets(previous, current).map(Arc::new))
            .transpose()
            .map_err(Error::internal)?;
        Ok(self.previous_signing_keys.get_or_init(|| derived).clone())
    }
}

impl KeyProvider {
    /// Starts to fetch the secret of this name or ARN. Must be called within a tokio runtime. A
    /// fetch that fails is repeated when a key is needed.
    #[must_use]
    pub fn fetch(client: SecretsManager, secret: &str) -> Self {
        let keys = Self::new(client, secret);
        keys.0.prefetch();
        keys
    }

    pub(crate) fn new(client: SecretsManager, secret: &str) -> Self {
        Self(CachedSecret::new(
            client,
            secret,
            Stages::CurrentAndPrevious,
            derive,
        ))
    }

    /// The keys to sign with, once they are published.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no version of the secret is cached and Secrets Manager does not
    /// answer.
    pub(crate) async fn for_signing(&self, now: Timestamp) -> Result<Arc<Derived>, Error> {
        self.0.recent(now, SIGNING_AGE).await
    }

    /// The keys to sign with, for tokens that only functions with the secret verify. Keys of other
    /// tokens have to be published first: see [`crate::store::Signer`].
    ///
    /// # Errors
    /// As [`KeyProvider::access_token_keys`].
    pub async fn signing_keys(&self, now: Timestamp) -> Result<Arc<SigningKeys>, Error> {
        Ok(Arc::clone(&self.for_signing(now).await?.signing_keys))
    }

    /// The keys of the secret as it is now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if Secrets Manager does not answer.
    pub(crate) async fn fetch_again(&self, now: Timestamp) -> Result<Arc<Derived>, Error> {
        self.0.fetch_again(now).await
    }

    /// The keys of access tokens.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no version of the secret is cached and Secrets Manager does not
    /// answer.
    pub async fn access_token_keys(&self, now: Timestamp) -> Result<Arc<AccessTokenKeys>, Error> {
        let keys = self.0.recent(now, VERIFYING_AGE).await?;
        if let Some(derived) = keys.access_token_keys.get() {
            return Ok(Arc::clone(derived));
        }
        let derived =
            Arc::new(AccessTokenKeys::from_secrets(&keys.secrets).map_err(Error::internal)?);
        Ok(Arc::clone(keys.access_token_keys.get_or_init(|| derived)))
    }

    /// The claims of a valid token; `None` if the token is invalid. An unknown key id, as after a
    /// rotation, refreshes the secret.
    ///
    /// # Errors
    /// As [`KeyProvider::access_token_keys`].
    pub async fn verify(
        &self,
        purpose: Purpose,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Claims>, Error> {
        let cached = self.0.cached(now).await?;
        let verdict = match cached.signing_keys.verify(purpose, token, now) {
            Err(TokenError::UnknownKey) => {
                let recent = self.0.recent(now, VERIFYING_AGE).await?;
                recent.signing_keys.verify(purpose, token, now)
            }
            verdict => verdict,
        };
        Ok(verdict.ok())
    }
}

fn derive(Versions { current, previous }: Versions) -> Result<Derived, Error> {
    let since = current.created_at;
    let current = current.value;
    let previous = previous.map(|version| version.value);
    let signing_keys =
        SigningKeys::from_secrets(&current, previous.as_ref().map(|value| value.as_str()))
            .map_err(Error::internal)?;
    Ok(Derived {
        signing_keys: Arc::new(signing_keys),
        secrets: Secrets {
            current,
            previous,
            since,
        },
        previous_signing_keys: OnceLock::new(),
        access_token_keys: OnceLock::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        domain::{email_address::AccountKey, token_id::TokenId, user::Uid},
        platform::{clock, secrets_manager::Manager},
    };

    fn keys(manager: &Manager) -> KeyProvider {
        KeyProvider::new(manager.client(), "TokenSecret")
    }

    async fn kids(keys: &KeyProvider, now: Timestamp) -> Vec<Value> {
        let published = json!(keys.access_token_keys(now).await.expect("keys").jwks());
        published["keys"]
            .as_array()
            .expect("keys")
            .iter()
            .map(|key| key["kid"].clone())
            .collect()
    }

    async fn sign(keys: &KeyProvider, now: Timestamp) -> String {
        let claims = Claims::new(
            Purpose::Session,
            TokenId::generate(),
            Uid::generate("ID"),
            AccountKey::of("a@example.com"),
            now,
            now + 86400,
        );
        keys.for_signing(now)
            .await
            .expect("keys")
            .signing_keys
            .sign(&claims)
            .expect("a token")
    }

    async fn is_verified(keys: &KeyProvider, token: &str, now: Timestamp) -> bool {
        keys.verify(Purpose::Session, token, now)
            .await
            .expect("keys")
            .is_some()
    }

    #[tokio::test]
    async fn a_new_secret_is_noticed_within_a_minute() {
        let manager = Manager::with(&["second", "first"]);
        let keys = keys(&manager);
        let start = clock::now();
        let before = kids(&keys, start).await;
        manager.set_versions(&["third", "second"]);
        assert_eq!(
            (kids(&keys, start + 58).await, manager.calls()),
            (before.clone(), 2)
        );
        let after = kids(&keys, start + 62).await;
        assert!(
            after[0] != before[0] && after[1] == before[0],
            "{before:?} {after:?}"
        );
        assert_eq!(manager.calls(), 4);
    }

    #[tokio::test]
    async fn tokens_stay_valid_after_one_rotation_but_not_after_two() {
        let manager = Manager::with(&["first"]);
        let signer = keys(&manager);
        let verifier = keys(&manager);
        let start = clock::now();
        let old = sign(&signer, start).await;
        assert!(is_verified(&verifier, &old, start).await);
        manager.set_versions(&["second", "first"]);
        let new = sign(&keys(&manager), start).await;
        // An instance from before the rotation, and a new one.
        for verifier in [&verifier, &keys(&manager)] {
            assert!(
                is_verified(verifier, &new, start + 62).await
                    && is_verified(verifier, &old, start + 62).await
            );
        }
        manager.set_versions(&["third", "second"]);
        let verifier = keys(&manager);
        assert!(
            is_verified(&verifier, &new, start).await && !is_verified(&verifier, &old, start).await
        );
    }

    #[tokio::test]
    async fn the_signing_secret_is_refreshed_every_five_minutes() {
        let manager = Manager::with(&["first"]);
        let signer = keys(&manager);
        let start = clock::now();
        let first = sign(&signer, start).await;
        manager.set_versions(&["second", "first"]);
        for seconds in [0, 60, 298] {
            assert!(
                is_verified(
                    &keys(&manager),
                    &sign(&signer, start + seconds).await,
                    start
                )
                .await
            );
        }
        let calls = manager.calls();
        manager.set_versions(&["third", "second"]);
        let newest = sign(&signer, start + 302).await;
        assert_eq!(manager.calls(), calls + 2);
        let verifier = keys(&manager);
        assert!(
            is_verified(&verifier, &newest, start + 302).await
                && !is_verified(&verifier, &first, start).await
        );
    }

    #[tokio::test]
    async fn cached_keys_verify_during_an_outage_of_secrets_manager_with_one_request_a_minute() {
        let manager = Manager::default();
        let keys = keys(&manager);
        let start = clock::now();
        assert!(matches!(
            keys.access_token_keys(start).await,
            Err(Error::Unavailable(_))
        ));
        manager.set_versions(&["second", "first"]);
        let before = kids(&keys, start).await;
        manager.stop();
        let calls = manager.calls();
        for seconds in [62, 63, 120] {
            assert_eq!(kids(&keys, start + seconds).await, before);
        }
        assert_eq!(manager.calls(), calls + 2);
        manager.set_versions(&["third", "second"]);
        assert_eq!(kids(&keys, start + 123).await[1], before[0]);
    }

    #[tokio::test]
    async fn cached_keys_sign_during_an_outage_of_secrets_manager_with_one_request_a_minute() {
        let manager = Manager::default();
        let signer = keys(&manager);
        let start = clock::now();
        assert!(matches!(
            signer.for_signing(start).await,
            Err(Error::Unavailable(_))
        ));
        manager.set_versions(&["first"]);
        sign(&signer, start).await;
        manager.stop();
        let calls = manager.calls();
        let tokens = [
            sign(&signer, start + 302).await,
            sign(&signer, start + 361).await,
        ];
        assert_eq!(manager.calls(), calls + 2);
        manager.set_versions(&["first"]);
        for token in &tokens {
            assert!(is_verified(&keys(&manager), token, start + 302).await);
        }
    }

    #[tokio::test]
    async fn forged_key_ids_are_rejected_during_an_outage_with_one_request_a_minute() {
        let manager = Manager::with(&["first"]);
        let verifier = keys(&manager);
        let start = clock::now();
        let genuine = sign(&verifier, start).await;
        let forged = sign(&keys(&Manager::with(&["forger's"])), start).await;
        manager.stop();
        let calls = manager.calls();
        for (after, requests) in [(0, 0), (59, 0), (62, 2), (63, 2), (121, 2), (123, 4)] {
            assert!(
                !is_verified(&verifier, &forged, start + after).await,
                "{after}"
            );
            assert!(
                is_verified(&verifier, &genuine, start + after).await,
                "{after}"
            );
            assert_eq!(manager.calls(), calls + requests, "{after}");
        }
        // A failed refresh does not make the secret recent, so signing refreshes it again.
        manager.set_versions(&["second", "first"]);
        assert!(
            is_verified(
                &keys(&manager),
                &sign(&verifier, start + 302).await,
                start + 302
            )
            .await
        );
        assert_eq!(manager.calls(), calls + 8);
    }

    #[tokio::test]
    async fn access_token_keys_are_derived_on_first_use() {
        let manager = Manager::with(&["second", "first"]);
        let keys = keys(&manager);
        let token = sign(&keys, clock::now()).await;
        assert!(is_verified(&keys, &token, clock::now()).await);
        let is_derived = async || {
            let cached = keys.0.cached(clock::now()).await.expect("cached keys");
            cached.access_token_keys.get().is_some()
        };
        assert!(!is_derived().await);
        kids(&keys, clock::now()).await;
        assert!(is_derived().await);
    }
}
