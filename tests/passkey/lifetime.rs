//! What other operations do with the passkeys of a user

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::harness::{Latchkey, Mail, User, latchkey, now, number, passkeys::Authenticator, text};

const NEW: &str = "Other-Horse-7-Battery";
const HOUR: i64 = 3600;

async fn opens(latchkey: &Latchkey, authenticator: &mut Authenticator) -> bool {
    let request = latchkey.sign_in_with_passkey(authenticator).await;
    let answer = request.send().await;
    if answer.status != 201 {
        answer.is_refused(404, &["identity.session.invalid_params"]);
    }
    answer.status == 201
}

async fn manage(latchkey: &Latchkey, user: &User, action: &str, more: Value) -> Value {
    let mut event = json!({ "action": action, "uid": user.uid });
    let members = event.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    latchkey.invoke("ManageUsersFunction", event).await.unwrap()
}

/// The kind of the newest notice of a reset.
async fn reset_notice(latchkey: &Latchkey, user: &User) -> String {
    let kinds = latchkey.queued_mails(user).await;
    let mut kinds = kinds.iter().map(|mail| text(mail, "kind"));
    let kind = kinds.find(|kind| kind.starts_with("password_changed"));
    kind.expect("a notice").to_owned()
}

/// The thief of a session adds a passkey; the owner resets the password by mail.
#[tokio::test]
async fn a_reset_removes_passkeys_of_the_last_72_hours_and_keeps_older_ones() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-reset").await;
    let mut authenticators = [(); 3].map(|()| latchkey.authenticator());
    let mut passkeys = Vec::new();
    for authenticator in &mut authenticators {
        passkeys.push(latchkey.add_passkey(&user, authenticator).await);
    }
    latchkey.age_passkey(&user, &passkeys[0], 73 * HOUR).await;
    latchkey.age_passkey(&user, &passkeys[1], 71 * HOUR).await;
    let token = latchkey.reset_token(&user).await;
    latchkey.confirm(&token, NEW).send().await.is_empty(201);

    let mut opened = Vec::new();
    for authenticator in &mut authenticators {
        opened.push(opens(latchkey, authenticator).await);
    }
    assert_eq!(opened, [true, false, false]);
    let items = latchkey.passkey_items(&user).await;
    assert_eq!(items.len(), 1);
    assert_eq!(
        items[0]["credential_id"].as_s().unwrap(),
        passkeys[0]["id"].as_str().unwrap()
    );
    let kind = reset_notice(latchkey, &user).await;
    assert_eq!(kind, "password_changed_passkeys_removed");
    let is_notice =
        |mail: &Mail| mail.is_notice() && mail.subject.contains("passkeys were removed");
    latchkey.mail_to(&user.email, 1, is_notice).await;
}

#[tokio::test]
async fn a_reset_without_recent_passkeys_keeps_all_and_says_nothing_of_them() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-reset-older").await;
    let mut authenticator = latchkey.authenticator();
    let passkey = latchkey.add_passkey(&user, &mut authenticator).await;
    latchkey.age_passkey(&user, &passkey, 72 * HOUR).await;
    let token = latchkey.reset_token(&user).await;
    latchkey.confirm(&token, NEW).send().await.is_empty(201);
    assert_eq!(reset_notice(latchkey, &user).await, "password_changed");
    assert!(opens(latchkey, &mut authenticator).await);
}

#[tokio::test]
async fn a_reset_removes_a_recent_second_factor_and_passkeys_together() {
    let latchkey = latchkey().await;
    let (user, _) = latchkey.enrolled("key-reset-both").await;
    let mut authenticator = latchkey.authenticator();
    latchkey.add_passkey(&user, &mut authenticator).await;
    latchkey
        .edit_user(&user, |item| {
            let earlier = AttributeValue::N((now() - 71 * HOUR).to_string());
            drop(item.insert("otp_enabled_at".to_owned(), earlier));
        })
        .await;
    let token = latchkey.reset_token(&user).await;
    latchkey.confirm(&token, NEW).send().await.is_empty(201);
    let kind = reset_notice(latchkey, &user).await;
    assert_eq!(kind, "password_changed_otp_and_passkeys_removed");
    let item = latchkey.user_item(&user).await;
    assert!(!item.contains_key("passkeys") && !item.contains_key("otp_secret"));
    assert!(!opens(latchkey, &mut authenticator).await);
}

#[tokio::test]
async fn a_change_of_the_password_keeps_the_passkeys() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-change").await;
    let mut authenticator = latchkey.authenticator();
    latchkey.add_passkey(&user, &mut authenticator).await;
    let change = latchkey.change_password(&user, &user.password, NEW);
    change.send().await.is_empty(201);
    assert!(opens(latchkey, &mut authenticator).await);
}

#[tokio::test]
async fn closing_the_account_removes_every_passkey() {
    let latchkey = latchkey().await;
    for (name, count) in [("key-close-one", 1), ("key-close-all", 20)] {
        let user = latchkey.confirmed(name).await;
        latchkey.add_passkeys(&user, count - 1).await;
        let mut authenticator = latchkey.authenticator();
        let passkey = latchkey.add_passkey(&user, &mut authenticator).await;
        latchkey.age_passkey(&user, &passkey, 100 * 24 * HOUR).await;
        latchkey.close(&user).send().await.is_empty(200);
        assert!(latchkey.passkey_items(&user).await.is_empty());
        assert!(!latchkey.user_item(&user).await.contains_key("passkeys"));
        // The same account, reopened, has none.
        let token = latchkey.reset_token(&user).await;
        latchkey.confirm(&token, NEW).send().await.is_empty(201);
        assert!(!opens(latchkey, &mut authenticator).await);
    }
}

#[tokio::test]
async fn closing_an_account_with_a_second_factor_removes_the_passkeys() {
    let latchkey = latchkey().await;
    let (user, otp) = latchkey.enrolled("key-close-otp").await;
    latchkey.add_passkeys(&user, 2).await;
    let code = otp.recovery_codes[0].as_str();
    let fields = [("password", user.password.as_str()), ("otp_code", code)];
    let close = latchkey.by(&user, "DELETE", "/resource/users/me");
    close.form(&fields).send().await.is_empty(200);
    assert!(latchkey.passkey_items(&user).await.is_empty());
}

#[tokio::test]
async fn a_new_address_keeps_the_passkeys() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-address").await;
    let mut authenticator = latchkey.authenticator();
    let passkey = latchkey.add_passkey(&user, &mut authenticator).await;
    let token = latchkey
        .email_change_token(&user, "key-address-new@example.com")
        .await;
    let confirmed = latchkey.confirm_email_change(&user, &token).send().await;
    assert_eq!(confirmed.status, 201);
    assert!(opens(latchkey, &mut authenticator).await);
    let listed = latchkey.passkeys(&user).await;
    assert_eq!(listed[0]["id"], passkey["id"]);
}

#[tokio::test]
async fn an_operator_who_makes_an_account_pending_removes_its_passkeys() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-set-pending").await;
    latchkey.add_passkeys(&user, 2).await;
    manage(latchkey, &user, "set-state", json!({ "state": "banned" })).await;
    assert_eq!(latchkey.passkey_items(&user).await.len(), 2);
    manage(latchkey, &user, "set-state", json!({ "state": "pending" })).await;
    assert!(latchkey.passkey_items(&user).await.is_empty());
    assert!(!latchkey.user_item(&user).await.contains_key("passkeys"));
}

#[tokio::test]
async fn an_operator_sees_how_many_passkeys_a_user_has_and_erases_them_with_the_user() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-operator").await;
    latchkey.add_passkeys(&user, 3).await;
    let event = json!({ "action": "search", "text": user.uid });
    let found = latchkey.invoke("ManageUsersFunction", event).await.unwrap();
    assert_eq!(found["users"][0]["passkeys"], 3);
    manage(latchkey, &user, "delete", json!({})).await;
    let stored = latchkey.stored().await;
    let of_user = |item: &crate::harness::Item| {
        let uid = AttributeValue::S(user.uid.clone());
        item.get("uid") == Some(&uid)
    };
    assert!(!stored.values().any(of_user));
}

#[tokio::test]
async fn an_exported_line_has_no_passkeys_and_can_be_imported() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.confirmed("key-line").await;
    latchkey.add_passkeys(&user, 1).await;
    let event = json!({ "action": "export" });
    let exported = latchkey.invoke("ManageUsersFunction", event).await.unwrap();
    let lines = exported["lines"].as_str().unwrap();
    assert!(lines.contains(&user.uid) && !lines.contains("passkeys"));
    let other = Latchkey::start(&[]).await;
    let event = json!({ "action": "import", "lines": lines });
    let imported = other.invoke("ManageUsersFunction", event).await.unwrap();
    assert_eq!(imported["imported"], 1, "{imported}");
    assert!(!other.user_item(&user).await.contains_key("passkeys"));
}

#[tokio::test]
async fn an_export_of_the_user_contains_the_passkeys_without_their_keys() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-export").await;
    let mut authenticator = Authenticator::synchronised(&latchkey.domain());
    let older = latchkey.add_passkey(&user, &mut authenticator).await;
    latchkey.age_passkey(&user, &older, 60).await;
    let mut counting = latchkey.authenticator();
    latchkey.add_passkey(&user, &mut counting).await;
    assert!(opens(latchkey, &mut counting).await);
    let path = "/resource/users/me/export";
    let answer = latchkey.by(&user, "GET", path).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut expected = latchkey.passkeys(&user).await;
    for (passkey, sign_count, is_eligible) in [(0, 2, false), (1, 0, true)] {
        expected[passkey]["sign_count"] = json!(sign_count);
        expected[passkey]["backup_eligible"] = json!(is_eligible);
    }
    assert_eq!(answer.json()["passkeys"], json!(expected));
    let item = &latchkey.passkey_items(&user).await[0];
    assert!(!answer.text().contains(text(item, "public_key")));
    assert!(number(item, "created_at") > 0);
}
