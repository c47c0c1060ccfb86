//! The keys of access tokens, and which of them other services have received

use aws_lc_rs::signature::Ed25519KeyPair;
use data_encoding::BASE64;
use serde_json::json;

use super::{NOW, at_once, store};
use crate::{
    Error,
    platform::{clock::Timestamp, secrets_manager::Manager},
    store::{AccessKeys, Store, keys::access_keys_key},
    tokens::{
        access_key::AccessKey,
        access_token::AccessTokenKeys,
        key_provider::KeyProvider,
        published_keys::{Publishable, PublishedKeys},
    },
};

/// Longer than the time for which an instance caches the secret.
const REFRESH: i64 = 122;
/// Seconds between the publication of a key and its first signature.
const LEAD: i64 = <AccessTokenKeys as Publishable>::LEAD;

/// The private key of a name.
fn pem(name: u8) -> &'static str {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[name; 32]).expect("a key");
    let content = BASE64.encode(pair.to_pkcs8v1().expect("PKCS#8").as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{content}\n-----END PRIVATE KEY-----\n").leak()
}

fn id(name: u8) -> String {
    let key = AccessKey::from_pem(pem(name)).expect("a key");
    key.id().to_owned()
}

/// Secrets Manager with an operator's secret, and an instance that uses it.
struct Operator {
    secret: Manager,
    tokens: Manager,
    store: Store,
}

impl Operator {
    async fn with(names: &[u8]) -> Self {
        let operator = Self {
            secret: Manager::default(),
            tokens: Manager::with(&["token secret"]),
            store: store().await,
        };
        operator.put(names);
        operator
    }

    /// Sets the current version of the secret and, if given, the previous one.
    fn put(&self, names: &[u8]) {
        let versions: Vec<&str> = names.iter().map(|name| pem(*name)).collect();
        self.secret.set_versions(&versions);
    }

    /// A new instance.
    async fn instance(&self) -> AccessKeys {
        let derived = KeyProvider::new(self.tokens.client(), "TokenSecret");
        AccessKeys::start(self.secret.client(), Some("Key"), derived, &self.store)
            .await
            .expect("keys")
    }

    async fn recorded(&self) -> PublishedKeys {
        let recorded = self.store.published(access_keys_key).await;
        recorded.expect("an answer").expect("published keys")
    }
}

async fn signer(instance: &AccessKeys, now: Timestamp) -> String {
    let keys = instance.signing(now).await.expect("keys");
    keys.signer(now).id().to_owned()
}

async fn publish(instance: &AccessKeys, now: Timestamp) -> Vec<String> {
    let keys = instance.published(now).await.expect("keys");
    keys.all().map(|key| key.id().to_owned()).collect()
}

#[tokio::test]
async fn a_replaced_key_signs_until_the_new_one_was_published_for_two_hours() {
    let operator = Operator::with(&[1]).await;
    let [signing, publishing] = [operator.instance().await, operator.instance().await];
    assert_eq!(signer(&signing, NOW).await, id(1));
    assert_eq!(publish(&publishing, NOW).await, [id(1)]);
    operator.put(&[2, 1]);
    // Not published.
    for instance in [&signing, &operator.instance().await] {
        assert_eq!(signer(instance, NOW + REFRESH).await, id(1));
    }
    let published_at = NOW + REFRESH;
    assert_eq!(publish(&publishing, published_at).await, [id(2), id(1)]);
    for (after, expected) in [(REFRESH, 1), (LEAD - 1, 1), (LEAD, 2)] {
        for instance in [&signing, &operator.instance().await] {
            let name = signer(instance, published_at + after).await;
            assert_eq!(name, id(expected), "{after}");
        }
    }
}

#[tokio::test]
async fn concurrent_publications_of_a_rotation_record_one_time() {
    let operator = Operator::with(&[1]).await;
    publish(&operator.instance().await, NOW).await;
    operator.put(&[2, 1]);
    let mut instances = Vec::new();
    for _ in 0..16 {
        instances.push(operator.instance().await);
    }
    at_once(16, |index| {
        let instance = instances[index].clone();
        let now = NOW + i64::try_from(index).expect("a small number");
        async move { publish(&instance, now).await }
    })
    .await;
    let recorded = operator.recorded().await;
    assert_eq!(recorded.revision, 2);
    let signs_from = recorded.signs_from(&id(2)).expect("a time");
    assert!((NOW + LEAD..NOW + LEAD + 16).contains(&signs_from));
}

#[tokio::test]
async fn an_instance_with_an_outdated_secret_does_not_withdraw_a_key() {
    let operator = Operator::with(&[1]).await;
    let outdated = operator.instance().await;
    operator.put(&[2, 1]);
    publish(&operator.instance().await, NOW).await;
    let recorded = operator.recorded().await;
    // It fetches the secret again before it writes.
    assert_eq!(publish(&outdated, NOW + 1).await, [id(2), id(1)]);
    assert_eq!(operator.recorded().await, recorded);
}

#[tokio::test]
async fn a_failure_of_the_database_affects_neither_the_key_set_nor_an_instance_with_cached_keys() {
    let operator = Operator::with(&[1]).await;
    let missing = Store {
        users: "Nothing".to_owned(),
        ..operator.store.clone()
    };
    let cut_off = Operator {
        secret: operator.secret.clone(),
        tokens: operator.tokens.clone(),
        store: missing.clone(),
    };
    let instance = cut_off.instance().await;
    assert_eq!(publish(&instance, NOW).await, [id(1)]);
    assert!(instance.signing(NOW).await.is_err());

    let mut instance = operator.instance().await;
    publish(&instance, NOW).await;
    let keys = instance.signing(NOW).await.expect("keys");
    operator.put(&[2, 1]);
    instance.store = missing;
    // Not the new key, of which it is unknown whether it is published.
    assert_eq!(
        signer(&instance, NOW + REFRESH).await,
        keys.signer(NOW).id()
    );
}

#[tokio::test]
async fn without_an_operators_key_signing_reads_no_published_keys() {
    let operator = Operator::with(&[1]).await;
    let missing = Store {
        users: "Nothing".to_owned(),
        ..operator.store.clone()
    };
    let derived = KeyProvider::new(operator.tokens.client(), "TokenSecret");
    let keys = AccessKeys::start(operator.secret.client(), None, derived, &missing).await;
    let keys = keys.expect("keys").signing(NOW).await.expect("keys");
    let derived = AccessKey::derive("token secret").expect("a key");
    assert_eq!(keys.signer(NOW).id(), derived.id());
    assert_eq!(operator.secret.calls(), 0);
}

#[tokio::test]
async fn the_derived_key_signs_until_the_operators_key_was_published_for_two_hours() {
    let operator = Operator::with(&[1]).await;
    let derived = KeyProvider::new(operator.tokens.client(), "TokenSecret");
    let before = AccessKeys::start(operator.secret.client(), None, derived, &operator.store).await;
    let [derived] = publish(&before.expect("keys"), NOW)
        .await
        .try_into()
        .expect("one key");
    let instance = operator.instance().await;
    assert_eq!(signer(&instance, NOW).await, derived);
    let published = publish(&operator.instance().await, NOW).await;
    assert_eq!(published, [id(1), derived.clone()]);
    assert_eq!(signer(&instance, NOW + (LEAD - 1)).await, derived);
    assert_eq!(signer(&instance, NOW + LEAD).await, id(1));
}

#[tokio::test]
async fn an_unusable_key_is_an_error_at_the_start_and_an_outage_is_not() {
    let operator = Operator::with(&[1]).await;
    let start = || {
        let derived = KeyProvider::new(operator.tokens.client(), "TokenSecret");
        AccessKeys::start(
            operator.secret.client(),
            Some("Key"),
            derived,
            &operator.store,
        )
    };
    operator.secret.set_versions(&["a secret", pem(1)]);
    let error = start().await.err().expect("an error").to_string();
    assert!(
        error.starts_with("IDENTITY_ACCESS_TOKEN_KEY_ARN: ") && !error.contains("a secret"),
        "{error}"
    );
    operator.secret.stop();
    let instance = start().await.expect("an instance");
    assert!(matches!(
        instance.signing(NOW).await,
        Err(Error::Unavailable(_))
    ));
    // A rotation to an unusable key does not affect an instance with a cached one.
    operator.put(&[1]);
    assert_eq!(signer(&instance, NOW).await, id(1));
    operator.secret.set_versions(&["a secret", pem(1)]);
    assert_eq!(signer(&instance, NOW + REFRESH).await, id(1));
}

#[test]
fn the_record_of_a_key_is_its_public_key() {
    let key = AccessKey::from_pem(pem(1)).expect("a key");
    let keys = AccessTokenKeys::new(key.into(), Vec::new(), None);
    let record = json!(PublishedKeys::replacing(None, &keys, NOW));
    assert_eq!(
        record,
        json!({ "keys": [{ "id": id(1), "bytes": json!(keys.jwks())["keys"][0]["x"], "signs_from": NOW }], "revision": 1 })
    );
}
