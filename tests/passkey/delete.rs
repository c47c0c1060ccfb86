//! `DELETE /resource/passkeys/{id}`

use serde_json::{Value, json};

use crate::harness::{Latchkey, Mail, Request, User, all_at_once, latchkey, only_changed};

const NOT_FOUND: &[&str] = &["record.not_found"];

fn removal(latchkey: &Latchkey, user: &User, passkey: &Value) -> Request {
    let id = passkey["id"].as_str().unwrap();
    latchkey.by(user, "DELETE", &format!("/resource/passkeys/{id}"))
}

#[tokio::test]
async fn a_removed_passkey_is_unknown_and_the_others_stay() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-remove").await;
    let [mut removed, mut kept] = [latchkey.authenticator(), latchkey.authenticator()];
    let passkey = latchkey.add_passkey(&user, &mut removed).await;
    let other = latchkey.add_passkey(&user, &mut kept).await;
    let before = latchkey.user_item(&user).await;
    removal(latchkey, &user, &passkey)
        .send()
        .await
        .is_empty(204);

    only_changed(
        &before,
        &latchkey.user_item(&user).await,
        &["passkeys", "updated_at"],
    );
    assert_eq!(latchkey.passkeys(&user).await, [other]);
    assert_eq!(latchkey.passkey_items(&user).await.len(), 1);
    let activities = latchkey.activities(&user).await;
    assert_eq!(activities.last().unwrap(), "remove passkey succeed");
    let notice = latchkey.mail_to(&user.email, 3, Mail::is_notice).await;
    assert!(notice.subject.contains("removed"), "{notice:?}");
    let signed_in = latchkey.sign_in_with_passkey(&mut removed).await;
    let refused = ["identity.session.invalid_params"];
    signed_in.send().await.is_refused(404, &refused);
    let signed_in = latchkey.sign_in_with_passkey(&mut kept).await;
    assert_eq!(signed_in.send().await.status, 201);

    let again = removal(latchkey, &user, &passkey);
    latchkey.refuses(&user, again, 404, NOT_FOUND).await;
    // The authenticator may be added again.
    latchkey.add_passkey(&user, &mut removed).await;
}

#[tokio::test]
async fn the_last_passkey_can_be_removed() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-last").await;
    let passkey = latchkey
        .add_passkey(&user, &mut latchkey.authenticator())
        .await;
    removal(latchkey, &user, &passkey)
        .send()
        .await
        .is_empty(204);
    assert!(!latchkey.user_item(&user).await.contains_key("passkeys"));
    assert!(latchkey.passkey_items(&user).await.is_empty());
}

#[tokio::test]
async fn an_unknown_and_a_foreign_id_are_not_found() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-remove-own").await;
    let other = latchkey.confirmed("key-remove-other").await;
    let passkey = latchkey
        .add_passkey(&other, &mut latchkey.authenticator())
        .await;
    for id in [&passkey["id"], &json!("AAAA"), &json!("A"), &json!("none=")] {
        let request = removal(latchkey, &user, &json!({ "id": id }));
        latchkey.refuses(&user, request, 404, NOT_FOUND).await;
    }
    assert_eq!(latchkey.passkeys(&other).await, [passkey]);
}

#[tokio::test]
async fn a_recent_authentication_is_required() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-remove-old").await;
    let passkey = latchkey
        .add_passkey(&user, &mut latchkey.authenticator())
        .await;
    latchkey.age_authentication(&user, 901).await;
    let request = removal(latchkey, &user, &passkey);
    let keys = ["authz.reauthentication_required"];
    latchkey.refuses(&user, request, 401, &keys).await;
    assert_eq!(latchkey.passkeys(&user).await, [passkey]);
}

#[tokio::test]
async fn of_sixteen_concurrent_removals_exactly_one_succeeds() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-remove-race").await;
    let passkey = latchkey
        .add_passkey(&user, &mut latchkey.authenticator())
        .await;
    let kept = latchkey
        .add_passkey(&user, &mut latchkey.authenticator())
        .await;
    let requests = (0..16).map(|_| removal(latchkey, &user, &passkey));
    let answers = all_at_once(requests).await;
    let (removed, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 204);
    assert_eq!(removed.len(), 1);
    for answer in refused {
        answer.is_refused(404, NOT_FOUND);
    }
    assert_eq!(latchkey.passkeys(&user).await, [kept]);
    let recorded = latchkey.activities(&user).await;
    let removals = recorded
        .iter()
        .filter(|activity| activity.starts_with("remove passkey"));
    assert_eq!(removals.count(), 1);
}

#[tokio::test]
async fn concurrent_removals_of_different_passkeys_all_succeed() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-remove-all").await;
    latchkey.add_passkeys(&user, 4).await;
    let passkeys = latchkey.passkeys(&user).await;
    let requests = passkeys
        .iter()
        .map(|passkey| removal(latchkey, &user, passkey));
    for answer in all_at_once(requests).await {
        answer.is_empty(204);
    }
    assert!(latchkey.passkey_items(&user).await.is_empty());
}
