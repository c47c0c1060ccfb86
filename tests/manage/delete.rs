//! Erasure of users

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use super::users::manage;
use crate::harness::{Latchkey, User};

fn delete(
    latchkey: &Latchkey,
    user: &User,
) -> tokio::task::JoinHandle<Result<serde_json::Value, String>> {
    latchkey.invoke_later(
        "ManageUsersFunction",
        json!({ "action": "delete", "uid": user.uid }),
    )
}

#[tokio::test]
async fn erasure_deletes_every_item_of_the_user_and_no_other() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("manage-delete").await;
    let other = latchkey.signed_up("manage-stays").await;
    latchkey.reset_mail(&user.email).await;
    // More items than fit into one batch.
    for _ in 0..30 {
        latchkey.signed_in(&user).await;
    }
    assert!(
        latchkey.items_of(&user).await.len() > 30 && latchkey.activities(&user).await.len() > 30
    );
    let others = latchkey.items_of(&other).await;

    let answer = delete(&latchkey, &user).await.unwrap().unwrap();
    assert_eq!(
        answer,
        json!({ "deleted": { "uid": user.uid, "email": user.email } })
    );
    assert_eq!(
        latchkey
            .items_of(&user)
            .await
            .into_keys()
            .collect::<Vec<_>>(),
        Vec::<String>::new()
    );
    assert_eq!(latchkey.activities(&user).await, Vec::<String>::new());
    assert_eq!(latchkey.items_of(&other).await, others);
    latchkey
        .sign_out(&user.session)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    latchkey
        .sign_in(&user.email, &user.password)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    let again = manage(&latchkey, json!({ "action": "delete", "uid": user.uid })).await;
    assert_eq!(again["error"]["code"], "not_found");
    // The address is free again.
    let second = latchkey.signed_up("manage-delete").await;
    assert_ne!(second.uid, user.uid);
}

#[tokio::test]
async fn an_erased_user_is_restored_by_copying_both_items_from_a_backup() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("manage-restored").await;
    let backup = latchkey.stored().await;
    delete(&latchkey, &user).await.unwrap().unwrap();
    latchkey
        .sign_in(&user.email, &user.password)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    for (_, item) in backup
        .into_iter()
        .filter(|(key, _)| key.starts_with("UsersTable ") && !key.contains("KEYS#"))
    {
        latchkey.restore_item(item).await;
    }
    let answer = latchkey.sign_in(&user.email, &user.password).send().await;
    assert_eq!(
        (answer.status, &answer.json()["uid"]),
        (201, &json!(user.uid))
    );
    assert_eq!(
        manage(&latchkey, json!({ "action": "show", "uid": user.uid })).await["user"]["email"],
        user.email
    );
}

#[tokio::test]
async fn an_interrupted_erasure_can_be_repeated() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("manage-half").await;
    // The state after an interrupted erasure.
    latchkey.set_state(&user, "deleted").await;
    latchkey
        .edit_user(&user, |item| {
            drop(item.insert(
                "session_epoch".to_owned(),
                AttributeValue::N("1".to_owned()),
            ));
        })
        .await;
    delete(&latchkey, &user).await.unwrap().unwrap();
    assert!(latchkey.items_of(&user).await.is_empty());
}

#[tokio::test]
async fn sign_ins_concurrent_with_an_erasure_leave_no_session() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("manage-delete-race").await;
    let sign_ins: Vec<_> = (0..6)
        .map(|_| latchkey.sign_in(&user.email, &user.password))
        .collect();
    let deletions: Vec<_> = (0..3).map(|_| delete(&latchkey, &user)).collect();
    let answers = crate::harness::all_at_once(sign_ins).await;
    let mut outcomes = Vec::new();
    for deletion in deletions {
        outcomes.push(deletion.await.unwrap().unwrap());
    }
    let erased = outcomes
        .iter()
        .filter(|outcome| outcome.get("deleted").is_some())
        .count();
    let late = outcomes
        .iter()
        .filter(|outcome| outcome["error"]["code"] == "not_found")
        .count();
    assert!(erased >= 1 && erased + late == 3, "{outcomes:?}");
    for answer in answers.iter().filter(|answer| answer.status == 201) {
        latchkey
            .sign_out(&answer.session())
            .send()
            .await
            .is_refused(404, &["identity.session.not_found"]);
    }
    assert!(
        !latchkey
            .everything()
            .await
            .keys()
            .any(|key| key.starts_with("UsersTable"))
    );
}
