//! The stack's keys, fetched from Secrets Manager while the function has other things to do.

use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use tokio::sync::Mutex;

use crate::{
    Error, clock,
    clock::Timestamp,
    secret,
    token::{Claims, Keyring, Purpose, TokenError},
};

/// Seconds between two looks for a newer secret, so that forged key ids cost next to nothing.
const REFRESH_INTERVAL: i64 = 60;

/// Keys that are there when they are needed.
#[derive(Clone)]
pub struct Keys(Arc<Source>);

struct Source {
    client: Client,
    secret: String,
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Clone)]
struct Loaded {
    keyring: Arc<Keyring>,
    at: Timestamp,
}

impl Keys {
    /// Starts to fetch. Must be called within a tokio runtime. A fetch that fails is tried again when a key is needed.
    #[must_use]
    pub fn fetch(client: Client, secret: &str) -> Self {
        let keys = Self(Arc::new(Source { client, secret: secret.to_owned(), loaded: Mutex::default() }));
        let early = keys.clone();
        tokio::spawn(async move { drop(early.keyring().await) });
        keys
    }

    /// The keys, as soon as they are there.
    pub async fn keyring(&self) -> Result<Arc<Keyring>, Error> {
        self.load(|_| false).await
    }

    /// The claims of a genuine token; `None` when it is refused. A token by a key that is not known yet, as there is after a
    /// rotation, makes it look for a newer secret.
    pub async fn verify(&self, purpose: Purpose, token: &str, now: Timestamp) -> Result<Option<Claims>, Error> {
        let verdict = self.keyring().await?.verify(purpose, token, now);
        let verdict = match verdict {
            Err(TokenError::UnknownKey) => {
                self.load(|loaded| now >= loaded.at + REFRESH_INTERVAL).await?.verify(purpose, token, now)
            }
            verdict => verdict,
        };
        Ok(verdict.ok())
    }

    /// The lock is held while fetching, so whoever asks meanwhile waits for the same answer.
    async fn load(&self, is_stale: impl Fn(&Loaded) -> bool) -> Result<Arc<Keyring>, Error> {
        let mut loaded = self.0.loaded.lock().await;
        if let Some(loaded) = loaded.as_ref().filter(|loaded| !is_stale(loaded)) {
            return Ok(Arc::clone(&loaded.keyring));
        }
        let (current, previous) = tokio::join!(self.0.version("AWSCURRENT"), self.0.version("AWSPREVIOUS"));
        let current = current?.ok_or_else(|| Error::internal("the token secret has no current version"))?;
        let keyring = Arc::new(Keyring::from_secrets(&current, previous?.as_deref()).map_err(Error::internal)?);
        *loaded = Some(Loaded { keyring: Arc::clone(&keyring), at: clock::now() });
        Ok(keyring)
    }
}

impl Source {
    /// The secret's version of that stage, if there is one.
    async fn version(&self, stage: &str) -> Result<Option<String>, Error> {
        secret::version(&self.client, &self.secret, stage).await
    }
}
