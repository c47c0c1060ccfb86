//! `GET /resource/users/me`

use serde_json::{Value, json};

use crate::harness::{USER_NAMES, latchkey, number};

const PATH: &str = "/resource/users/me";

#[tokio::test]
async fn the_user_is_returned_as_at_sign_in_without_the_csrf_token() {
    let latchkey = latchkey().await;
    let user = latchkey
        .signed_up_with("me", &json!({ "data": r#"{"language":"de"}"# }))
        .await;
    let mut expected = latchkey
        .sign_in(&user.email, &user.password)
        .send()
        .await
        .json();
    expected.as_object_mut().unwrap().remove("csrf_token");
    for request in [
        latchkey.get(PATH).cookie(&user.session),
        latchkey.get(PATH).bearer(&user.session),
    ] {
        let answer = request.send().await;
        assert_eq!((answer.status, answer.json()), (200, expected.clone()));
        answer.has_names(
            &USER_NAMES
                .into_iter()
                .filter(|&name| name != "csrf_token")
                .collect::<Vec<_>>(),
        );
        assert_eq!(
            (answer.header("cache-control"), answer.header("set-cookie")),
            (Some("no-store"), None)
        );
    }
}

#[tokio::test]
async fn the_user_is_returned_in_the_current_state() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("me-now").await;
    let state =
        async || latchkey.get(PATH).cookie(&user.session).send().await.json()["state"].clone();
    assert_eq!(state().await, "pending");
    latchkey.set_state(&user, "active").await;
    assert_eq!(state().await, "active");
}

#[tokio::test]
async fn the_label_otp_is_returned_while_otp_is_on() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("me-otp").await;
    let labels = async |key: &str| -> Vec<Value> {
        let answer = latchkey.get(PATH).cookie(&user.session).send().await;
        let labels = answer.json()["labels"].as_array().unwrap().clone();
        labels
            .into_iter()
            .filter(|label| label["key"] == key)
            .collect()
    };
    assert!(labels("otp").await.is_empty());
    let email = labels("email").await;
    let authenticator = latchkey.enroll(&user).await;
    let [label] = &labels("otp").await[..] else {
        panic!("one label");
    };
    let item = latchkey.user_item(&user).await;
    let at = shared::platform::clock::Timestamp::from_seconds(number(&item, "otp_enabled_at"));
    let expected = json!({
        "key": "otp", "value": "enabled", "scope": "private",
        "created_at": at.rfc3339(), "updated_at": at.rfc3339(),
    });
    assert_eq!(*label, expected);
    assert_eq!(labels("email").await, email);
    let shown =
        crate::manage::users::manage(latchkey, json!({ "action": "show", "uid": user.uid })).await;
    assert!(
        shown["user"]["labels"].as_array().unwrap().contains(label),
        "{shown}"
    );
    latchkey
        .otp("disable", &user.session, &authenticator.recovery_codes[0])
        .send()
        .await
        .is_empty(200);
    assert!(labels("otp").await.is_empty());
}

#[tokio::test]
async fn only_the_user_of_the_session_is_returned() {
    let latchkey = latchkey().await;
    let one = latchkey.signed_up("me-one").await;
    let other = latchkey.signed_up("me-other").await;
    let uid = async |request: crate::harness::Request| request.send().await.json()["uid"].clone();
    assert_eq!(uid(latchkey.get(PATH).cookie(&one.session)).await, one.uid);
    // The bearer token takes precedence over the cookie, and the query string is ignored.
    assert_eq!(
        uid(latchkey
            .get(&format!("{PATH}?uid={}", one.uid))
            .cookie(&one.session)
            .bearer(&other.session))
        .await,
        other.uid
    );
}
