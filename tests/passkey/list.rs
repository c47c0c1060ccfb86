//! `GET /resource/passkeys`

use serde_json::{Value, json};

use crate::harness::{latchkey, passkeys::Authenticator, text};

#[tokio::test]
async fn passkeys_are_listed_newest_first_and_without_their_keys() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-list").await;
    let other = latchkey.confirmed("key-list-other").await;
    assert!(latchkey.passkeys(&user).await.is_empty());
    let mut older = Authenticator::synchronised(&latchkey.domain());
    let older_passkey = latchkey.add_passkey(&user, &mut older).await;
    // Times are in seconds.
    latchkey.age_passkey(&user, &older_passkey, 60).await;
    let newer = latchkey
        .add_passkey(&user, &mut latchkey.authenticator())
        .await;
    latchkey
        .add_passkey(&other, &mut latchkey.authenticator())
        .await;
    let signed_in = latchkey.sign_in_with_passkey(&mut older).await;
    assert_eq!(signed_in.send().await.status, 201);

    let listed = latchkey.passkeys(&user).await;
    let ids: Vec<&Value> = listed.iter().map(|passkey| &passkey["id"]).collect();
    assert_eq!(ids, [&newer["id"], &older_passkey["id"]]);
    assert_eq!(listed[0], newer);
    assert_eq!(listed[1]["backed_up"], true);
    assert!(listed[1]["last_used_at"].is_string());
}

#[tokio::test]
async fn the_list_requires_no_recent_authentication() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-list-old").await;
    latchkey.age_authentication(&user, 901).await;
    assert!(latchkey.passkeys(&user).await.is_empty());
}

#[tokio::test]
async fn a_passkey_that_the_user_does_not_list_is_dead() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-dead").await;
    let mut authenticator = latchkey.authenticator();
    let passkey = latchkey.add_passkey(&user, &mut authenticator).await;
    latchkey
        .edit_user(&user, |item| drop(item.remove("passkeys")))
        .await;
    assert!(latchkey.passkeys(&user).await.is_empty());
    let ceremony = latchkey.passkey_creation(&user).await;
    assert_eq!(ceremony.options["excludeCredentials"], json!([]));
    let path = format!("/resource/passkeys/{}", passkey["id"].as_str().unwrap());
    for method in ["PATCH", "DELETE"] {
        let request = latchkey.by(&user, method, &path);
        let request = request.form(&[("name", "Phone")]);
        latchkey
            .refuses(&user, request, 404, &["record.not_found"])
            .await;
    }
    let items = latchkey.passkey_items(&user).await;
    assert_eq!(text(&items[0], "uid"), user.uid);
    assert!(!items[0].contains_key("name"));
}
