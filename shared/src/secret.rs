//! Secrets that an operator keeps in Secrets Manager.

use std::sync::Arc;

use aws_sdk_secretsmanager::{
    Client,
    error::{DisplayErrorContext, SdkError},
    operation::get_secret_value::GetSecretValueError,
};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::{BoxError, Error, clock, clock::Timestamp};

/// Seconds after which a secret is looked for again: so long after a change the old one may be used.
const LIFE: i64 = 300;

/// A version of a secret.
pub(crate) struct Version {
    pub value: Zeroizing<String>,
    pub created_at: Option<Timestamp>,
}

/// The version of a secret that has that staging label, if there is one. What cannot be read may be readable soon.
pub(crate) async fn version(client: &Client, secret: &str, stage: &str) -> Result<Option<Version>, Error> {
    match client.get_secret_value().secret_id(secret).version_stage(stage).send().await {
        Ok(output) => {
            let created_at = output.created_date.map(|date| Timestamp::from_seconds(date.secs()));
            Ok(output.secret_string.map(|value| Version { value: Zeroizing::new(value), created_at }))
        }
        Err(SdkError::ServiceError(error)) if matches!(error.err(), GetSecretValueError::ResourceNotFoundException(_)) => {
            Ok(None)
        }
        Err(error) => Err(Error::Unavailable(BoxError::from(DisplayErrorContext(error).to_string()))),
    }
}

/// A text that is there when it is needed.
#[derive(Clone)]
pub struct Secret(Arc<Source>);

struct Source {
    client: Client,
    id: String,
    loaded: Mutex<Option<Loaded>>,
}

struct Loaded {
    text: Arc<Zeroizing<String>>,
    at: Timestamp,
}

impl Secret {
    /// Starts to fetch. Must be called within a tokio runtime. A fetch that fails is tried again when the secret is needed.
    #[must_use]
    pub fn fetch(client: Client, id: &str) -> Self {
        let secret = Self(Arc::new(Source { client, id: id.to_owned(), loaded: Mutex::default() }));
        let early = secret.clone();
        tokio::spawn(async move { drop(early.text().await) });
        secret
    }

    /// The secret without white space around it, as soon as it is there. The lock is held while fetching, so whoever asks
    /// meanwhile waits for the same answer. One that was there once stays in use where it cannot be read anew.
    pub async fn text(&self) -> Result<Arc<Zeroizing<String>>, Error> {
        let mut loaded = self.0.loaded.lock().await;
        let now = clock::now();
        if let Some(loaded) = loaded.as_ref().filter(|loaded| now < loaded.at + LIFE) {
            return Ok(Arc::clone(&loaded.text));
        }
        let text = match (version(&self.0.client, &self.0.id, "AWSCURRENT").await, loaded.as_ref()) {
            (Ok(Some(Version { value, .. })), _) if !value.trim().is_empty() => Arc::new(Zeroizing::new(value.trim().to_owned())),
            (Ok(_), _) => return Err(Error::internal("a secret that the configuration names has no text")),
            (Err(error), Some(before)) => {
                tracing::warn!(cause = %error, "a secret could not be read anew");
                Arc::clone(&before.text)
            }
            (Err(error), None) => return Err(error),
        };
        *loaded = Some(Loaded { text: Arc::clone(&text), at: now });
        Ok(text)
    }
}
