//! The list of passkeys of a user

use std::sync::Arc;

use super::{
    super::keys::passkey_key, NOW, all_activities, at_once, closure, hash, opened, request_reset,
    signed_up, store, stored, succeeded,
};
use crate::{
    domain::{
        activity::Action,
        language::Language,
        mail::{Kind, QueuedMail},
        passkey::{CredentialHash, Passkey},
        session::Session,
        token_id::TokenId,
        user::{State, User},
    },
    store::{
        Administration, Change, Outcome, PasskeyAddition, PasskeyAdditionOutcome, PasswordChange,
        Store,
    },
    tokens::ceremony::Ceremony,
};

fn passkey(user: &User, id: &str) -> Passkey {
    Passkey::sample(user.uid.as_str(), id, NOW)
}

async fn add_to(
    store: &Store,
    user: &User,
    session: &Session,
    passkey: &Passkey,
    ceremony: &str,
) -> PasskeyAdditionOutcome {
    let notice = QueuedMail::reset_notice(Kind::PasskeyAdded, user, Language::En, NOW);
    let addition = PasskeyAddition {
        passkey,
        ceremony: &Ceremony {
            id: TokenId::from_text(ceremony),
            expires_at: NOW + 300,
        },
        notice: Some(&notice),
        activity: &succeeded(user, Action::AddPasskey, NOW),
    };
    let added = store.add_passkey(user, session, &addition).await;
    added.expect("an answer")
}

async fn remove(store: &Store, user: &User, session: &Session, hash: &CredentialHash) -> Outcome {
    let activity = succeeded(user, Action::RemovePasskey, NOW);
    let removed = store.remove_passkey(user, session, hash, None, &activity);
    removed.await.expect("an answer")
}

/// A user with passkeys of these ids, and a session.
async fn with_passkeys(store: &Store, ids: &[&str]) -> (User, Session) {
    let user = signed_up(store, "jane@example.com").await;
    let session = opened(store, &user).await;
    for id in ids {
        let user = stored(store, &user).await;
        let added = add_to(store, &user, &session, &passkey(&user, id), id).await;
        assert_eq!(added, PasskeyAdditionOutcome::Added);
    }
    (stored(store, &user).await, session)
}

/// The ids of the passkeys that the user lists and that have an item.
async fn ids(store: &Store, user: &User) -> Vec<String> {
    let user = stored(store, user).await;
    let passkeys = store.passkeys(&user).await.expect("passkeys");
    assert_eq!(passkeys.len(), user.passkeys.len());
    let mut ids: Vec<_> = passkeys
        .iter()
        .map(|passkey| passkey.id.to_string())
        .collect();
    ids.sort();
    ids
}

async fn has_item(store: &Store, passkey: &Passkey) -> bool {
    let get = store
        .client
        .get_item()
        .table_name(&store.users)
        .set_key(Some(passkey_key(&passkey.hash())));
    get.send().await.expect("an answer").item.is_some()
}

#[tokio::test]
async fn a_passkey_is_added_once_and_its_ceremony_used_up() {
    let store = store().await;
    let (user, session) = with_passkeys(&store, &["b25l"]).await;
    assert_eq!(ids(&store, &user).await, ["b25l"]);
    let [first, second] = [passkey(&user, "b25l"), passkey(&user, "dHdv")];
    for (passkey, ceremony, expected) in [
        (&first, "b25l", PasskeyAdditionOutcome::CeremonyUsed),
        (&second, "b25l", PasskeyAdditionOutcome::CeremonyUsed),
        (&first, "other", PasskeyAdditionOutcome::Taken),
        (&second, "other", PasskeyAdditionOutcome::Added),
    ] {
        let outcome = add_to(&store, &user, &session, passkey, ceremony).await;
        assert_eq!(outcome, expected);
    }
    assert_eq!(ids(&store, &user).await, ["b25l", "dHdv"]);
    let recorded = all_activities(&store, &user).await.activities;
    let added = recorded
        .iter()
        .filter(|activity| activity.action == Action::AddPasskey);
    assert_eq!(added.count(), 2);
}

#[tokio::test]
async fn a_passkey_of_another_user_is_taken() {
    let store = store().await;
    let (user, _) = with_passkeys(&store, &["b25l"]).await;
    let other = signed_up(&store, "joan@example.com").await;
    let session = opened(&store, &other).await;
    let same = passkey(&other, "b25l");
    let outcome = add_to(&store, &other, &session, &same, "other").await;
    assert_eq!(outcome, PasskeyAdditionOutcome::Taken);
    assert_eq!(ids(&store, &user).await, ["b25l"]);
    assert!(ids(&store, &other).await.is_empty());
}

#[tokio::test]
async fn an_addition_conflicts_with_a_changed_list_state_or_session_epoch() {
    let store = store().await;
    let (user, session) = with_passkeys(&store, &["b25l"]).await;
    let new = passkey(&user, "dHdv");
    for (what, stale) in [
        (
            "another list",
            User {
                passkeys: vec![passkey(&user, "AAAA").hash()],
                ..user.clone()
            },
        ),
        (
            "no list",
            User {
                passkeys: Vec::new(),
                ..user.clone()
            },
        ),
        (
            "another state",
            User {
                state: State::Active,
                ..user.clone()
            },
        ),
    ] {
        let outcome = add_to(&store, &stale, &session, &new, "new").await;
        assert_eq!(outcome, PasskeyAdditionOutcome::Conflict, "{what}");
    }
    let ended = Session {
        epoch: session.epoch + 1,
        ..session.clone()
    };
    let outcome = add_to(&store, &user, &ended, &new, "new").await;
    assert_eq!(outcome, PasskeyAdditionOutcome::Conflict);
    assert!(!has_item(&store, &new).await);
    assert_eq!(ids(&store, &user).await, ["b25l"]);
    // The ceremony is unused.
    let outcome = add_to(&store, &user, &session, &new, "new").await;
    assert_eq!(outcome, PasskeyAdditionOutcome::Added);
}

#[tokio::test]
async fn of_sixteen_concurrent_additions_to_one_list_one_is_written() {
    let store = store().await;
    let (user, session) = with_passkeys(&store, &["b25l"]).await;
    let shared = Arc::new((store.clone(), user.clone(), session));
    let outcomes = at_once(16, |number| {
        let shared = Arc::clone(&shared);
        async move {
            let (store, user, session) = &*shared;
            let id = format!("AA{number:02}");
            add_to(
                store,
                user,
                session,
                &passkey(user, &id),
                &number.to_string(),
            )
            .await
        }
    })
    .await;
    let added = outcomes
        .iter()
        .filter(|outcome| **outcome == PasskeyAdditionOutcome::Added);
    assert_eq!(added.count(), 1);
    assert_eq!(ids(&store, &user).await.len(), 2);
}

#[tokio::test]
async fn a_name_is_stored_for_a_listed_passkey_of_the_user_only() {
    let store = store().await;
    let (user, _) = with_passkeys(&store, &["b25l"]).await;
    let other = signed_up(&store, "joan@example.com").await;
    let hash = passkey(&user, "b25l").hash();
    let renamed = store.rename_passkey(&user, &hash, "Phone").await;
    let renamed = renamed.expect("an answer").expect("a passkey");
    assert_eq!(renamed.name.as_deref(), Some("Phone"));
    let claiming = User {
        passkeys: user.passkeys.clone(),
        ..other.clone()
    };
    for (user, hash) in [
        (&other, &hash),
        (&claiming, &hash),
        (&user, &passkey(&user, "AAAA").hash()),
    ] {
        let renamed = store.rename_passkey(user, hash, "Mine").await;
        assert_eq!(renamed.expect("an answer"), None);
    }
    let passkeys = store.passkeys(&user).await.expect("passkeys");
    assert_eq!(passkeys, [renamed]);
    // An item of another user is not a passkey of the one who lists it.
    let claimed = store.passkeys(&claiming).await.expect("passkeys");
    assert!(claimed.is_empty());
}

#[tokio::test]
async fn a_removal_deletes_the_item_and_conflicts_with_a_changed_list() {
    let store = store().await;
    let (user, session) = with_passkeys(&store, &["b25l", "dHdv"]).await;
    let [first, second] = [passkey(&user, "b25l"), passkey(&user, "dHdv")];
    let outcome = remove(&store, &user, &session, &first.hash()).await;
    assert_eq!(outcome, Outcome::Written);
    assert!(!has_item(&store, &first).await);
    assert_eq!(ids(&store, &user).await, ["dHdv"]);
    let again = remove(&store, &user, &session, &first.hash()).await;
    assert_eq!(again, Outcome::Conflict);
    let stale = remove(&store, &user, &session, &second.hash()).await;
    assert_eq!(stale, Outcome::Conflict);
    let user = stored(&store, &user).await;
    let last = remove(&store, &user, &session, &second.hash()).await;
    assert_eq!(last, Outcome::Written);
    assert!(ids(&store, &user).await.is_empty());
}

#[tokio::test]
async fn a_reset_removes_the_given_passkeys_of_the_list_that_was_read() {
    let store = store().await;
    let (user, session) = with_passkeys(&store, &["b25l"]).await;
    let code = request_reset(&store, &user).await;
    let [first, second] = [passkey(&user, "b25l"), passkey(&user, "dHdv")];
    let added = add_to(&store, &user, &session, &second, "second").await;
    assert_eq!(added, PasskeyAdditionOutcome::Added);
    let reset = async |user: &User, passkeys: &[CredentialHash]| {
        let kind = Kind::PasswordChangedPasskeysRemoved;
        let notice = QueuedMail::reset_notice(kind, user, Language::En, NOW);
        let activity = succeeded(user, Action::PasswordReset, NOW);
        store
            .reset_password(user, &hash("new"), &code, passkeys, &notice, &activity)
            .await
            .expect("an answer")
    };
    // `user` was read before the second passkey was added.
    assert_eq!(
        reset(&user, &[first.hash()]).await,
        PasswordChange::UserChanged
    );
    assert_eq!(ids(&store, &user).await, ["b25l", "dHdv"]);
    let user = stored(&store, &user).await;
    let done = reset(&user, &[second.hash()]).await;
    assert_eq!(done, PasswordChange::Done);
    assert_eq!(ids(&store, &user).await, ["b25l"]);
    assert!(!has_item(&store, &second).await);
}

#[tokio::test]
async fn closing_removes_every_passkey_of_the_list_that_was_read() {
    let store = store().await;
    let (user, session) = with_passkeys(&store, &["b25l"]).await;
    let [first, second] = [passkey(&user, "b25l"), passkey(&user, "dHdv")];
    let added = add_to(&store, &user, &session, &second, "second").await;
    assert_eq!(added, PasskeyAdditionOutcome::Added);
    let stale = closure::close_at(&store, &user, &session, NOW).await;
    assert_eq!(stale, Outcome::Conflict);
    let user = stored(&store, &user).await;
    let closed = closure::close_at(&store, &user, &session, NOW).await;
    assert_eq!(closed, Outcome::Written);
    assert!(ids(&store, &user).await.is_empty());
    assert!(!has_item(&store, &first).await && !has_item(&store, &second).await);
}

#[tokio::test]
async fn an_account_that_an_operator_makes_pending_has_no_passkeys() {
    let store = store().await;
    let (user, session) = with_passkeys(&store, &["b25l"]).await;
    let administration = Administration::new(store.clone());
    let pending = async |user: &User| {
        let activity = succeeded(user, Action::SetState, NOW);
        let change = Change::State(State::Pending);
        let changed = administration.change_user(user, &change, &activity, None);
        changed.await.expect("an answer")
    };
    let second = passkey(&user, "dHdv");
    let added = add_to(&store, &user, &session, &second, "second").await;
    assert_eq!(added, PasskeyAdditionOutcome::Added);
    assert_eq!(pending(&user).await, Outcome::Conflict);
    let user = stored(&store, &user).await;
    assert_eq!(pending(&user).await, Outcome::Written);
    assert!(ids(&store, &user).await.is_empty());
    assert!(!has_item(&store, &second).await);
}

#[tokio::test]
async fn an_operator_erases_a_passkey_that_was_added_after_the_user_was_read() {
    let store = store().await;
    let (user, session) = with_passkeys(&store, &["b25l"]).await;
    let second = passkey(&user, "dHdv");
    let added = add_to(&store, &user, &session, &second, "second").await;
    assert_eq!(added, PasskeyAdditionOutcome::Added);
    let administration = Administration::new(store.clone());
    let erased = administration.erase_user(&user, NOW).await;
    assert_eq!(erased.expect("an answer"), Outcome::Written);
    assert!(!has_item(&store, &passkey(&user, "b25l")).await);
    assert!(!has_item(&store, &second).await);
}

#[tokio::test]
async fn a_session_that_ended_changes_no_passkeys() {
    let store = store().await;
    let (user, session) = with_passkeys(&store, &["b25l"]).await;
    let ended = store.end_session(&user.uid, &session.id, None).await;
    assert_eq!(ended.expect("an answer"), Outcome::Written);
    let new = passkey(&user, "dHdv");
    let outcome = add_to(&store, &user, &session, &new, "new").await;
    assert_eq!(outcome, PasskeyAdditionOutcome::Conflict);
    let hash = passkey(&user, "b25l").hash();
    let outcome = remove(&store, &user, &session, &hash).await;
    assert_eq!(outcome, Outcome::Conflict);
    assert!(!has_item(&store, &new).await);
    assert_eq!(ids(&store, &user).await, ["b25l"]);
}
