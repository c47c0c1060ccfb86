//! The keys that sign access tokens: the operator's, or those that are derived from the token
//! secret.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Store, keys::access_keys_key};
use crate::{
    BoxError, Error,
    platform::{
        aws::SecretsManager,
        clock::{self, Timestamp},
        secrets::{CachedSecret, Stages},
    },
    tokens::{
        access_token::AccessTokenKeys, key_provider::KeyProvider, operator_keys::OperatorKeys,
        published_keys::PublishedKeys,
    },
};

/// Maximum age of the operator's secret, in seconds.
const AGE: i64 = 60;

/// The keys of access tokens.
#[derive(Clone)]
pub struct AccessKeys {
    derived: KeyProvider,
    operator: Option<CachedSecret<OperatorKeys>>,
    pub(super) store: Store,
    /// The newest keys for which this instance has read the published ones, or published them.
    known: Arc<Mutex<Option<Known>>>,
}

/// The keys of one fetch of the secrets.
struct Fetched {
    operator: Option<Arc<OperatorKeys>>,
    derived: Arc<AccessTokenKeys>,
}

#[derive(Clone)]
struct Known {
    fetched: Arc<Fetched>,
    published: Option<PublishedKeys>,
}

impl Fetched {
    fn is_of_the_same_fetch(&self, other: &Self) -> bool {
        let operators = match (&self.operator, &other.operator) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (None, None) => true,
            _ => false,
        };
        operators && Arc::ptr_eq(&self.derived, &other.derived)
    }

    fn in_force(&self, published: Option<&PublishedKeys>, now: Timestamp) -> AccessTokenKeys {
        match &self.operator {
            Some(operator) => operator.in_force(&self.derived, published, now),
            None => self.derived.as_ref().clone(),
        }
    }
}

impl Known {
    fn in_force(&self, now: Timestamp) -> AccessTokenKeys {
        self.fetched.in_force(self.published.as_ref(), now)
    }
}

impl AccessKeys {
    /// Fetches the operator's secret of this name or ARN, if there is one. Must be called within a
    /// tokio runtime. A fetch that fails is repeated when a key is needed.
    ///
    /// # Errors
    /// An error that names the variable of the operator's secret if it holds no usable key.
    pub async fn start(
        client: SecretsManager,
        operator: Option<&str>,
        derived: KeyProvider,
        store: &Store,
    ) -> Result<Self, BoxError> {
        let operator = operator.map(|secret| {
            CachedSecret::new(
                client,
                secret,
                Stages::CurrentAndPrevious,
                OperatorKeys::parse,
            )
        });
        if let Some(secret) = &operator
            && let Err(Error::Internal(cause)) = secret.cached(clock::now()).await
        {
            return Err(cause);
        }
        Ok(Self {
            derived,
            operator,
            store: store.clone(),
            known: Arc::default(),
        })
    }

    /// The keys, to sign. Reads the published keys after each fetch of the operator's secret: a key
    /// that was not published by then does not replace one that was.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if nothing is cached and Secrets Manager or the database does not
    /// respond; [`Error::Internal`] if the operator's secret holds no usable key.
    pub async fn signing(&self, now: Timestamp) -> Result<AccessTokenKeys, Error> {
        let fetched = self.fetched(now).await?;
        if fetched.operator.is_none() {
            return Ok(fetched.in_force(None, now));
        }
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref()
            && known.fetched.is_of_the_same_fetch(&fetched)
        {
            return Ok(known.in_force(now));
        }
        let published = match (self.store.published(access_keys_key).await, known.as_ref()) {
            (Ok(published), _) => published,
            (Err(error), Some(known)) => {
                tracing::warn!(%error, "the published keys of access tokens could not be read; the cached keys are used");
                return Ok(known.in_force(now));
            }
            (Err(error), None) => return Err(error),
        };
        let read = Known {
            fetched: Arc::new(fetched),
            published,
        };
        Ok(known.insert(read).in_force(now))
    }

    /// The keys, to publish them. Records that they are published; a failure to do so does not
    /// affect the result, and the next call after a fetch of the secrets repeats it.
    ///
    /// # Errors
    /// As [`AccessKeys::signing`], the database apart.
    pub async fn published(&self, now: Timestamp) -> Result<AccessTokenKeys, Error> {
        let fetched = self.fetched(now).await?;
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref()
            && known.fetched.is_of_the_same_fetch(&fetched)
        {
            return Ok(known.in_force(now));
        }
        let fetched = Arc::new(fetched);
        let recorded = self
            .store
            .publish(
                access_keys_key,
                Arc::clone(&fetched),
                |fetched, published| fetched.in_force(published, now),
                || self.fetch_again(now),
                now,
            )
            .await;
        match recorded {
            Ok((fetched, published)) => Ok(known
                .insert(Known {
                    fetched,
                    published: Some(published),
                })
                .in_force(now)),
            Err(error) => {
                tracing::warn!(%error, "the publication of the keys of access tokens could not be recorded");
                let published = known.as_ref().and_then(|known| known.published.as_ref());
                Ok(fetched.in_force(published, now))
            }
        }
    }

    async fn fetched(&self, now: Timestamp) -> Result<Fetched, Error> {
        let operator = async {
            match &self.operator {
                Some(secret) => secret.recent(now, AGE).await.map(Some),
                None => Ok(None),
            }
        };
        let (operator, derived) = tokio::try_join!(operator, self.derived.access_token_keys(now))?;
        Ok(Fetched { operator, derived })
    }

    async fn fetch_again(&self, now: Timestamp) -> Result<Arc<Fetched>, Error> {
        let operator = async {
            match &self.operator {
                Some(secret) => secret.fetch_again(now).await.map(Some),
                None => Ok(None),
            }
        };
        let (operator, _) = tokio::try_join!(operator, self.derived.fetch_again(now))?;
        let derived = self.derived.access_token_keys(now).await?;
        Ok(Arc::new(Fetched { operator, derived }))
    }
}
