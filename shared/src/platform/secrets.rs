//! Secrets in Secrets Manager, cached for the life of an instance.

use std::sync::Arc;

use aws_sdk_secretsmanager::{Client, operation::get_secret_value::GetSecretValueError};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::{
    Error,
    platform::{
        aws::{SecretsManager, spawn_during_init},
        aws_error::AwsError,
        clock::{self, Timestamp},
    },
};

/// Minimum time between two attempts to refresh a cached secret, in seconds. It limits the calls
/// while Secrets Manager does not respond, and while tokens with forged key ids cause refreshes.
const REFRESH_INTERVAL: i64 = 60;

/// A version of a secret.
pub(crate) struct Version {
    pub value: Zeroizing<String>,
    pub created_at: Option<Timestamp>,
}

/// The versions of a secret that were fetched.
pub(crate) struct Versions {
    pub current: Version,
    /// The version before the current one, if there is one and it was requested.
    pub previous: Option<Version>,
}

/// The versions to fetch.
#[derive(Clone, Copy)]
pub(crate) enum Stages {
    Current,
    CurrentAndPrevious,
}

/// A secret, parsed to `T` once for each version that is fetched.
pub(crate) struct CachedSecret<T>(Arc<Cache<T>>);

struct Cache<T> {
    client: SecretsManager,
    /// Name or ARN.
    id: String,
    stages: Stages,
    parse: fn(Versions) -> Result<T, Error>,
    loaded: Mutex<Option<Loaded<T>>>,
}

struct Loaded<T> {
    value: Arc<T>,
    fetched_at: Timestamp,
    /// The time of the last attempt to refresh it; `None` if there was none since the first fetch.
    tried_at: Option<Timestamp>,
}

impl<T> Clone for CachedSecret<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync + 'static> CachedSecret<T> {
    pub(crate) fn new(
        client: SecretsManager,
        id: &str,
        stages: Stages,
        parse: fn(Versions) -> Result<T, Error>,
    ) -> Self {
        Self(Arc::new(Cache {
            client,
            id: id.to_owned(),
            stages,
            parse,
            loaded: Mutex::default(),
        }))
    }

    /// Fetches the secret in the background during the init phase. Must be called within a tokio
    /// runtime. A fetch that fails is repeated when the secret is needed.
    pub(crate) fn prefetch(&self) {
        let secret = self.clone();
        spawn_during_init(async move { drop(secret.cached(clock::now()).await) });
    }

    /// The cached secret, of any age; fetches it if none is cached.
    pub(crate) async fn cached(&self, now: Timestamp) -> Result<Arc<T>, Error> {
        self.0.get(now, None).await
    }

    /// The secret, at most `max_age` seconds old, or the newest one if it is 0; but it is refreshed
    /// at most once a minute. While Secrets Manager does not respond, or has no usable version,
    /// returns the cached secret.
    pub(crate) async fn recent(&self, now: Timestamp, max_age: i64) -> Result<Arc<T>, Error> {
        self.0.get(now, Some(max_age)).await
    }

    /// Fetches the secret, however recent the cached one is.
    pub(crate) async fn fetch_again(&self, now: Timestamp) -> Result<Arc<T>, Error> {
        let mut loaded = self.0.loaded.lock().await;
        let value = Arc::new(Box::pin(self.0.fetch()).await?);
        *loaded = Some(Loaded {
            value: Arc::clone(&value),
            fetched_at: now,
            tried_at: Some(now),
        });
        Ok(value)
    }
}

impl<T> Cache<T> {
    /// Holds the lock while fetching, so that concurrent callers wait for one response.
    async fn get(&self, now: Timestamp, max_age: Option<i64>) -> Result<Arc<T>, Error> {
        let mut loaded = self.loaded.lock().await;
        let Some(known) = loaded.as_mut() else {
            let value = Arc::new(Box::pin(self.fetch()).await?);
            *loaded = Some(Loaded {
                value: Arc::clone(&value),
                fetched_at: now,
                tried_at: None,
            });
            return Ok(value);
        };
        let is_stale = max_age.is_some_and(|age| now >= known.fetched_at + age);
        let may_refresh = known
            .tried_at
            .is_none_or(|tried_at| now >= tried_at + REFRESH_INTERVAL);
        if is_stale && may_refresh {
            known.tried_at = Some(now);
            match Box::pin(self.fetch()).await {
                Ok(value) => {
                    known.value = Arc::new(value);
                    known.fetched_at = now;
                }
                Err(error) => {
                    tracing::warn!(secret = self.id, %error, "a secret could not be refreshed; the cached version is used");
                }
            }
        }
        Ok(Arc::clone(&known.value))
    }

    /// Callers box the future, which is large, because most requests do not fetch.
    async fn fetch(&self) -> Result<T, Error> {
        let version = |stage| version(&self.client, &self.id, stage);
        let (current, previous) = match self.stages {
            Stages::Current => (version("AWSCURRENT").await?, None),
            Stages::CurrentAndPrevious => {
                let (current, previous) =
                    tokio::join!(version("AWSCURRENT"), version("AWSPREVIOUS"));
                (current?, previous?)
            }
        };
        let current = current
            .filter(|version| !version.value.trim().is_empty())
            .ok_or_else(|| Error::internal(format!("the secret {} has no text value", self.id)))?;
        (self.parse)(Versions { current, previous })
    }
}

/// The version of a secret with a staging label; `None` if the secret or the version does not
/// exist.
async fn version(client: &Client, secret: &str, stage: &str) -> Result<Option<Version>, Error> {
    match client
        .get_secret_value()
        .secret_id(secret)
        .version_stage(stage)
        .send()
        .await
    {
        Ok(output) => {
            let created_at = output
                .created_date
                .map(|date| Timestamp::from_seconds(date.secs()));
            Ok(output.secret_string.map(|value| Version {
                value: Zeroizing::new(value),
                created_at,
            }))
        }
        Err(error)
            if matches!(
                error.as_service_error(),
                Some(GetSecretValueError::ResourceNotFoundException(_))
            ) =>
        {
            Ok(None)
        }
        // Any other failure may be temporary.
        Err(error) => Err(Error::Unavailable(AwsError::from(error).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::secrets_manager::Manager;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn secret(manager: &Manager) -> CachedSecret<String> {
        CachedSecret::new(manager.client(), "Secret", Stages::Current, |versions| {
            Ok(versions.current.value.to_string())
        })
    }

    async fn recent(secret: &CachedSecret<String>, now: Timestamp) -> Result<Arc<String>, Error> {
        secret.recent(now, 300).await
    }

    async fn text(secret: &CachedSecret<String>, now: Timestamp) -> Option<String> {
        recent(secret, now).await.ok().map(|text| text.to_string())
    }

    #[tokio::test]
    async fn a_secret_is_cached_for_its_maximum_age() {
        let manager = Manager::with(&["first"]);
        let secret = secret(&manager);
        assert_eq!(text(&secret, NOW).await.as_deref(), Some("first"));
        manager.set_versions(&["second"]);
        assert_eq!(text(&secret, NOW + 299).await.as_deref(), Some("first"));
        assert_eq!(
            (text(&secret, NOW + 300).await.as_deref(), manager.calls()),
            (Some("second"), 2)
        );
    }

    #[tokio::test]
    async fn the_cached_secret_is_used_while_secrets_manager_does_not_respond() {
        let manager = Manager::default();
        let secret = secret(&manager);
        assert!(matches!(
            recent(&secret, NOW).await,
            Err(Error::Unavailable(_))
        ));
        manager.set_versions(&["first"]);
        assert_eq!(text(&secret, NOW).await.as_deref(), Some("first"));
        manager.stop();
        assert_eq!(text(&secret, NOW + 300).await.as_deref(), Some("first"));
        assert_eq!(
            (text(&secret, NOW + 359).await.as_deref(), manager.calls()),
            (Some("first"), 3)
        );
        assert_eq!(
            (text(&secret, NOW + 360).await.as_deref(), manager.calls()),
            (Some("first"), 4)
        );
        manager.set_versions(&[""]);
        assert_eq!(
            (text(&secret, NOW + 420).await.as_deref(), manager.calls()),
            (Some("first"), 5)
        );
        manager.set_versions(&["second"]);
        assert_eq!(
            (text(&secret, NOW + 479).await.as_deref(), manager.calls()),
            (Some("first"), 5)
        );
        assert_eq!(text(&secret, NOW + 480).await.as_deref(), Some("second"));
    }

    #[tokio::test]
    async fn fetching_again_ignores_the_age_of_the_cached_secret() {
        let manager = Manager::with(&["first"]);
        let secret = secret(&manager);
        assert_eq!(text(&secret, NOW).await.as_deref(), Some("first"));
        manager.set_versions(&["second"]);
        let again = secret.fetch_again(NOW).await.expect("a secret");
        assert_eq!(again.as_str(), "second");
        assert_eq!(text(&secret, NOW).await.as_deref(), Some("second"));
        manager.stop();
        assert!(matches!(
            secret.fetch_again(NOW).await,
            Err(Error::Unavailable(_))
        ));
        assert_eq!(text(&secret, NOW).await.as_deref(), Some("second"));
    }

    #[tokio::test]
    async fn a_blank_secret_is_an_error() {
        let manager = Manager::with(&[" \n"]);
        assert!(matches!(
            recent(&secret(&manager), NOW).await,
            Err(Error::Internal(_))
        ));
    }
}
