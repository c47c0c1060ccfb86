//! Search of users

use serde_json::{Value, json};

use super::users::{manage, refuses};
use crate::harness::{Latchkey, otp};

async fn search(latchkey: &Latchkey, mut event: Value) -> (Vec<Value>, Value) {
    event["action"] = json!("search");
    let answer = manage(latchkey, event).await;
    let users = answer["users"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    (users.clone(), answer["next"].clone())
}

/// The sorted addresses of the users that a text finds.
async fn found(latchkey: &Latchkey, text: &str) -> Vec<String> {
    let (users, next) = search(latchkey, json!({ "text": text })).await;
    assert_eq!(next, Value::Null);
    let mut emails: Vec<String> = users
        .iter()
        .map(|user| user["email"].as_str().unwrap().to_owned())
        .collect();
    emails.sort();
    emails
}

#[tokio::test]
async fn users_are_found_by_the_beginning_of_the_address_or_the_uid() {
    let latchkey = Latchkey::start(&[]).await;
    let sign_up = async |email: &str| {
        latchkey
            .signed_up_with("-", &json!({ "email": email }))
            .await
    };
    let ann = sign_up("Ann@Example.com").await;
    sign_up("anna@example.com").await;
    sign_up("ben@example.com").await;
    sign_up("zoe@bücher.example").await;
    assert_eq!(
        found(&latchkey, "ann").await,
        ["Ann@Example.com", "anna@example.com"]
    );
    assert_eq!(found(&latchkey, " ANN@ ").await, ["Ann@Example.com"]);
    assert_eq!(
        found(&latchkey, "ann@example.co").await,
        ["Ann@Example.com"]
    );
    for text in ["zoe@", "zoe@bücher.example", "zoe@xn--bcher"] {
        assert_eq!(
            found(&latchkey, text).await,
            ["zoe@bücher.example"],
            "{text}"
        );
    }
    for text in [ann.uid.clone(), ann.uid.to_lowercase()] {
        assert_eq!(found(&latchkey, &text).await, ["Ann@Example.com"]);
    }
    for text in ["example.com", "nn", "USER#", "ID0000000000", "*", "x@y"] {
        assert_eq!(found(&latchkey, text).await, [""; 0], "{text}");
    }
}

#[tokio::test]
async fn a_result_has_what_an_operator_recognises_and_no_secret() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.confirmed("search-view").await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    latchkey.set_state(&user, "frozen").await;
    let (users, _) = search(&latchkey, json!({ "text": "search-view" })).await;
    let me = manage(&latchkey, json!({ "action": "show", "uid": user.uid })).await;
    let expected = json!([{
        "uid": user.uid, "email": user.email, "state": "frozen", "role": "member", "level": 0,
        "otp": true, "passkeys": 0, "created_at": me["user"]["created_at"],
    }]);
    assert_eq!(json!(users), expected);
}

#[tokio::test]
async fn results_are_returned_in_pages() {
    let latchkey = Latchkey::start(&[]).await;
    let mut expected = Vec::new();
    for number in 0..5 {
        expected.push(
            latchkey
                .signed_up(&format!("search-page-{number}"))
                .await
                .email,
        );
    }
    latchkey.signed_up("other").await;
    let mut emails = Vec::new();
    let mut after = Value::Null;
    let mut calls = 0;
    loop {
        let event = json!({ "text": "search-page", "limit": 2, "after": after });
        let (users, next) = search(&latchkey, event).await;
        assert!(users.len() <= 2, "{users:?}");
        emails.extend(
            users
                .iter()
                .map(|user| user["email"].as_str().unwrap().to_owned()),
        );
        calls += 1;
        after = next;
        if after.is_null() {
            break;
        }
    }
    emails.sort();
    assert_eq!(emails, expected);
    assert!(calls >= 3, "{calls}");
}

#[tokio::test]
async fn invalid_searches_are_rejected() {
    let latchkey = Latchkey::start(&[]).await;
    for (fields, field, code) in [
        (json!({}), "text", "missing"),
        (json!({ "text": "" }), "text", "missing"),
        (json!({ "text": 7 }), "text", "invalid"),
        (json!({ "text": "ann", "limit": 0 }), "limit", "invalid"),
        (json!({ "text": "ann", "limit": 1001 }), "limit", "invalid"),
        (
            json!({ "text": "ann", "after": "KEYS#tokens" }),
            "after",
            "invalid",
        ),
        (
            json!({ "text": "ann", "email": "ann@example.com" }),
            "email",
            "unknown",
        ),
    ] {
        let mut event = fields;
        event["action"] = json!("search");
        refuses(&latchkey, event, Some(field), code).await;
    }
}
