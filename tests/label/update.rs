//! `PATCH /resource/labels/{key}`

use serde_json::json;

use super::create::created;
use crate::{
    harness::{Latchkey, Request, User, all_at_once, latchkey},
    manage::users::manage,
};

fn update(latchkey: &Latchkey, user: &User, key: &str, value: &str) -> Request {
    latchkey
        .by(user, "PATCH", &format!("/resource/labels/{key}"))
        .form(&[("value", value)])
}

#[tokio::test]
async fn the_value_of_a_public_label_is_replaced_and_recorded() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-update").await;
    let label = created(latchkey, &user, "theme", "dark").await;
    created(latchkey, &user, "other", "value").await;
    let answer = update(latchkey, &user, "Theme", "LIGHT").send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut expected = label;
    expected["value"] = json!("light");
    expected["updated_at"] = answer.json()["updated_at"].clone();
    assert_eq!(answer.json(), expected);
    let listed = latchkey.by(&user, "GET", "/resource/labels").send().await;
    assert_eq!(listed.json()[0], expected);
    assert_eq!(listed.json()[1]["value"], "value");
    let last = latchkey.activities(&user).await.pop();
    assert_eq!(last.as_deref(), Some("update label succeed"));
}

#[tokio::test]
async fn private_absent_and_reserved_labels_and_invalid_values_are_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("label-update-private").await;
    let set = json!({ "action": "set-label", "uid": user.uid, "key": "tier", "value": "gold" });
    manage(latchkey, set).await;
    manage(
        latchkey,
        json!({ "action": "verify-email", "uid": user.uid }),
    )
    .await;
    created(latchkey, &user, "theme", "dark").await;
    let patch = |key: &str| latchkey.by(&user, "PATCH", &format!("/resource/labels/{key}"));
    for (request, status, key) in [
        (
            update(latchkey, &user, "tier", "iron"),
            400,
            "resource.labels.private",
        ),
        (
            update(latchkey, &user, "email", "other"),
            400,
            "resource.labels.private",
        ),
        (
            update(latchkey, &user, "OTP", "enabled"),
            400,
            "resource.labels.private",
        ),
        (
            update(latchkey, &user, "none", "value"),
            404,
            "record.not_found",
        ),
        (
            update(latchkey, &user, "%20theme", "value"),
            404,
            "record.not_found",
        ),
        (patch("theme"), 400, "resource.labels.missing_value"),
        (
            update(latchkey, &user, "theme", ""),
            400,
            "resource.labels.empty_value",
        ),
        (update(latchkey, &user, "theme", "no"), 422, "value.invalid"),
        (
            update(latchkey, &user, "theme", "a b c"),
            422,
            "value.invalid",
        ),
        (
            patch("theme").body("text/plain", "x"),
            415,
            "request.unsupported_media_type",
        ),
    ] {
        latchkey.refuses(&user, request, status, &[key]).await;
    }
}

#[tokio::test]
async fn sixteen_concurrent_changes_keep_one_label() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-update-race").await;
    created(latchkey, &user, "theme", "dark").await;
    let requests = (0..16).map(|number| update(latchkey, &user, "theme", &format!("v-{number}")));
    let answers = all_at_once(requests).await;
    let mut count = 0;
    for answer in &answers {
        // A request that loses every attempt can be repeated.
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        count += usize::from(answer.status == 200);
    }
    let listed = latchkey
        .by(&user, "GET", "/resource/labels")
        .send()
        .await
        .json();
    let [label] = &listed.as_array().unwrap()[..] else {
        panic!("{listed}");
    };
    assert!(
        answers
            .iter()
            .any(|answer| answer.status == 200 && answer.json() == *label)
    );
    let recorded = latchkey.activities(&user).await;
    let updates = recorded
        .iter()
        .filter(|activity| *activity == "update label succeed");
    assert_eq!(updates.count(), count);
}
