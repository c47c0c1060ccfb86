//! The action `rekey`, and accounts of earlier versions

use std::fs;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::{
    domain::{email_address::AccountKey, token_id::TokenId, user::Uid},
    platform::clock::{self, Timestamp},
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};

use super::users::{manage, refuses};
use crate::harness::{Item, Latchkey, PASSWORD, all_at_once, now, text, workspace};

/// The time at which the copy was made, in seconds since the Unix epoch.
const COPIED_AT: i64 = 1_795_747_466;
const VARIABLES: [(&str, &str); 1] = [("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "0")];

/// A confirmed account under `mia@bücher.example`, with a session and a reset code.
const MIA: &str = "mia@bücher.example";
/// A confirmed account whose local part is not ASCII.
const JOSE: &str = "josé@example.com";

/// A stack whose tables are a copy of those of the previous version. The times of its items are
/// moved to the present.
pub async fn updated() -> Latchkey {
    let latchkey = Latchkey::start(&VARIABLES).await;
    let path = workspace().join("tests/manage/tables-of-previous-version.json");
    let copy: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for entry in copy.as_array().unwrap() {
        let item = entry["item"].as_object().unwrap();
        let mut item: Item = item
            .iter()
            .map(|(name, value)| (name.clone(), attribute(value)))
            .collect();
        for name in ["began_at", "last_used_at", "expires_at", "created_at"] {
            if let Some(AttributeValue::N(time)) = item.get(name) {
                let moved = time.parse::<i64>().unwrap() + now() - COPIED_AT;
                item.insert(name.to_owned(), AttributeValue::N(moved.to_string()));
            }
        }
        if entry["table"] == "UsersTable" {
            latchkey.restore_item(item).await;
        } else {
            latchkey.put_grant(item).await;
        }
    }
    // Publishes the public keys, which the previous version did not.
    let keys = latchkey.get("/.well-known/jwks.json").send().await;
    assert_eq!(keys.status, 200);
    latchkey
}

/// An attribute value from DynamoDB's JSON.
fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let text = || value.as_str().unwrap().to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "L" => AttributeValue::L(value.as_array().unwrap().iter().map(attribute).collect()),
        "M" => AttributeValue::M(
            value
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), attribute(value)))
                .collect(),
        ),
        other => panic!("{other}"),
    }
}

/// Items of the copy that the tests name.
struct Copied {
    uid: String,
    key: String,
}

async fn user_under(latchkey: &Latchkey, key: &str) -> Option<Item> {
    let stored = latchkey.stored().await;
    stored.get(&format!("UsersTable USER#{key} ")).cloned()
}

impl Copied {
    async fn of(latchkey: &Latchkey, key: &str) -> Self {
        let item = user_under(latchkey, key).await.expect("a user");
        Self {
            uid: text(&item, "uid").to_owned(),
            key: key.to_owned(),
        }
    }

    /// A token as the previous version signed it: it names the key of that version.
    async fn token(&self, latchkey: &Latchkey, purpose: Purpose, token_id: &str) -> String {
        let secret = latchkey.token_secret().await;
        let keys = SigningKeys::from_secrets(&secret, None).unwrap();
        let claims = Claims::new(
            purpose,
            TokenId::from_text(token_id),
            Uid::parse(&self.uid).unwrap(),
            AccountKey::stored(&self.key),
            clock::now(),
            Timestamp::from_seconds(now() + 3600),
        );
        keys.sign(&claims).unwrap()
    }
}

async fn rekey(latchkey: &Latchkey, apply: bool) -> (u64, Vec<Value>) {
    let mut movable = 0;
    let mut kept = Vec::new();
    let mut after = Value::Null;
    loop {
        let event = json!({ "action": "rekey", "apply": apply, "after": after });
        let answer = manage(latchkey, event).await;
        movable += answer["movable"].as_u64().expect("a number");
        kept.extend(answer["kept"].as_array().unwrap().clone());
        after = answer["next"].clone();
        if after.is_null() {
            return (movable, kept);
        }
    }
}

async fn signs_in(latchkey: &Latchkey, email: &str) -> Option<String> {
    let answer = latchkey.sign_in(email, PASSWORD).send().await;
    if answer.status == 404 {
        return None;
    }
    assert_eq!(answer.status, 201, "{email}: {answer:?}");
    Some(answer.json()["uid"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn accounts_of_the_previous_version_work_before_and_after_they_are_moved() {
    let latchkey = updated().await;
    let mia = Copied::of(&latchkey, MIA).await;
    let jose = Copied::of(&latchkey, JOSE).await;
    let session = mia
        .token(&latchkey, Purpose::Session, "copied-session")
        .await;
    let spellings = ["Mia@Bücher.example", "mia@xn--bcher-kva.example"];
    for round in ["before", "after"] {
        for email in spellings {
            assert_eq!(signs_in(&latchkey, email).await.as_ref(), Some(&mia.uid));
            latchkey
                .post("/identity/users")
                .form(&[("email", email), ("password", PASSWORD)])
                .send()
                .await
                .is_refused(422, &["email.taken"]);
        }
        let jose_signed_in = signs_in(&latchkey, "José@Example.com").await;
        assert_eq!(jose_signed_in.as_ref(), Some(&jose.uid));
        let me = latchkey.get("/resource/users/me").bearer(&session);
        let answer = me.send().await;
        assert_eq!(answer.status, 200, "{round}: {answer:?}");
        assert_eq!(answer.json()["email"], "Mia@Bücher.example");
        if round == "before" {
            rekey(&latchkey, true).await;
            assert!(user_under(&latchkey, MIA).await.is_none());
        }
    }
    // Signed-in operations that write, and the reset code of the previous version.
    latchkey
        .post("/resource/otp/generate_qrcode")
        .bearer(&session)
        .send()
        .await;
    let reset = mia.token(&latchkey, Purpose::Reset, "copied-reset").await;
    latchkey
        .confirm(&reset, "Newer-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
    let answer = latchkey.sign_in(MIA, "Newer-Horse-7-Battery").send().await;
    assert_eq!(answer.json()["uid"], mia.uid);
    latchkey
        .get("/resource/users/me")
        .bearer(&session)
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
}

#[tokio::test]
async fn an_account_of_the_previous_version_can_be_changed_where_it_is() {
    let latchkey = updated().await;
    let mia = Copied::of(&latchkey, MIA).await;
    let session = mia
        .token(&latchkey, Purpose::Session, "copied-session")
        .await;
    let reset = mia.token(&latchkey, Purpose::Reset, "copied-reset").await;
    latchkey
        .request("PUT".parse().unwrap(), "/resource/users/password")
        .bearer(&session)
        .form(&[
            ("old_password", PASSWORD),
            ("new_password", "Newer-Horse-7-Battery"),
            ("confirm_password", "Newer-Horse-7-Battery"),
        ])
        .send()
        .await
        .is_empty(201);
    latchkey
        .confirm(&reset, "Other-Horse-7-Battery")
        .send()
        .await
        .is_refused(422, &["identity.user.utilized_token"]);
    latchkey.ask_for_code(MIA).send().await.is_empty(201);
    let mail = latchkey
        .mail_to("Mia@xn--bcher-kva.example", 1, |mail| {
            mail.reset_token().is_some()
        })
        .await;
    latchkey
        .confirm(mail.reset_token().unwrap(), "Third-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
    let ban =
        json!({ "action": "set-state", "email": "mia@xn--bcher-kva.example", "state": "banned" });
    assert_eq!(manage(&latchkey, ban).await["user"]["uid"], mia.uid);
    latchkey
        .sign_in(MIA, "Third-Horse-7-Battery")
        .send()
        .await
        .is_refused(401, &["identity.session.banned"]);
    // The user is stored under one key only, where they were.
    assert!(user_under(&latchkey, MIA).await.is_some());
    assert!(
        user_under(&latchkey, "mia@xn--bcher-kva.example")
            .await
            .is_none()
    );
}

#[tokio::test]
async fn rekey_reports_what_it_would_do_then_moves_each_user_once() {
    let latchkey = updated().await;
    let before = latchkey.everything().await;
    let lea = Copied::of(&latchkey, "lea@bücher.example").await;
    let pending = Copied::of(&latchkey, "lea@ｂücher.example").await;
    let eve = Copied::of(&latchkey, "eve@example.com").await;
    let waiting = Copied::of(&latchkey, "eve@ｅxample.com").await;
    let jose = Copied::of(&latchkey, JOSE).await;

    let (movable, _) = rekey(&latchkey, false).await;
    // Both accounts of Lea could be moved; only one of them can get the key.
    assert_eq!(movable, 3);
    assert_eq!(latchkey.everything().await, before);

    let (moved, mut kept) = rekey(&latchkey, true).await;
    assert_eq!(moved, 2);
    kept.sort_by_key(|user| user["email"].to_string());
    let line = |user: &Copied, email: &str, reason: &str, by: Option<&Copied>| json!({ "uid": user.uid, "email": email, "reason": reason, "by": by.map(|user| &user.uid) });
    let mut expected = [
        line(&jose, "José@example.com", "invalid", None),
        line(&pending, "Lea@ｂücher.example", "taken", Some(&lea)),
        line(&waiting, "Eve@ｅxample.com", "taken", Some(&eve)),
    ];
    expected.sort_by_key(|user| user["email"].to_string());
    assert_eq!(kept, expected);
    // The confirmed account has the account key, and no user is lost.
    assert_eq!(
        signs_in(&latchkey, "lea@bücher.example").await,
        Some(lea.uid)
    );
    let count = |items: &crate::harness::Snapshot| {
        items.keys().filter(|key| key.contains(" USER#")).count()
    };
    let after = latchkey.everything().await;
    assert_eq!(count(&after), count(&before));

    assert_eq!(rekey(&latchkey, true).await, (0, kept));
    let again: Vec<String> = latchkey.everything().await.into_keys().collect();
    let keys = |keys: &[String]| -> Vec<String> {
        keys.iter()
            .filter(|key| key.starts_with("Users"))
            .cloned()
            .collect()
    };
    let after: Vec<String> = after.into_keys().collect();
    assert_eq!(keys(&again), keys(&after));
}

#[tokio::test]
async fn requests_during_the_move_are_answered_and_nothing_they_change_is_lost() {
    let latchkey = updated().await;
    let mia = Copied::of(&latchkey, MIA).await;
    let session = mia
        .token(&latchkey, Purpose::Session, "copied-session")
        .await;
    let me = || latchkey.get("/resource/users/me").bearer(&session);
    let runs = (0..4).map(|_| {
        let event = json!({ "action": "rekey", "apply": true });
        latchkey.invoke_later("ManageUsersFunction", event)
    });
    let runs: Vec<_> = runs.collect();
    let end = json!({ "action": "end-sessions", "uid": mia.uid });
    for answer in all_at_once((0..4).map(|_| me())).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let ended = manage(&latchkey, end).await;
    assert_eq!(ended["user"]["uid"], mia.uid);
    let mut moved = 0;
    for run in runs {
        let answer = run.await.unwrap().unwrap();
        moved += answer["movable"].as_u64().unwrap();
    }
    assert_eq!(moved, 2, "each confirmed user is moved by one run");
    me().send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    assert_eq!(signs_in(&latchkey, MIA).await, Some(mia.uid));
}

#[tokio::test]
async fn an_invalid_position_is_rejected() {
    let latchkey = Latchkey::start(&[]).await;
    for after in ["x", "unconfirmed", "unconfirmed x", " "] {
        let event = json!({ "action": "rekey", "after": after });
        refuses(&latchkey, event, Some("after"), "invalid").await;
    }
    let event = json!({ "action": "rekey", "apply": "yes" });
    refuses(&latchkey, event, Some("apply"), "invalid").await;
}
