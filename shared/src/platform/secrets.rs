//! Secrets in Secrets Manager.

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

/// Seconds after which a secret is looked for again: so long after a change the old one may be
/// used.
const LIFE: i64 = 300;

/// Seconds between two tries to fetch a known secret once more.
const RETRY_INTERVAL: i64 = 60;

/// A version of a secret.
pub(crate) struct Version {
    pub value: Zeroizing<String>,
    pub created_at: Option<Timestamp>,
}

/// The version of a secret that has that staging label, if there is one. What cannot be read may be
/// readable soon.
pub(crate) async fn version(
    client: &Client,
    secret: &str,
    stage: &str,
) -> Result<Option<Version>, Error> {
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
        Err(error) => Err(Error::Unavailable(AwsError::from(error).into())),
    }
}

/// A secret that an operator keeps, there when it is needed.
#[derive(Clone)]
pub struct Secret(Arc<Source>);

struct Source {
    client: SecretsManager,
    id: String,
    loaded: Mutex<Option<Loaded>>,
}

struct Loaded {
    text: Arc<Zeroizing<String>>,
    /// When it was fetched.
    at: Timestamp,
    /// When it was last tried to fetch it.
    tried_at: Timestamp,
}

impl Secret {
    /// Starts to fetch. Must be called within a tokio runtime. A fetch that fails is tried again
    /// when the secret is needed.
    #[must_use]
    pub fn fetch(client: SecretsManager, id: &str) -> Self {
        let secret = Self(Arc::new(Source {
            client,
            id: id.to_owned(),
            loaded: Mutex::default(),
        }));
        let early = secret.clone();
        spawn_during_init(async move { drop(early.text(clock::now()).await) });
        secret
    }

    /// The secret without white space around it, as soon as it is there. The lock is held while
    /// fetching, so that callers at the same time wait for the same answer. A known secret is used
    /// while Secrets Manager does not answer or has none.
    pub async fn text(&self, now: Timestamp) -> Result<Arc<Zeroizing<String>>, Error> {
        let mut loaded = self.0.loaded.lock().await;
        let Some(known) = loaded.as_mut() else {
            let text = self.0.fetch().await?;
            *loaded = Some(Loaded {
                text: Arc::clone(&text),
                at: now,
                tried_at: now,
            });
            return Ok(text);
        };
        if now >= known.at + LIFE && now >= known.tried_at + RETRY_INTERVAL {
            known.tried_at = now;
            match self.0.fetch().await {
                Ok(text) => {
                    *known = Loaded {
                        text,
                        at: now,
                        tried_at: now,
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a secret could not be fetched again; the known one is used");
                }
            }
        }
        Ok(Arc::clone(&known.text))
    }
}

impl Source {
    async fn fetch(&self) -> Result<Arc<Zeroizing<String>>, Error> {
        let text = version(&self.client, &self.id, "AWSCURRENT")
            .await?
            .map(|version| version.value);
        let text = text.filter(|text| !text.trim().is_empty());
        let text = text
            .ok_or_else(|| Error::internal("a secret that the configuration names has no text"))?;
        Ok(Arc::new(Zeroizing::new(text.trim().to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::secrets_manager::Manager;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn secret(manager: &Manager) -> Secret {
        Secret(Arc::new(Source {
            client: manager.client(),
            id: "Secret".to_owned(),
            loaded: Mutex::default(),
        }))
    }

    async fn text(secret: &Secret, now: Timestamp) -> Option<String> {
        secret.text(now).await.ok().map(|text| text.to_string())
    }

    #[tokio::test]
    async fn a_secret_is_kept_for_five_minutes() {
        let manager = Manager::with(&[" first\n"]);
        let secret = secret(&manager);
        assert_eq!(text(&secret, NOW).await.as_deref(), Some("first"));
        manager.holds(&["second"]);
        assert_eq!(text(&secret, NOW + 299).await.as_deref(), Some("first"));
        assert_eq!(
            (text(&secret, NOW + 300).await.as_deref(), manager.calls()),
            (Some("second"), 2)
        );
    }

    #[tokio::test]
    async fn one_that_is_known_serves_on_while_secrets_manager_does_not_answer() {
        let manager = Manager::default();
        let secret = secret(&manager);
        assert!(matches!(secret.text(NOW).await, Err(Error::Unavailable(_))));
        manager.holds(&["first"]);
        assert_eq!(text(&secret, NOW).await.as_deref(), Some("first"));
        manager.is_down();
        assert_eq!(text(&secret, NOW + 300).await.as_deref(), Some("first"));
        assert_eq!(
            (text(&secret, NOW + 359).await.as_deref(), manager.calls()),
            (Some("first"), 3)
        );
        assert_eq!(
            (text(&secret, NOW + 360).await.as_deref(), manager.calls()),
            (Some("first"), 4)
        );
        manager.holds(&[""]);
        assert_eq!(
            (text(&secret, NOW + 420).await.as_deref(), manager.calls()),
            (Some("first"), 5)
        );
        manager.holds(&["second"]);
        assert_eq!(
            (text(&secret, NOW + 479).await.as_deref(), manager.calls()),
            (Some("first"), 5)
        );
        assert_eq!(text(&secret, NOW + 480).await.as_deref(), Some("second"));
    }

    #[tokio::test]
    async fn a_blank_secret_is_none() {
        let manager = Manager::with(&[" \n"]);
        assert!(matches!(
            secret(&manager).text(NOW).await,
            Err(Error::Internal(_))
        ));
    }
}
