//! Labels that operators set and remove

use serde_json::{Value, json};

use super::users::{manage, refuses};
use crate::harness::{Latchkey, User, all_at_once, latchkey, only_changed};

async fn set(latchkey: &Latchkey, user: &User, key: &str, value: &str, scope: Value) -> Value {
    let event = json!({
        "action": "set-label", "uid": user.uid, "key": key, "value": value, "scope": scope,
    });
    manage(latchkey, event).await["user"]["labels"].clone()
}

/// The labels as `key: value (scope)`.
fn texts(labels: &Value) -> Vec<String> {
    let text = |label: &Value| {
        let [key, value, scope] =
            ["key", "value", "scope"].map(|name| label[name].as_str().unwrap());
        format!("{key}: {value} ({scope})")
    };
    labels.as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn a_label_is_set_changed_and_removed_and_the_user_sees_who_did_it() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("operator-label").await;
    let before = latchkey.user_item(&user).await;
    let labels = set(latchkey, &user, "Phone", "VERIFIED", Value::Null).await;
    assert_eq!(texts(&labels), ["phone: verified (private)"]);
    let labels = set(latchkey, &user, "phone", "rejected", Value::Null).await;
    assert_eq!(texts(&labels), ["phone: rejected (private)"]);
    let labels = set(latchkey, &user, "phone", "rejected", json!("public")).await;
    assert_eq!(texts(&labels), ["phone: rejected (public)"]);
    let remove = json!({ "action": "remove-label", "email": user.email, "key": "PHONE" });
    let removed = manage(latchkey, remove).await;
    assert_eq!(removed["user"]["labels"], json!([]));
    let after = latchkey.user_item(&user).await;
    only_changed(&before, &after, &["labels", "updated_at"]);
    let expected = [
        "signup succeed",
        "create label succeed",
        "update label succeed",
        "update label succeed",
        "delete label succeed",
    ];
    assert_eq!(latchkey.activities(&user).await, expected);
    let topic = "/resource/users/activity/account";
    let listed = latchkey.get(topic).bearer(&user.session).send().await;
    assert_eq!(listed.json()[0]["user_agent"], "manage-users");
}

#[tokio::test]
async fn a_label_of_the_user_keeps_its_scope_unless_another_is_given() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("operator-own-label").await;
    let own = latchkey
        .by(&user, "POST", "/resource/labels")
        .form(&[("key", "theme"), ("value", "dark")]);
    assert_eq!(own.send().await.status, 201);
    let labels = set(latchkey, &user, "theme", "light", Value::Null).await;
    assert_eq!(texts(&labels), ["theme: light (public)"]);
    set(latchkey, &user, "theme", "light", json!("private")).await;
    let delete = latchkey.by(&user, "DELETE", "/resource/labels/theme");
    latchkey
        .refuses(&user, delete, 400, &["resource.labels.private"])
        .await;
}

#[tokio::test]
async fn invalid_labels_are_rejected_without_effect() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.confirmed("operator-label-invalid").await;
    manage(
        &latchkey,
        json!({ "action": "verify-email", "uid": user.uid }),
    )
    .await;
    let long = "a".repeat(256);
    let label = |key: &str, value: &str| json!({ "action": "set-label", "uid": user.uid, "key": key, "value": value });
    let with_scope = |scope: Value| {
        let mut event = label("tier", "gold");
        event["scope"] = scope;
        event
    };
    let remove = |key: &str| json!({ "action": "remove-label", "uid": user.uid, "key": key });
    for (event, field, code) in [
        (label("", "gold"), "key", "missing"),
        (label("tier", ""), "value", "missing"),
        (label("no", "gold"), "key", "invalid"),
        (label("a b c", "gold"), "key", "invalid"),
        (label(&long, "gold"), "key", "invalid"),
        (label("tier", "süß"), "value", "invalid"),
        (label("email", "verified"), "key", "invalid"),
        (label("OTP", "enabled"), "key", "invalid"),
        (label("delete", "by_user"), "key", "invalid"),
        (with_scope(json!("secret")), "scope", "invalid"),
        (with_scope(json!(1)), "scope", "invalid"),
        (remove(""), "key", "missing"),
        (remove("email"), "key", "invalid"),
        (remove("tier"), "key", "not_found"),
        (
            json!({ "action": "set-label", "uid": "ID0000000000", "key": "tier", "value": "gold" }),
            "uid",
            "not_found",
        ),
        (
            json!({ "action": "set-label", "key": "tier", "value": "gold" }),
            "email",
            "missing",
        ),
    ] {
        refuses(&latchkey, event, Some(field), code).await;
    }
}

#[tokio::test]
async fn labels_of_the_user_and_of_operators_written_at_the_same_time_are_kept() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("operator-label-race").await;
    let set: Vec<_> = (0..3)
        .map(|number| {
            let event = json!({
                "action": "set-label", "uid": user.uid, "key": format!("tier-{number}"), "value": "gold",
            });
            latchkey.invoke_later("ManageUsersFunction", event)
        })
        .collect();
    let own = (0..3).map(|number| {
        let key = format!("own-{number}");
        latchkey
            .by(&user, "POST", "/resource/labels")
            .form(&[("key", &key), ("value", "value")])
    });
    for answer in all_at_once(own).await {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    for answer in set {
        let answer = answer.await.unwrap().unwrap();
        assert!(answer.get("error").is_none(), "{answer}");
    }
    let listed = latchkey.by(&user, "GET", "/resource/labels").send().await;
    assert_eq!(listed.json().as_array().unwrap().len(), 6);
}
