//! The stack's keys, fetched from Secrets Manager while the function has other things to do.

use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use tokio::sync::Mutex;

use crate::{
    Error,
    access::{AccessKeyring, Secrets},
    clock,
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

struct Loaded {
    keyring: Arc<Keyring>,
    secrets: Secrets,
    /// Derived when it is first asked for, which most functions never do.
    access: Option<Arc<AccessKeyring>>,
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
        let mut loaded = self.0.loaded.lock().await;
        Ok(Arc::clone(&self.0.load(&mut loaded, |_| false).await?.keyring))
    }

    /// The keys of access tokens, of a secret that was looked at within the last minute. While Secrets Manager does not answer, those
    /// that are known are better than none.
    pub async fn access_keyring(&self, now: Timestamp) -> Result<Arc<AccessKeyring>, Error> {
        let mut loaded = self.0.loaded.lock().await;
        if let Err(error) = self.0.load(&mut loaded, |loaded| now >= loaded.at + REFRESH_INTERVAL).await {
            let known = loaded.as_mut().ok_or(error)?;
            tracing::warn!("the secret could not be looked at again");
            known.at = now;
        }
        let loaded = self.0.load(&mut loaded, |_| false).await?;
        if let Some(access) = &loaded.access {
            return Ok(Arc::clone(access));
        }
        let access = Arc::new(AccessKeyring::from_secrets(&loaded.secrets).map_err(Error::internal)?);
        loaded.access = Some(Arc::clone(&access));
        Ok(access)
    }

    /// The claims of a genuine token; `None` when it is refused. A token by a key that is not known yet, as there is after a
    /// rotation, makes it look for a newer secret.
    pub async fn verify(&self, purpose: Purpose, token: &str, now: Timestamp) -> Result<Option<Claims>, Error> {
        let verdict = self.keyring().await?.verify(purpose, token, now);
        let verdict = match verdict {
            Err(TokenError::UnknownKey) => {
                let mut loaded = self.0.loaded.lock().await;
                let loaded = self.0.load(&mut loaded, |loaded| now >= loaded.at + REFRESH_INTERVAL).await?;
                loaded.keyring.verify(purpose, token, now)
            }
            verdict => verdict,
        };
        Ok(verdict.ok())
    }
}

impl Source {
    /// What is loaded, or else is now. The lock is held while fetching, so whoever asks meanwhile waits for the same answer.
    async fn load<'a>(
        &self,
        loaded: &'a mut Option<Loaded>,
        is_stale: impl Fn(&Loaded) -> bool,
    ) -> Result<&'a mut Loaded, Error> {
        if loaded.as_ref().is_none_or(is_stale) {
            *loaded = Some(self.fetch().await?);
        }
        loaded.as_mut().ok_or_else(|| Error::internal("what was loaded is gone"))
    }

    async fn fetch(&self) -> Result<Loaded, Error> {
        let at = clock::now();
        let version = |stage| secret::version(&self.client, &self.secret, stage);
        let (current, previous) = tokio::join!(version("AWSCURRENT"), version("AWSPREVIOUS"));
        let current = current?.ok_or_else(|| Error::internal("the token secret has no current version"))?;
        let (since, current) = (current.created_at, current.value);
        let previous = previous?.map(|version| version.value);
        let keyring = Keyring::from_secrets(&current, previous.as_ref().map(|value| value.as_str())).map_err(Error::internal)?;
        Ok(Loaded { keyring: Arc::new(keyring), secrets: Secrets { current, previous, since }, access: None, at })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Shared;

    use aws_smithy_runtime_api::{
        client::{
            http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
            orchestrator::{HttpRequest, HttpResponse},
            result::ConnectorError,
        },
        http::StatusCode,
    };
    use aws_smithy_types::{body::SdkBody, retry::RetryConfig};
    use serde_json::{Value, json};

    use super::*;

    /// Secrets Manager.
    #[derive(Clone, Debug, Default)]
    struct Manager(Arc<Shared<State>>);

    #[derive(Debug, Default)]
    struct State {
        /// The current and the previous value; without them it does not answer.
        values: Option<[&'static str; 2]>,
        calls: usize,
    }

    impl Manager {
        fn holds(&self, values: Option<[&'static str; 2]>) {
            self.0.lock().expect("a lock").values = values;
        }

        fn calls(&self) -> usize {
            self.0.lock().expect("a lock").calls
        }

        fn keys(&self) -> Keys {
            let manager = self.clone();
            let config = aws_sdk_secretsmanager::Config::builder()
                .behavior_version_latest()
                .region(aws_types::region::Region::new("eu-central-1"))
                .credentials_provider(aws_credential_types::Credentials::new("tests", "tests", None, None, "tests"))
                .retry_config(RetryConfig::disabled())
                .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(manager.clone())));
            Keys(Arc::new(Source {
                client: Client::from_conf(config.build()),
                secret: "TokenSecret".to_owned(),
                loaded: Mutex::default(),
            }))
        }
    }

    impl HttpConnector for Manager {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let mut state = self.0.lock().expect("a lock");
            state.calls += 1;
            let Some([current, previous]) = state.values else {
                return HttpConnectorFuture::ready(Err(ConnectorError::io("nobody is there".into())));
            };
            let asked: Value = serde_json::from_slice(request.body().bytes().expect("a body")).expect("JSON");
            let value = if asked["VersionStage"] == "AWSCURRENT" { current } else { previous };
            let body = json!({ "SecretString": value }).to_string();
            HttpConnectorFuture::ready(Ok(HttpResponse::new(StatusCode::try_from(200).expect("a status"), SdkBody::from(body))))
        }
    }

    async fn kids(keys: &Keys, now: Timestamp) -> Vec<Value> {
        let published = json!(keys.access_keyring(now).await.expect("keys").jwks());
        published["keys"].as_array().expect("keys").iter().map(|key| key["kid"].clone()).collect()
    }

    #[tokio::test]
    async fn a_new_secret_is_noticed_within_a_minute() {
        let manager = Manager::default();
        manager.holds(Some(["second", "first"]));
        let (keys, start) = (manager.keys(), clock::now());
        let before = kids(&keys, start).await;
        manager.holds(Some(["third", "second"]));
        assert_eq!((kids(&keys, start + 58).await, manager.calls()), (before.clone(), 2));
        let after = kids(&keys, start + 62).await;
        assert!(after[0] != before[0] && after[1] == before[0], "{before:?} {after:?}");
        assert_eq!(manager.calls(), 4);
    }

    #[tokio::test]
    async fn known_keys_serve_on_while_secrets_manager_does_not_answer_and_it_is_asked_once_a_minute() {
        let manager = Manager::default();
        let (keys, start) = (manager.keys(), clock::now());
        assert!(matches!(keys.access_keyring(start).await, Err(Error::Unavailable(_))));
        manager.holds(Some(["second", "first"]));
        let before = kids(&keys, start).await;
        manager.holds(None);
        let calls = manager.calls();
        for seconds in [62, 63, 120] {
            assert_eq!(kids(&keys, start + seconds).await, before);
        }
        assert_eq!(manager.calls(), calls + 2);
        manager.holds(Some(["third", "second"]));
        assert_eq!(kids(&keys, start + 123).await[1], before[0]);
    }

    #[tokio::test]
    async fn who_signs_no_access_token_derives_no_key_for_it() {
        let manager = Manager::default();
        manager.holds(Some(["second", "first"]));
        let keys = manager.keys();
        let claims = Claims::new(Purpose::Session, "jti", "ID0123456789", "a@example.com", (clock::now(), clock::now() + 60));
        let token = keys.keyring().await.expect("keys").sign(&claims).expect("a token");
        assert!(keys.verify(Purpose::Session, &token, clock::now()).await.expect("keys").is_some());
        let is_derived = async || keys.0.loaded.lock().await.as_ref().expect("loaded").access.is_some();
        assert!(!is_derived().await);
        kids(&keys, clock::now()).await;
        assert!(is_derived().await);
    }
}
