//! `DELETE /resource/labels/{key}`

use serde_json::json;

use super::create::{created, keys};
use crate::{
    harness::{Latchkey, Request, User, all_at_once, latchkey},
    manage::users::manage,
};

fn delete(latchkey: &Latchkey, user: &User, key: &str) -> Request {
    latchkey.by(user, "DELETE", &format!("/resource/labels/{key}"))
}

#[tokio::test]
async fn a_public_label_is_deleted_and_recorded() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-delete").await;
    created(latchkey, &user, "theme", "dark").await;
    created(latchkey, &user, "other", "value").await;
    delete(latchkey, &user, "THEME").send().await.is_empty(204);
    assert_eq!(keys(latchkey, &user).await, ["other"]);
    let last = latchkey.activities(&user).await.pop();
    assert_eq!(last.as_deref(), Some("delete label succeed"));
    latchkey
        .refuses(
            &user,
            delete(latchkey, &user, "theme"),
            404,
            &["record.not_found"],
        )
        .await;
}

#[tokio::test]
async fn private_and_reserved_labels_and_invalid_bodies_are_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("label-delete-private").await;
    let set = json!({ "action": "set-label", "uid": user.uid, "key": "tier", "value": "gold" });
    manage(latchkey, set).await;
    manage(
        latchkey,
        json!({ "action": "verify-email", "uid": user.uid }),
    )
    .await;
    created(latchkey, &user, "theme", "dark").await;
    for key in ["tier", "email", "otp", "document"] {
        let request = delete(latchkey, &user, key);
        latchkey
            .refuses(&user, request, 400, &["resource.labels.private"])
            .await;
    }
    let request = || delete(latchkey, &user, "theme");
    for (request, status, key) in [
        (
            request().body("text/plain", "x"),
            415,
            "request.unsupported_media_type",
        ),
        (
            request().body("application/json", "{"),
            400,
            "request.malformed_body",
        ),
    ] {
        latchkey.refuses(&user, request, status, &[key]).await;
    }
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_requests_deletes_a_label() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-delete-race").await;
    created(latchkey, &user, "theme", "dark").await;
    let answers = all_at_once((0..16).map(|_| delete(latchkey, &user, "theme"))).await;
    let won = answers.iter().filter(|answer| answer.status == 204).count();
    assert_eq!(won, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 204) {
        answer.is_refused(404, &["record.not_found"]);
    }
}
