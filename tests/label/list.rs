//! `GET /resource/labels`

use serde_json::{Value, json};

use super::create::{create, created};
use crate::{harness::latchkey, manage::users::manage};

const PATH: &str = "/resource/labels";

#[tokio::test]
async fn the_labels_of_both_scopes_are_listed_as_in_the_user() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("label-list").await;
    let list = async || {
        let answer = latchkey.get(PATH).cookie(&user.session).send().await;
        assert_eq!((answer.status, answer.header("set-cookie")), (200, None));
        answer.json()
    };
    assert_eq!(list().await, json!([]));
    let theme = created(latchkey, &user, "theme", "dark").await;
    let verify = json!({ "action": "verify-email", "uid": user.uid });
    manage(latchkey, verify).await;
    latchkey.enroll(&user).await;
    let listed = list().await;
    let texts: Vec<String> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|label| {
            format!("{} {} {}", label["key"], label["value"], label["scope"]).replace('"', "")
        })
        .collect();
    let expected = [
        "theme dark public",
        "email verified private",
        "otp enabled private",
    ];
    assert_eq!(texts, expected);
    assert_eq!(listed[0], theme);
    let me = latchkey.get("/resource/users/me").cookie(&user.session);
    assert_eq!(me.send().await.json()["labels"], listed);
}

#[tokio::test]
async fn only_the_labels_of_the_user_are_listed() {
    let latchkey = latchkey().await;
    let one = latchkey.signed_up("label-list-one").await;
    let other = latchkey.signed_up("label-list-other").await;
    assert_eq!(
        create(latchkey, &one, "theme", "dark").send().await.status,
        201
    );
    let answer: Value = latchkey
        .get(PATH)
        .bearer(&other.session)
        .send()
        .await
        .json();
    assert_eq!(answer, json!([]));
}
