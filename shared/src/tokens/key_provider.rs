//! The stack's keys, fetched from Secrets Manager while the function has other things to do.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::{
    Error,
    platform::{
        aws::{SecretsManager, spawn_during_init},
        clock::{self, Timestamp},
        secrets,
    },
    tokens::{
        access_token::{AccessTokenKeys, Secrets},
        signed_token::{Claims, Purpose, SigningKeys, TokenError},
    },
};

/// Seconds between two looks for a newer secret, so that forged key ids cost next to nothing.
const REFRESH_INTERVAL: i64 = 60;

/// Seconds after which whoever signs looks for a newer secret. Until then a key signs that the
/// newer secret's holders verify as the one before; so two rotations have to be further apart.
const SIGNING_INTERVAL: i64 = 300;

/// Keys that are there when they are needed.
#[derive(Clone)]
pub struct KeyProvider(Arc<Source>);

struct Source {
    client: SecretsManager,
    secret: String,
    loaded: Mutex<Option<Loaded>>,
}

struct Loaded {
    signing_keys: Arc<SigningKeys>,
    secrets: Secrets,
    /// Derived when it is first asked for, which most functions never do.
    access: Option<Arc<AccessTokenKeys>>,
    /// When it was fetched.
    at: Timestamp,
    /// When it was last tried to fetch it.
    tried_at: Timestamp,
}

impl KeyProvider {
    /// Starts to fetch. Must be called within a tokio runtime. A fetch that fails is tried again
    /// when a key is needed.
    #[must_use]
    pub fn fetch(client: SecretsManager, secret: &str) -> Self {
        let keys = Self(Arc::new(Source {
            client,
            secret: secret.to_owned(),
            loaded: Mutex::default(),
        }));
        let early = keys.clone();
        spawn_during_init(
            async move { drop(early.0.load(&mut *early.0.loaded.lock().await).await) },
        );
        keys
    }

    /// The keys to sign with, of a secret that was looked at within the last five minutes.
    pub async fn signing_keys(&self, now: Timestamp) -> Result<Arc<SigningKeys>, Error> {
        let mut loaded = self.0.loaded.lock().await;
        Ok(Arc::clone(
            &self
                .0
                .recent(&mut loaded, now, SIGNING_INTERVAL)
                .await?
                .signing_keys,
        ))
    }

    /// The keys of access tokens, of a secret that was looked at within the last minute.
    pub async fn access_token_keys(&self, now: Timestamp) -> Result<Arc<AccessTokenKeys>, Error> {
        let mut loaded = self.0.loaded.lock().await;
        let loaded = self.0.recent(&mut loaded, now, REFRESH_INTERVAL).await?;
        if let Some(access) = &loaded.access {
            return Ok(Arc::clone(access));
        }
        let access =
            Arc::new(AccessTokenKeys::from_secrets(&loaded.secrets).map_err(Error::internal)?);
        loaded.access = Some(Arc::clone(&access));
        Ok(access)
    }

    /// The claims of a genuine token; `None` when it is refused. A token by a key that is not known
    /// yet, as there is after a rotation, makes it look for a newer secret.
    pub async fn verify(
        &self,
        purpose: Purpose,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Claims>, Error> {
        let mut loaded = self.0.loaded.lock().await;
        let verdict = match self
            .0
            .load(&mut loaded)
            .await?
            .signing_keys
            .verify(purpose, token, now)
        {
            Err(TokenError::UnknownKey) => self
                .0
                .recent(&mut loaded, now, REFRESH_INTERVAL)
                .await?
                .signing_keys
                .verify(purpose, token, now),
            verdict => verdict,
        };
        Ok(verdict.ok())
    }
}

impl Source {
    /// What is loaded, or else is now. The lock is held while fetching, so that callers at the same
    /// time wait for the same answer.
    async fn load<'a>(&self, loaded: &'a mut Option<Loaded>) -> Result<&'a mut Loaded, Error> {
        if loaded.is_none() {
            *loaded = Some(self.fetch().await?);
        }
        loaded
            .as_mut()
            .ok_or_else(|| Error::internal("what was loaded is gone"))
    }

    /// What is loaded, fetched once more if it is older than `age` seconds and the last try was a
    /// minute ago. Known keys are used while Secrets Manager does not answer.
    async fn recent<'a>(
        &self,
        loaded: &'a mut Option<Loaded>,
        now: Timestamp,
        age: i64,
    ) -> Result<&'a mut Loaded, Error> {
        let known = self.load(loaded).await?;
        if now >= known.at + age && now >= known.tried_at + REFRESH_INTERVAL {
            known.tried_at = now;
            match self.fetch().await {
                Ok(newer) => *known = newer,
                Err(error) => {
                    tracing::warn!(%error, "the token secret could not be fetched again; the known one is used");
                }
            }
        }
        Ok(known)
    }

    async fn fetch(&self) -> Result<Loaded, Error> {
        let at = clock::now();
        let version = |stage| secrets::version(&self.client, &self.secret, stage);
        let (current, previous) = tokio::join!(version("AWSCURRENT"), version("AWSPREVIOUS"));
        let current =
            current?.ok_or_else(|| Error::internal("the token secret has no current version"))?;
        let since = current.created_at;
        let current = current.value;
        let previous = previous?.map(|version| version.value);
        let signing_keys =
            SigningKeys::from_secrets(&current, previous.as_ref().map(|value| value.as_str()))
                .map_err(Error::internal)?;
        Ok(Loaded {
            signing_keys: Arc::new(signing_keys),
            secrets: Secrets {
                current,
                previous,
                since,
            },
            access: None,
            at,
            tried_at: at,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::platform::secrets_manager::Manager;

    fn keys(manager: &Manager) -> KeyProvider {
        let client = manager.client();
        let secret = "TokenSecret".to_owned();
        KeyProvider(Arc::new(Source {
            client,
            secret,
            loaded: Mutex::default(),
        }))
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
            "jti",
            "ID0123456789",
            "a@example.com",
            now,
            now + 86400,
        );
        keys.signing_keys(now)
            .await
            .expect("keys")
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
        manager.holds(&["third", "second"]);
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
    async fn a_rotation_keeps_what_was_signed_before_it_and_the_next_one_ends_it() {
        let manager = Manager::with(&["first"]);
        let signer = keys(&manager);
        let verifier = keys(&manager);
        let start = clock::now();
        let old = sign(&signer, start).await;
        assert!(is_verified(&verifier, &old, start).await);
        manager.holds(&["second", "first"]);
        let new = sign(&keys(&manager), start).await;
        // One that was at work before, and one that was not.
        for verifier in [&verifier, &keys(&manager)] {
            assert!(
                is_verified(verifier, &new, start + 62).await
                    && is_verified(verifier, &old, start + 62).await
            );
        }
        manager.holds(&["third", "second"]);
        let verifier = keys(&manager);
        assert!(
            is_verified(&verifier, &new, start).await && !is_verified(&verifier, &old, start).await
        );
    }

    #[tokio::test]
    async fn who_signs_looks_for_a_newer_secret_every_five_minutes_and_no_oftener() {
        let manager = Manager::with(&["first"]);
        let signer = keys(&manager);
        let start = clock::now();
        let first = sign(&signer, start).await;
        manager.holds(&["second", "first"]);
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
        manager.holds(&["third", "second"]);
        let newest = sign(&signer, start + 302).await;
        assert_eq!(manager.calls(), calls + 2);
        let verifier = keys(&manager);
        assert!(
            is_verified(&verifier, &newest, start + 302).await
                && !is_verified(&verifier, &first, start).await
        );
    }

    #[tokio::test]
    async fn known_keys_serve_on_while_secrets_manager_does_not_answer_and_it_is_asked_once_a_minute()
     {
        let manager = Manager::default();
        let keys = keys(&manager);
        let start = clock::now();
        assert!(matches!(
            keys.access_token_keys(start).await,
            Err(Error::Unavailable(_))
        ));
        manager.holds(&["second", "first"]);
        let before = kids(&keys, start).await;
        manager.is_down();
        let calls = manager.calls();
        for seconds in [62, 63, 120] {
            assert_eq!(kids(&keys, start + seconds).await, before);
        }
        assert_eq!(manager.calls(), calls + 2);
        manager.holds(&["third", "second"]);
        assert_eq!(kids(&keys, start + 123).await[1], before[0]);
    }

    #[tokio::test]
    async fn known_keys_sign_on_while_secrets_manager_does_not_answer_and_it_is_asked_once_a_minute()
     {
        let manager = Manager::default();
        let signer = keys(&manager);
        let start = clock::now();
        assert!(matches!(
            signer.signing_keys(start).await,
            Err(Error::Unavailable(_))
        ));
        manager.holds(&["first"]);
        sign(&signer, start).await;
        manager.is_down();
        let calls = manager.calls();
        let tokens = [
            sign(&signer, start + 302).await,
            sign(&signer, start + 361).await,
        ];
        assert_eq!(manager.calls(), calls + 2);
        manager.holds(&["first"]);
        for token in &tokens {
            assert!(is_verified(&keys(&manager), token, start + 302).await);
        }
    }

    #[tokio::test]
    async fn forged_key_ids_are_refused_while_secrets_manager_does_not_answer_and_it_is_asked_once_a_minute()
     {
        let manager = Manager::with(&["first"]);
        let verifier = keys(&manager);
        let start = clock::now();
        let genuine = sign(&verifier, start).await;
        let forged = sign(&keys(&Manager::with(&["forger's"])), start).await;
        manager.is_down();
        let calls = manager.calls();
        for (after, asked) in [(0, 0), (59, 0), (62, 2), (63, 2), (121, 2), (123, 4)] {
            assert!(
                !is_verified(&verifier, &forged, start + after).await,
                "{after}"
            );
            assert!(
                is_verified(&verifier, &genuine, start + after).await,
                "{after}"
            );
            assert_eq!(manager.calls(), calls + asked, "{after}");
        }
        // What was tried in vain does not count as a look when it comes to signing.
        manager.holds(&["second", "first"]);
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
    async fn who_signs_no_access_token_derives_no_key_for_it() {
        let manager = Manager::with(&["second", "first"]);
        let keys = keys(&manager);
        let token = sign(&keys, clock::now()).await;
        assert!(is_verified(&keys, &token, clock::now()).await);
        let is_derived = async || {
            keys.0
                .loaded
                .lock()
                .await
                .as_ref()
                .expect("loaded")
                .access
                .is_some()
        };
        assert!(!is_derived().await);
        kids(&keys, clock::now()).await;
        assert!(is_derived().await);
    }
}
