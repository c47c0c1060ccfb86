//! Signs tokens with keys that are published.

use std::sync::Arc;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use tokio::sync::Mutex;

use super::{
    Outcome, Store, failure,
    items::{keyed, number, read},
    keys::published_keys_key,
};
use crate::{
    Error,
    platform::{
        aws::{SecretsManager, spawn_during_init},
        clock::{self, Timestamp},
    },
    tokens::{
        access_token::AccessTokenKeys,
        key_provider::{Derived, KeyProvider},
        published_keys::PublishedKeys,
        signed_token::{Claims, Purpose, SigningKeys},
    },
};

/// Maximum number of attempts to publish, if other instances publish at the same time.
const ATTEMPTS: usize = 5;

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
            .map(|(id, _)| self.keys.signs_from(id));
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

    /// The keys of access tokens.
    ///
    /// # Errors
    /// As [`Signer::verify`].
    pub async fn access_token_keys(&self, now: Timestamp) -> Result<Arc<AccessTokenKeys>, Error> {
        self.keys.access_token_keys(now).await
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
        let published = self.publish_keys_of(derived, now).await?;
        *known = Some(published.clone());
        Ok(published)
    }

    /// Publishes these keys, or those of a newer version of the secret.
    ///
    /// Replaces published keys only if the secret, fetched *after* they were read, is still the
    /// same, and the item has not changed since. So each publication shows a later state of the
    /// secret than the one before, and no instance revives a key that a rotation voided. It also
    /// shows no mixture of two states, because the two versions are fetched twice.
    async fn publish_keys_of(
        &self,
        mut derived: Arc<Derived>,
        now: Timestamp,
    ) -> Result<Published, Error> {
        for _ in 0..ATTEMPTS {
            let before = self.store.published_keys().await?;
            if let Some(keys) = &before
                && keys.are_those_of(&derived.signing_keys)
            {
                let keys = keys.clone();
                return Ok(Published { derived, keys });
            }
            let again = self.keys.fetch_again(now).await?;
            let is_unchanged = again
                .signing_keys
                .public_keys()
                .eq(derived.signing_keys.public_keys());
            derived = again;
            if !is_unchanged {
                continue;
            }
            let keys = PublishedKeys::replacing(before.as_ref(), &derived.signing_keys, now);
            if self
                .store
                .publish_keys(before.as_ref(), &keys)
                .await?
                .is_written()
            {
                return Ok(Published { derived, keys });
            }
        }
        Err(Error::Unavailable(
            "the public keys or the token secret were changed at every attempt to publish".into(),
        ))
    }
}

impl Store {
    /// The published keys; `None` if there are none.
    pub(super) async fn published_keys(&self) -> Result<Option<PublishedKeys>, Error> {
        let request = self
            .client
            .get_item()
            .table_name(&self.users)
            .set_key(Some(published_keys_key()))
            .consistent_read(true);
        let output = request.send().await.map_err(failure)?;
        output.item.map(read).transpose()
    }

    /// Replaces the published keys. Returns [`Outcome::Conflict`], without writing, if they are no
    /// longer `before`.
    pub(super) async fn publish_keys(
        &self,
        before: Option<&PublishedKeys>,
        after: &PublishedKeys,
    ) -> Result<Outcome, Error> {
        let request = self
            .client
            .put_item()
            .table_name(&self.users)
            .set_item(Some(keyed(published_keys_key(), after)?));
        let request = match before {
            None => request.condition_expression("attribute_not_exists(pk)"),
            Some(before) => request
                .condition_expression("revision = :revision")
                .expression_attribute_values(":revision", number(before.revision)),
        };
        match request.send().await {
            Ok(_) => Ok(Outcome::Written),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(Outcome::Conflict),
                _ => Err(failure(error)),
            },
        }
    }
}
