//! `PATCH /resource/passkeys/{id}`

use serde_json::{Value, json};

use crate::harness::{Latchkey, Request, User, latchkey, only_changed};

fn rename(latchkey: &Latchkey, user: &User, passkey: &Value, name: &Value) -> Request {
    let path = format!("/resource/passkeys/{}", passkey["id"].as_str().unwrap());
    latchkey
        .by(user, "PATCH", &path)
        .json(&json!({ "name": name }))
}

#[tokio::test]
async fn a_passkey_gets_another_name_and_nothing_else_changes() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-rename").await;
    let mut authenticator = latchkey.authenticator();
    authenticator.id_length = 1023;
    let passkey = latchkey.add_passkey(&user, &mut authenticator).await;
    // Renaming changes nothing about how the user signs in.
    latchkey.age_authentication(&user, 901).await;
    let before = latchkey.user_item(&user).await;
    for (name, stored) in [
        (json!(" Phone\n"), "Phone".to_owned()),
        (json!(true), "true".to_owned()),
        (json!("ж".repeat(64)), "ж".repeat(64)),
    ] {
        let answer = rename(latchkey, &user, &passkey, &name).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut expected = passkey.clone();
        expected["name"] = json!(stored);
        assert_eq!(answer.json(), expected);
        assert_eq!(latchkey.passkeys(&user).await, [expected]);
    }
    only_changed(&before, &latchkey.user_item(&user).await, &[]);
    let answer = latchkey.sign_in_with_passkey(&mut authenticator).await;
    assert_eq!(answer.send().await.status, 201);
}

#[tokio::test]
async fn a_missing_blank_or_too_long_name_is_refused() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-rename-refused").await;
    let passkey = latchkey
        .add_passkey(&user, &mut latchkey.authenticator())
        .await;
    for (name, status, key) in [
        (Value::Null, 400, "resource.passkey.missing_name"),
        (json!("\u{a0} "), 400, "resource.passkey.empty_name"),
        (json!("x".repeat(65)), 422, "name.too_long"),
        (json!({}), 400, "request.malformed_body"),
    ] {
        let request = rename(latchkey, &user, &passkey, &name);
        latchkey.refuses(&user, request, status, &[key]).await;
    }
    assert_eq!(latchkey.passkeys(&user).await, [passkey]);
}

#[tokio::test]
async fn an_unknown_and_a_foreign_id_are_not_found() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-rename-own").await;
    let other = latchkey.confirmed("key-rename-other").await;
    let passkey = latchkey
        .add_passkey(&other, &mut latchkey.authenticator())
        .await;
    for id in [&passkey["id"], &json!("AAAA"), &json!("A"), &json!("%20")] {
        let request = rename(latchkey, &user, &json!({ "id": id }), &json!("Phone"));
        latchkey
            .refuses(&user, request, 404, &["record.not_found"])
            .await;
    }
    assert_eq!(latchkey.passkeys(&other).await, [passkey]);
}
