//! The function `manage-users`: validation, output and log

use serde_json::{Value, json};

use crate::harness::{Latchkey, latchkey, otp, text};

/// Invokes the function.
pub async fn manage(latchkey: &Latchkey, event: Value) -> Value {
    let answer = latchkey.invoke("ManageUsersFunction", event.clone()).await;
    answer.unwrap_or_else(|error| panic!("{event}: {error}"))
}

/// Asserts an error with this field and code, and that the event has no effect.
pub async fn refuses(latchkey: &Latchkey, event: Value, field: Option<&str>, code: &str) {
    let before = latchkey.everything().await;
    let answer = manage(latchkey, event.clone()).await;
    assert_eq!(
        (
            answer["error"]["field"].as_str(),
            answer["error"]["code"].as_str()
        ),
        (field, Some(code)),
        "{event}: {answer}"
    );
    assert!(
        answer["error"]["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "{answer}"
    );
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    assert_eq!(latchkey.everything().await, before, "{event}");
}

#[tokio::test]
async fn an_invalid_event_is_rejected_with_a_message() {
    let latchkey = Latchkey::start(&[]).await;
    let email = latchkey.signed_up("manage-odd").await.email;
    for (event, field, code) in [
        (json!(null), None, "invalid"),
        (json!("show"), None, "invalid"),
        (json!([]), None, "invalid"),
        (json!({}), Some("action"), "missing"),
        (json!({ "action": 7 }), Some("action"), "invalid"),
        (json!({ "action": "drop" }), Some("action"), "unknown"),
        (json!({ "action": "show" }), Some("email"), "missing"),
        (
            json!({ "action": "show", "email": "nobody" }),
            Some("email"),
            "invalid",
        ),
        (
            json!({ "action": "show", "email": "nobody@example.com" }),
            Some("email"),
            "not_found",
        ),
        (
            json!({ "action": "show", "uid": "ID0000000000" }),
            Some("uid"),
            "not_found",
        ),
        (
            json!({ "action": "show", "uid": "", "email": null }),
            Some("email"),
            "missing",
        ),
        (
            json!({ "action": "show", "email": email, "uid": "ID0000000000" }),
            Some("uid"),
            "invalid",
        ),
        (
            json!({ "action": "show", "email": email, "State": "banned" }),
            Some("State"),
            "unknown",
        ),
        (
            json!({ "action": "delete", "email": email, "force": true }),
            Some("force"),
            "unknown",
        ),
        (
            json!({ "action": "set-state", "email": email }),
            Some("state"),
            "missing",
        ),
        (
            json!({ "action": "set-state", "email": email, "state": "Banned" }),
            Some("state"),
            "invalid",
        ),
        (
            json!({ "action": "set-state", "state": "banned" }),
            Some("email"),
            "missing",
        ),
        (
            json!({ "action": "set-role", "email": email }),
            Some("role"),
            "missing",
        ),
        (
            json!({ "action": "set-role", "email": email, "role": "a b" }),
            Some("role"),
            "invalid",
        ),
        (
            json!({ "action": "set-role", "email": email, "level": -1 }),
            Some("level"),
            "invalid",
        ),
        (
            json!({ "action": "set-role", "email": email, "level": 4_294_967_296_u64 }),
            Some("level"),
            "invalid",
        ),
        (
            json!({ "action": "set-role", "email": email, "level": "3" }),
            Some("level"),
            "invalid",
        ),
        (
            json!({ "action": "disable-otp", "email": email }),
            None,
            "not_enabled",
        ),
        (
            json!({ "action": "export", "limit": 0 }),
            Some("limit"),
            "invalid",
        ),
        (
            json!({ "action": "export", "limit": 5001 }),
            Some("limit"),
            "invalid",
        ),
        (
            json!({ "action": "export", "after": "manage-odd@example.com" }),
            Some("after"),
            "invalid",
        ),
        (json!({ "action": "import" }), Some("lines"), "missing"),
        (
            json!({ "action": "import", "lines": "{}\n".repeat(1001) }),
            Some("lines"),
            "invalid",
        ),
    ] {
        refuses(&latchkey, event, field, code).await;
    }
}

#[tokio::test]
async fn a_user_is_shown_without_password_hash_and_otp_secret() {
    let latchkey = latchkey().await;
    let user = latchkey
        .signed_up_with("manage-show", &json!({ "data": "{\"a\":1}" }))
        .await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    for identifier in [
        json!({ "email": " MANAGE-show@Example.com " }),
        json!({ "uid": user.uid }),
    ] {
        let mut event = identifier;
        event["action"] = json!("show");
        let answer = manage(latchkey, event).await;
        let shown = &answer["user"];
        assert_eq!(
            (&shown["email"], &shown["uid"], &shown["otp"]),
            (&json!(user.email), &json!(user.uid), &json!(true))
        );
        assert_eq!(
            (&shown["state"], &shown["role"], &shown["level"]),
            (&json!("pending"), &json!("member"), &json!(0))
        );
        assert_eq!(shown["data"], "{\"a\":1}");
        let item = latchkey.user_item(&user).await;
        for secret in [text(&item, "password_hash"), otp::SECRET] {
            assert!(!answer.to_string().contains(secret), "{answer}");
        }
    }
}

#[tokio::test]
async fn actions_are_logged_without_secrets() {
    let latchkey = Latchkey::start(&[]).await;
    let email = "log.me@example.com";
    let password = "Correct-Horse-7-Battery&";
    manage(
        &latchkey,
        json!({ "action": "create", "email": email, "password": password }),
    )
    .await;
    let lines = manage(&latchkey, json!({ "action": "export" })).await["lines"]
        .as_str()
        .unwrap()
        .to_owned();
    let hash = serde_json::from_str::<Value>(&lines).unwrap()["password_hash"]
        .as_str()
        .unwrap()
        .to_owned();
    manage(&latchkey, json!({ "action": "import", "lines": lines })).await;
    for action in ["end-sessions", "delete"] {
        manage(&latchkey, json!({ "action": action, "email": email })).await;
    }
    for action in ["create", "import", "end-sessions", "delete"] {
        latchkey
            .log_with(1, &format!("\"action\":\"{action}\""))
            .await;
    }
    let log = latchkey.log();
    for secret in [password, &hash, "log.me@"] {
        assert!(
            !log.iter().any(|line| line.contains(secret)),
            "{secret}: {log:#?}"
        );
    }
}
