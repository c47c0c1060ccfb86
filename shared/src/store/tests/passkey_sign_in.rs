//! Sign-in and re-authentication with a passkey

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    NOW, all_activities, at_once, live, new_user, opened, session_of, signed_up, store, stored,
    succeeded,
};
use crate::{
    domain::{
        activity::Action,
        language::Language,
        mail::{Kind, QueuedMail},
        passkey::{Passkey, PasskeyUse},
        session::Session,
        token_id::TokenId,
        user::{Uid, User, Withheld},
        webauthn::Authentication,
    },
    store::{
        CeremonyOutcome, Store,
        items::keyed,
        keys::{passkey_key, user_key},
    },
    tokens::ceremony::Ceremony,
};

fn ceremony(id: &str) -> Ceremony {
    Ceremony {
        id: TokenId::from_text(id),
        expires_at: NOW + 300,
    }
}

fn used(passkey: &Passkey, sign_count: u32) -> PasskeyUse {
    PasskeyUse {
        passkey: passkey.clone(),
        authentication: Authentication {
            sign_count,
            backed_up: true,
        },
    }
}

/// A passkey of the user with this signature counter, listed or not.
async fn passkey_of(store: &Store, user: &User, sign_count: u32, is_listed: bool) -> Passkey {
    let passkey = Passkey {
        sign_count,
        ..Passkey::sample(user.uid.as_str(), "b25l", NOW)
    };
    store
        .client
        .put_item()
        .table_name(&store.users)
        .set_item(Some(
            keyed(passkey_key(&passkey.hash()), &passkey).expect("an item"),
        ))
        .send()
        .await
        .expect("a passkey");
    if is_listed {
        let list = AttributeValue::Ss(vec![passkey.hash().as_str().to_owned()]);
        store
            .client
            .update_item()
            .table_name(&store.users)
            .set_key(Some(user_key(&user.account_key())))
            .update_expression("SET passkeys = :list")
            .expression_attribute_values(":list", list)
            .send()
            .await
            .expect("a user");
    }
    passkey
}

async fn found(store: &Store, passkey: &Passkey, uid: &Uid) -> Option<(Passkey, User<Withheld>)> {
    store
        .find_passkey(&passkey.hash(), Some(uid), NOW)
        .await
        .expect("an answer")
}

async fn open(
    store: &Store,
    user: &User,
    session: &Session,
    passkey_use: &PasskeyUse,
    id: &str,
    notice: Option<&QueuedMail>,
) -> CeremonyOutcome {
    let activity = succeeded(user, Action::LoginWithPasskey, NOW);
    store
        .open_session_with_passkey(user, session, passkey_use, &ceremony(id), notice, &activity)
        .await
        .expect("an answer")
}

fn new_device(user: &User) -> QueuedMail {
    QueuedMail::reset_notice(Kind::NewSignIn, user, Language::En, NOW)
}

#[tokio::test]
async fn a_passkey_is_found_with_the_user_who_lists_it() {
    let store = store().await;
    let jane = signed_up(&store, "jane@example.com").await;
    let joan = signed_up(&store, "joan@example.com").await;
    let passkey = passkey_of(&store, &jane, 7, true).await;
    let (read, owner) = found(&store, &passkey, &jane.uid).await.expect("a passkey");
    assert_eq!((read, owner.uid), (passkey.clone(), jane.uid.clone()));
    assert_eq!(owner.passkeys, [passkey.hash()]);
    assert!(found(&store, &passkey, &joan.uid).await.is_none());
    let unknown = new_user("jim@example.com").uid;
    assert!(found(&store, &passkey, &unknown).await.is_none());
    let hash = passkey.hash();
    let without_handle = store.find_passkey::<Withheld>(&hash, None, NOW).await;
    assert!(without_handle.expect("an answer").is_none());
}

#[tokio::test]
async fn a_passkey_that_its_user_does_not_list_is_not_found() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let passkey = passkey_of(&store, &user, 7, false).await;
    assert!(found(&store, &passkey, &user.uid).await.is_none());
}

#[tokio::test]
async fn a_passkey_that_was_removed_since_it_was_read_opens_no_session() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let passkey = passkey_of(&store, &user, 7, true).await;
    store
        .client
        .delete_item()
        .table_name(&store.users)
        .set_key(Some(passkey_key(&passkey.hash())))
        .send()
        .await
        .expect("a deletion");
    let session = session_of(&user);
    let outcome = open(&store, &user, &session, &used(&passkey, 8), "one", None).await;
    assert_eq!(outcome, CeremonyOutcome::PasskeyChanged);
    assert!(live(&store, &user, &session).await.is_none());
    // The ceremony was not used up.
    passkey_of(&store, &user, 7, true).await;
    let outcome = open(&store, &user, &session, &used(&passkey, 8), "one", None).await;
    assert_eq!(outcome, CeremonyOutcome::Written);
}

#[tokio::test]
async fn a_session_records_the_use_of_the_passkey() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let passkey = passkey_of(&store, &user, 7, true).await;
    let session = session_of(&user);
    let outcome = open(&store, &user, &session, &used(&passkey, 8), "one", None).await;
    assert_eq!(outcome, CeremonyOutcome::Written);
    assert!(live(&store, &user, &session).await.is_some());
    let (read, _) = found(&store, &passkey, &user.uid).await.expect("a passkey");
    let expected = Passkey {
        sign_count: 8,
        backed_up: true,
        last_used_at: Some(NOW),
        ..passkey
    };
    assert_eq!(read, expected);
    let activities = all_activities(&store, &user).await.activities;
    assert!(
        activities
            .iter()
            .any(|activity| activity.action == Action::LoginWithPasskey)
    );
}

#[tokio::test]
async fn of_sixteen_uses_of_a_ceremony_one_opens_a_session() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    // A synced passkey, whose counter is always 0.
    let passkey = passkey_of(&store, &user, 0, true).await;
    let outcomes = at_once(16, |_| {
        let (store, user, passkey) = (store.clone(), user.clone(), passkey.clone());
        async move {
            let session = session_of(&user);
            open(&store, &user, &session, &used(&passkey, 0), "one", None).await
        }
    })
    .await;
    let count = |outcome| outcomes.iter().filter(|&&other| other == outcome).count();
    assert_eq!(
        (
            count(CeremonyOutcome::Written),
            count(CeremonyOutcome::Used)
        ),
        (1, 15)
    );
}

#[tokio::test]
async fn of_concurrent_uses_with_one_counter_one_opens_a_session() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let passkey = passkey_of(&store, &user, 7, true).await;
    let outcomes = at_once(16, |index| {
        let (store, user, passkey) = (store.clone(), user.clone(), passkey.clone());
        async move {
            let (session, id) = (session_of(&user), index.to_string());
            open(&store, &user, &session, &used(&passkey, 8), &id, None).await
        }
    })
    .await;
    let written = outcomes
        .iter()
        .filter(|&&outcome| outcome == CeremonyOutcome::Written);
    assert_eq!(written.count(), 1);
    assert!(!outcomes.contains(&CeremonyOutcome::Used));
}

#[tokio::test]
async fn a_counter_that_is_not_higher_opens_no_session() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let passkey = passkey_of(&store, &user, 7, true).await;
    for count in [0, 6, 7] {
        let (session, id) = (session_of(&user), count.to_string());
        let outcome = open(&store, &user, &session, &used(&passkey, count), &id, None).await;
        assert_eq!(outcome, CeremonyOutcome::PasskeyChanged, "{count}");
    }
}

#[tokio::test]
async fn one_of_concurrent_sign_ins_queues_the_notice() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let passkey = passkey_of(&store, &user, 0, true).await;
    let notice = new_device(&user);
    let first = session_of(&user);
    let outcome = open(
        &store,
        &user,
        &first,
        &used(&passkey, 0),
        "one",
        Some(&notice),
    )
    .await;
    assert_eq!(outcome, CeremonyOutcome::Written);
    assert_eq!(stored(&store, &user).await.sign_in_notice_at, Some(NOW));
    let second = session_of(&user);
    let outcome = open(
        &store,
        &user,
        &second,
        &used(&passkey, 0),
        "two",
        Some(&notice),
    )
    .await;
    assert_eq!(outcome, CeremonyOutcome::Conflict);
    let outcome = open(&store, &user, &second, &used(&passkey, 0), "two", None).await;
    assert_eq!(outcome, CeremonyOutcome::Written);
}

#[tokio::test]
async fn a_copy_is_reported_once_for_a_ceremony_and_not_after_its_success() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let passkey = passkey_of(&store, &user, 7, true).await;
    let report = async |id: &str| {
        let notice =
            QueuedMail::reset_notice(Kind::PasskeyCloneSuspected, &user, Language::En, NOW);
        let activity = succeeded(&user, Action::LoginWithPasskey, NOW);
        store
            .report_clone(&ceremony(id), Some(&notice), &activity)
            .await
            .expect("an answer")
    };
    assert_eq!(report("one").await, CeremonyOutcome::Written);
    assert_eq!(report("one").await, CeremonyOutcome::Conflict);
    // A refusal does not use the ceremony up.
    let session = session_of(&user);
    let outcome = open(&store, &user, &session, &used(&passkey, 8), "one", None).await;
    assert_eq!(outcome, CeremonyOutcome::Written);
    assert_eq!(report("one").await, CeremonyOutcome::Used);
}

#[tokio::test]
async fn a_passkey_replaces_a_session_once() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let passkey = passkey_of(&store, &user, 0, true).await;
    let session = opened(&store, &user).await;
    let replace = async |id: &str| {
        let renewed = session_of(&user);
        let activity = succeeded(&user, Action::Reauthenticate, NOW);
        let passkey_use = used(&passkey, 0);
        let outcome = store
            .replace_session_with_passkey(
                &session,
                &renewed,
                &passkey_use,
                &ceremony(id),
                &activity,
            )
            .await
            .expect("an answer");
        (outcome, live(&store, &user, &renewed).await.is_some())
    };
    assert_eq!(replace("one").await, (CeremonyOutcome::Written, true));
    assert!(live(&store, &user, &session).await.is_none());
    assert_eq!(replace("one").await, (CeremonyOutcome::Used, false));
    assert_eq!(replace("two").await, (CeremonyOutcome::Conflict, false));
}
