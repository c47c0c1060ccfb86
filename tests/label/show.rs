//! `GET /resource/labels/{key}`

use super::create::created;
use crate::{harness::latchkey, manage::users::manage};
use serde_json::json;

#[tokio::test]
async fn a_label_of_either_scope_is_returned_by_its_key_in_any_case() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-show").await;
    let theme = created(latchkey, &user, "theme", "dark").await;
    let set =
        json!({ "action": "set-label", "uid": user.uid, "key": "phone", "value": "verified" });
    let phone = manage(latchkey, set).await["user"]["labels"][1].clone();
    for (key, label) in [("theme", &theme), ("THEME", &theme), ("phone", &phone)] {
        let path = format!("/resource/labels/{key}");
        let answer = latchkey.get(&path).cookie(&user.session).send().await;
        assert_eq!((answer.status, &answer.json()), (200, label));
    }
}

#[tokio::test]
async fn an_absent_label_is_not_found() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-show-none").await;
    let other = latchkey.signed_up("label-show-other").await;
    created(latchkey, &other, "theme", "dark").await;
    let long = "a".repeat(6000);
    for key in [
        "theme", "email", "otp", "%20theme", "theme%00", "*", "%ff", &long,
    ] {
        let request = latchkey.by(&user, "GET", &format!("/resource/labels/{key}"));
        latchkey
            .refuses(&user, request, 404, &["record.not_found"])
            .await;
    }
}
