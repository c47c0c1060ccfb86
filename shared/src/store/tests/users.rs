//! Users

use super::{NOW, at_once, hash, new_user, sign_up, signed_up, store, stored, succeeded};
use crate::{
    domain::{
        activity::Action,
        email_address::AccountKeys,
        user::{LabelText, Uid, User},
    },
    store::{Outcome, SignUp},
};

#[tokio::test]
async fn a_user_is_found_by_the_address_in_any_case_with_all_attributes() {
    let store = store().await;
    let user = signed_up(&store, "Jane@Example.com").await;
    let found = store
        .find_user(&AccountKeys::of(" JANE@example.COM"), NOW)
        .await
        .expect("an answer")
        .expect("a user");
    assert_eq!(
        serde_json::to_value(found).expect("JSON"),
        serde_json::to_value(&user).expect("JSON")
    );
    assert!(
        store
            .find_user(&AccountKeys::of("john@example.com"), NOW)
            .await
            .expect("an answer")
            .is_none()
    );
}

#[tokio::test]
async fn an_address_and_a_uid_belong_to_one_user() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let again = new_user("JANE@example.com");
    assert_eq!(sign_up(&store, &again).await, SignUp::EmailTaken);
    let same_uid = User {
        uid: user.uid.clone(),
        ..new_user("john@example.com")
    };
    assert_eq!(sign_up(&store, &same_uid).await, SignUp::UidTaken);
    assert_eq!(stored(&store, &user).await.uid, user.uid);
    for (address, uid, is_email_taken, has_referral) in [
        (Some("jane@example.com"), Some(user.uid.clone()), true, true),
        (
            Some("john@example.com"),
            Uid::parse("ID0000000000"),
            false,
            false,
        ),
        (None, Some(user.uid.clone()), false, true),
        (Some("jane@example.com"), None, true, false),
        (None, None, false, false),
    ] {
        let lookup = store
            .look_up_sign_up(address.map(AccountKeys::of).as_ref(), uid.as_ref(), NOW)
            .await
            .expect("an answer");
        assert_eq!(
            (lookup.is_email_taken, lookup.has_referral),
            (is_email_taken, has_referral)
        );
        assert_eq!(
            lookup.mail_log.is_some(),
            address == Some("jane@example.com")
        );
    }
}

#[tokio::test]
async fn one_of_eight_concurrent_sign_ups_of_an_address_succeeds() {
    let store = store().await;
    let outcomes = at_once(8, |_| {
        let store = store.clone();
        let user = new_user("jane@example.com");
        async move { sign_up(&store, &user).await }
    })
    .await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|&&outcome| outcome == SignUp::Done)
            .count(),
        1
    );
    assert_eq!(
        outcomes
            .iter()
            .filter(|&&outcome| outcome == SignUp::EmailTaken)
            .count(),
        7
    );
}

#[tokio::test]
async fn a_hash_is_replaced_only_if_it_is_the_one_that_was_verified() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    store
        .replace_hash(&user, &hash("new"))
        .await
        .expect("an answer");
    assert_eq!(
        stored(&store, &user).await.credentials.password_hash,
        hash("new")
    );
    store
        .replace_hash(&user, &hash("late"))
        .await
        .expect("an answer");
    assert_eq!(
        stored(&store, &user).await.credentials.password_hash,
        hash("new")
    );
}

#[tokio::test]
async fn of_sixteen_changes_of_the_same_labels_one_is_written_with_its_activity() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let text = |text: &str| LabelText::parse(text).expect("a text");
    let outcomes = at_once(16, |number| {
        let key = text(&format!("key-{number}"));
        let changed = user.with_own_label(&key, &text("value"), NOW);
        let (store, user) = (store.clone(), user.clone());
        async move {
            let activity = succeeded(&user, Action::CreateLabel, NOW);
            let changed = changed.expect("a user");
            let outcome = store.change_labels(&user, &changed, &activity).await;
            outcome.expect("an answer")
        }
    })
    .await;
    let written = outcomes.iter().filter(|one| **one == Outcome::Written);
    assert_eq!(written.count(), 1, "{outcomes:?}");
    assert_eq!(stored(&store, &user).await.labels.len(), 1);
}

#[tokio::test]
async fn data_is_not_written_to_another_user_at_the_same_key() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let set = async |user: &User, data: &str| {
        let activity = succeeded(user, Action::UpdateData, NOW);
        let outcome = store.set_data(user, data, &activity).await;
        outcome.expect("an answer")
    };
    assert_eq!(set(&user, "[1]").await, Outcome::Written);
    let other = User {
        uid: Uid::parse("ID0000000000").expect("a uid"),
        ..user.clone()
    };
    assert_eq!(set(&other, "[2]").await, Outcome::Conflict);
    assert_eq!(stored(&store, &user).await.data.as_deref(), Some("[1]"));
}
