//! Signs tokens with keys that are published.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Store, keys::published_keys_key};
use crate::{
    Error,
    platform::{
        aws::{SecretsManager, spawn_during_init},
        clock::{self, Timestamp},
    },
    tokens::{
        key_provider::{Derived, KeyProvider},
        published_keys::PublishedKeys,
        signed_token::{Claims, Purpose, SigningKeys},
    },
};

/// Signs tokens. Before an instance signs with a version of the token secret, it publishes the
/// public keys of that version and of the previous one.
#[derive(Clone)]
pub struct Signer {
    pub(super) keys: KeyProvider,
    store: Store,
    /// The newest keys of which this instance knows that they are published.
    published: Arc<Mutex<Option<Published>>>,
}

#[derive(Clone)]
struct Published {
    derived: Arc<Derived>,
    keys: PublishedKeys,
}

impl Published {
    /// The keys to sign with: the previous key signs until every verifier knows the current one.
    fn signing_keys(&self, now: Timestamp) -> Result<Arc<SigningKeys>, Error> {
        let current = &self.derived.signing_keys;
        let mut signs_from = current
            .public_keys()
            .filter_map(|(id, _)| self.keys.signs_from(id));
        if let (Some(current_from), Some(previous_from)) = (signs_from.next(), signs_from.next())
            && now < current_from
            && previous_from < current_from
            && let Some(previous) = self.derived.previous_signing_keys()?
        {
            return Ok(previous);
        }
        Ok(Arc::clone(current))
    }
}

impl Signer {
    /// Starts to fetch the secret of this name or ARN, and to publish its public keys. Must be
    /// called within a tokio runtime. What fails is repeated before the first signature.
    #[must_use]
    pub fn start(client: SecretsManager, secret: &str, store: &Store) -> Self {
        let signer = Self::new(KeyProvider::new(client, secret), store.clone());
        let publishing = signer.clone();
        spawn_during_init(async move { drop(publishing.publish(clock::now()).await) });
        signer
    }

    pub(super) fn new(keys: KeyProvider, store: Store) -> Self {
        Self {
            keys,
            store,
            published: Arc::default(),
        }
    }

    /// The keys to sign with, which are published.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no version of the secret is cached and Secrets Manager does not
    /// answer, or if the keys could not be published.
    pub async fn signing_keys(&self, now: Timestamp) -> Result<Arc<SigningKeys>, Error> {
        self.published_keys(now).await?.signing_keys(now)
    }

    /// Publishes the keys of the secret, unless they are published.
    ///
    /// # Errors
    /// As [`Signer::signing_keys`].
    pub async fn publish(&self, now: Timestamp) -> Result<(), Error> {
        self.published_keys(now).await.map(drop)
    }

    /// The keys of the secret, for tokens that only functions with the secret verify.
    #[must_use]
    pub const fn key_provider(&self) -> &KeyProvider {
        &self.keys
    }

    /// The claims of a valid token; see [`KeyProvider::verify`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no version of the secret is cached and Secrets Manager does not
    /// answer.
    pub async fn verify(
        &self,
        purpose: Purpose,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Claims>, Error> {
        self.keys.verify(purpose, token, now).await
    }

    /// Holds the lock while publishing, so that concurrent callers wait for one publication.
    /// Publishes again after each fetch of the secret, which repairs an item that is lost.
    async fn published_keys(&self, now: Timestamp) -> Result<Published, Error> {
        let derived = self.keys.for_signing(now).await?;
        let mut known = self.published.lock().await;
        if let Some(published) = known.as_ref()
            && Arc::ptr_eq(&published.derived, &derived)
        {
            return Ok(published.clone());
        }
        let (derived, keys) = self
            .store
            .publish(
                published_keys_key,
                derived,
                |derived, _| Arc::clone(&derived.signing_keys),
                || self.keys.fetch_again(now),
                now,
            )
            .await?;
        let published = Published { derived, keys };
        *known = Some(published.clone());
        Ok(published)
    }
}
