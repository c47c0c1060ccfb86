//! Publication of public keys, and verification with them

use std::sync::Arc;

use super::{NOW, at_once, opened, signed_up, store};
use crate::{
    Error,
    domain::{
        session::{Session, SessionId},
        token_id::TokenId,
        user::{User, Withheld},
    },
    platform::{clock::Timestamp, secrets_manager::Manager},
    store::{Signer, Store, items::text, keys::published_keys_key},
    tokens::{
        key_cache::{Candidates, KeyCache},
        key_provider::KeyProvider,
        published_keys::PublishedKeys,
        signed_token::{Claims, Purpose, SigningKeys},
    },
};

/// Longer than the time after which an instance fetches the secret again to sign.
const REFRESH: i64 = 302;
/// Longer than the time between the publication of a key and its first signature.
const LEAD: i64 = 122;

fn signer(manager: &Manager, store: &Store) -> Signer {
    Signer::new(
        KeyProvider::new(manager.client(), "TokenSecret"),
        store.clone(),
    )
}

async fn published(store: &Store) -> PublishedKeys {
    let keys = store
        .published(published_keys_key)
        .await
        .expect("an answer");
    keys.expect("published keys")
}

fn keys_of(current: &str, previous: Option<&str>) -> SigningKeys {
    SigningKeys::from_secrets(current, previous).expect("keys")
}

/// A token of a stored session, and the secret whose key signed it.
struct Token {
    text: String,
    key_id: String,
}

impl Token {
    fn is_of(&self, secret: &str) -> bool {
        let keys = keys_of(secret, None);
        keys.public_keys().any(|(id, _)| id == self.key_id)
    }
}

fn claims(user: &User, token_id: TokenId, now: Timestamp) -> Claims {
    Claims::new(
        Purpose::Session,
        token_id,
        user.uid.clone(),
        user.email.account_key(),
        now,
        now + 86_400,
    )
}

fn signed(keys: &SigningKeys, claims: &Claims) -> Token {
    let text = keys.sign(claims).expect("a token");
    let header = jsonwebtoken::decode_header(&text).expect("a header");
    Token {
        text,
        key_id: header.kid.expect("a key id"),
    }
}

/// A user whose sessions have tokens.
struct Owner<'a> {
    store: &'a Store,
    user: User,
}

impl Owner<'_> {
    async fn session(&self, signer: &Signer, now: Timestamp) -> Token {
        let token_id = TokenId::generate();
        let session = Session {
            id: SessionId::of(&token_id),
            ..opened(self.store, &self.user).await
        };
        let write = super::super::writes::session_write(&self.store.grants, &session);
        let outcome = self.store.transact([write.expect("a write")]).await;
        outcome.expect("a session");
        let keys = signer.signing_keys(now).await.expect("keys");
        signed(&keys, &claims(&self.user, token_id, now))
    }
}

/// Whether a verifier accepts the token, and whether it read the published keys.
async fn verify(
    store: &Store,
    cache: &KeyCache,
    token: &Token,
    now: Timestamp,
) -> Result<(bool, bool), Error> {
    let tokens = std::slice::from_ref(&token.text);
    match cache.candidates(Purpose::Session, tokens, now) {
        Candidates::Verified(claims) => {
            let found = store.find_sessions::<Withheld>(&claims, NOW).await?;
            Ok((!found.is_empty(), false))
        }
        Candidates::Unverified(tokens) => {
            let found = store
                .find_sessions_and_keys::<Withheld>(&tokens, cache, now)
                .await?;
            Ok((!found.is_empty(), true))
        }
    }
}

async fn accepts(store: &Store, cache: &KeyCache, token: &Token, now: Timestamp) -> bool {
    verify(store, cache, token, now).await.expect("an answer").0
}

#[tokio::test]
async fn concurrent_signers_publish_once_and_all_sign() {
    let store = store().await;
    let manager = Manager::with(&["second", "first"]);
    let ids = at_once(16, |_| {
        let signer = signer(&manager, &store);
        async move {
            let keys = signer.signing_keys(NOW).await.expect("keys");
            let (id, _) = keys.public_keys().next().expect("a key");
            id.to_owned()
        }
    })
    .await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    let published = published(&store).await;
    assert_eq!(published.revision, 1);
    assert!(published.are_those_of(&keys_of("second", Some("first"))));
}

#[tokio::test]
async fn concurrent_publications_of_a_rotation_replace_the_keys_once() {
    let store = store().await;
    let manager = Manager::with(&["first"]);
    signer(&manager, &store).publish(NOW).await.expect("keys");
    manager.set_versions(&["second", "first"]);
    at_once(16, |_| {
        let signer = signer(&manager, &store);
        async move { signer.publish(NOW).await.expect("keys") }
    })
    .await;
    let published = published(&store).await;
    assert_eq!(published.revision, 2);
    assert!(published.are_those_of(&keys_of("second", Some("first"))));
}

#[tokio::test]
async fn an_instance_publishes_once_per_fetch_of_the_secret() {
    let store = store().await;
    let manager = Manager::with(&["first"]);
    let signer = signer(&manager, &store);
    let first = signer.signing_keys(NOW).await.expect("keys");
    store
        .client
        .delete_item()
        .table_name(&store.users)
        .set_key(Some(published_keys_key()))
        .send()
        .await
        .expect("a deletion");
    // Without a call to the database, until the secret is fetched again.
    let again = signer.signing_keys(NOW + 299).await.expect("keys");
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(
        store
            .published(published_keys_key)
            .await
            .expect("an answer"),
        None
    );
    signer.signing_keys(NOW + REFRESH).await.expect("keys");
    assert!(
        published(&store)
            .await
            .are_those_of(&keys_of("first", None))
    );
}

#[tokio::test]
async fn nothing_is_signed_with_keys_that_are_not_published() {
    let store = store().await;
    let missing = Store {
        users: "Nothing".to_owned(),
        ..store.clone()
    };
    let manager = Manager::with(&["first"]);
    let other = signer(&manager, &missing);
    assert!(other.signing_keys(NOW).await.is_err());
    // The same if the secret cannot be fetched again to confirm the publication.
    let unconfirmed = signer(&manager, &store);
    unconfirmed.keys.for_signing(NOW).await.expect("keys");
    manager.stop();
    assert!(matches!(
        unconfirmed.signing_keys(NOW).await,
        Err(Error::Unavailable(_))
    ));
    assert_eq!(
        store
            .published(published_keys_key)
            .await
            .expect("an answer"),
        None
    );
    manager.set_versions(&["first"]);
    unconfirmed.signing_keys(NOW).await.expect("keys");
}

#[tokio::test]
async fn a_new_key_signs_after_its_publication_and_every_token_before_it_is_accepted() {
    let store = store().await;
    let owner = Owner {
        store: &store,
        user: signed_up(&store, "jane@example.com").await,
    };
    let manager = Manager::with(&["first"]);
    let signer = signer(&manager, &store);
    let cache = KeyCache::default();
    let old = owner.session(&signer, NOW).await;
    assert!(old.is_of("first") && accepts(&store, &cache, &old, NOW).await);

    manager.set_versions(&["second", "first"]);
    let rotated = NOW + REFRESH;
    // The verifier reads the keys just before they change.
    assert!(accepts(&store, &cache, &old, rotated).await);
    for (after, secret) in [
        (0, "first"),
        (59, "first"),
        (LEAD, "second"),
        (200, "second"),
    ] {
        let now = rotated + after;
        let token = owner.session(&signer, now).await;
        assert!(token.is_of(secret), "{after}");
        assert!(accepts(&store, &cache, &token, now).await, "{after}");
        assert!(accepts(&store, &cache, &old, now).await, "{after}");
    }
    assert_eq!(published(&store).await.revision, 2);
}

#[tokio::test]
async fn two_rotations_void_the_tokens_of_the_first_key() {
    let store = store().await;
    let owner = Owner {
        store: &store,
        user: signed_up(&store, "jane@example.com").await,
    };
    let manager = Manager::with(&["first"]);
    let running = signer(&manager, &store);
    let cache = KeyCache::default();
    let first = owner.session(&running, NOW).await;
    manager.set_versions(&["second", "first"]);
    let second = owner.session(&running, NOW + REFRESH).await;
    assert!(second.is_of("first"));
    let second = owner.session(&running, NOW + REFRESH + LEAD).await;
    let now = NOW + 2 * REFRESH;
    assert!(accepts(&store, &cache, &first, now).await);
    manager.set_versions(&["third", "second"]);
    running.publish(now).await.expect("keys");
    // Until the cached keys of the verifier are a minute old.
    assert!(accepts(&store, &cache, &first, now + 59).await);
    assert!(!accepts(&store, &cache, &first, now + 60).await);
    assert!(accepts(&store, &cache, &second, now + 60).await);
    let third = owner.session(&running, now + LEAD).await;
    assert!(third.is_of("third"));
    assert!(accepts(&store, &cache, &third, now + LEAD).await);
}

#[tokio::test]
async fn after_two_rotations_in_short_succession_the_key_that_was_published_first_signs() {
    let store = store().await;
    let manager = Manager::with(&["first"]);
    signer(&manager, &store).publish(NOW).await.expect("keys");
    manager.set_versions(&["second", "first"]);
    signer(&manager, &store).publish(NOW).await.expect("keys");
    manager.set_versions(&["third", "second"]);
    let owner = Owner {
        store: &store,
        user: signed_up(&store, "jane@example.com").await,
    };
    let signer = signer(&manager, &store);
    for (after, secret) in [(60, "second"), (60 + LEAD, "third")] {
        let token = owner.session(&signer, NOW + after).await;
        assert!(token.is_of(secret), "{after}");
    }
}

#[tokio::test]
async fn an_outdated_instance_publishes_no_outdated_keys() {
    let store = store().await;
    let manager = Manager::with(&["second", "first"]);
    let outdated = signer(&manager, &store);
    outdated.keys.for_signing(NOW).await.expect("keys");
    let published_before = signer(&manager, &store);
    published_before.publish(NOW).await.expect("keys");
    manager.set_versions(&["third", "second"]);
    signer(&manager, &store).publish(NOW).await.expect("keys");
    outdated.publish(NOW).await.expect("keys");
    let keys = published(&store).await;
    assert_eq!(keys.revision, 2);
    assert!(keys.are_those_of(&keys_of("third", Some("second"))));
    // One that has published signs with the previous key, which is accepted.
    let keys = published_before
        .signing_keys(NOW + 200)
        .await
        .expect("keys");
    assert!(
        keys.public_keys()
            .eq(keys_of("second", Some("first")).public_keys())
    );
    assert_eq!(published(&store).await.revision, 2);
}

#[tokio::test]
async fn a_fetch_that_overlaps_a_rotation_publishes_no_mixture_of_its_versions() {
    let store = store().await;
    let manager = Manager::with(&["second", "first"]);
    signer(&manager, &store).publish(NOW).await.expect("keys");
    // The previous version was fetched before the rotation, the current one after it.
    manager.set_versions(&["third", "first"]);
    let mixed = signer(&manager, &store);
    mixed.keys.for_signing(NOW).await.expect("keys");
    manager.set_versions(&["third", "second"]);
    mixed.publish(NOW).await.expect("keys");
    let keys = published(&store).await;
    assert_eq!(keys.revision, 2);
    assert!(keys.are_those_of(&keys_of("third", Some("second"))));
}

#[tokio::test]
async fn after_a_rollback_the_previous_version_signs_at_once_and_publishes_nothing() {
    let store = store().await;
    let manager = Manager::with(&["first"]);
    let running = signer(&manager, &store);
    running.publish(NOW).await.expect("keys");
    manager.set_versions(&["second", "first"]);
    running.publish(NOW + REFRESH).await.expect("keys");
    manager.set_versions(&["first", "second"]);
    let user = signed_up(&store, "jane@example.com").await;
    let owner = Owner {
        store: &store,
        user,
    };
    let now = NOW + 2 * REFRESH;
    let token = owner.session(&running, now).await;
    assert!(token.is_of("first"));
    assert_eq!(published(&store).await.revision, 2);
    // The key that was rolled back is not accepted after the next rotation.
    manager.set_versions(&["third", "first"]);
    running.publish(now + REFRESH).await.expect("keys");
    let keys = published(&store).await;
    assert!(keys.are_those_of(&keys_of("third", Some("first"))));
}

#[tokio::test]
async fn a_verifier_without_published_keys_is_unavailable_until_a_signer_publishes_them() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let cache = KeyCache::default();
    // A session of the previous version, which published no keys.
    let token_id = TokenId::generate();
    let session = Session {
        id: SessionId::of(&token_id),
        ..super::session_of(&user)
    };
    let write = super::super::writes::session_write(&store.grants, &session);
    let outcome = store.transact([write.expect("a write")]).await;
    outcome.expect("a session");
    let token = signed(&keys_of("first", None), &claims(&user, token_id, NOW));
    for _ in 0..2 {
        assert!(matches!(
            verify(&store, &cache, &token, NOW).await,
            Err(Error::Unavailable(_))
        ));
    }
    let manager = Manager::with(&["second", "first"]);
    signer(&manager, &store).publish(NOW).await.expect("keys");
    assert_eq!(
        verify(&store, &cache, &token, NOW)
            .await
            .expect("an answer"),
        (true, true)
    );
    assert_eq!(
        verify(&store, &cache, &token, NOW)
            .await
            .expect("an answer"),
        (true, false)
    );
}

#[tokio::test]
async fn a_forged_token_of_a_stored_session_is_rejected_by_every_state_of_the_cache() {
    let store = store().await;
    let owner = Owner {
        store: &store,
        user: signed_up(&store, "jane@example.com").await,
    };
    let manager = Manager::with(&["first"]);
    let signer = signer(&manager, &store);
    let genuine = owner.session(&signer, NOW).await;
    let claims = signer
        .verify(Purpose::Session, &genuine.text, NOW)
        .await
        .expect("an answer")
        .expect("claims");
    let forged = signed(&keys_of("forger's", None), &claims);
    let (header, _) = genuine.text.split_once('.').expect("parts");
    let (_, rest) = forged.text.split_once('.').expect("parts");
    let under_the_genuine_key_id = Token {
        text: format!("{header}.{rest}"),
        key_id: genuine.key_id.clone(),
    };
    let cache = KeyCache::default();
    for forged in [&forged, &under_the_genuine_key_id] {
        assert!(!accepts(&store, &KeyCache::default(), forged, NOW).await);
        assert!(accepts(&store, &cache, &genuine, NOW).await);
        assert!(!accepts(&store, &cache, forged, NOW + 1).await);
        assert!(!accepts(&store, &cache, forged, NOW + 60).await);
    }
}

#[tokio::test]
async fn an_unreadable_item_is_an_internal_error() {
    let store = store().await;
    let manager = Manager::with(&["first"]);
    let signer = signer(&manager, &store);
    let mut item = published_keys_key();
    item.insert("keys".to_owned(), text("secret"));
    store
        .client
        .put_item()
        .table_name(&store.users)
        .set_item(Some(item))
        .send()
        .await
        .expect("a write");
    assert!(matches!(
        signer.signing_keys(NOW).await,
        Err(Error::Internal(_))
    ));
}
