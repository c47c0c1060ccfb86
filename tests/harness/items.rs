//! What is stored, read and changed behind the functions' back: to prove that a refusal changed
//! nothing, to let time pass, and to bring users into states that no operation brings them into.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Request, User, jti, now,
    stack::{Latchkey, spawn},
};

pub type Item = HashMap<String, AttributeValue>;
/// Items by table and key.
pub type Snapshot = BTreeMap<String, Item>;

pub(super) const USERS: &str = "UsersTable";
pub(super) const GRANTS: &str = "GrantsTable";

/// The value of a number attribute.
#[track_caller]
pub fn number(item: &Item, name: &str) -> i64 {
    item[name]
        .as_n()
        .unwrap_or_else(|_| panic!("{name} of {item:?}"))
        .parse()
        .unwrap()
}

/// The value of a text attribute.
#[track_caller]
pub fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item[name]
        .as_s()
        .unwrap_or_else(|_| panic!("{name} of {item:?}"))
}

impl Latchkey {
    /// Every item of somebody. What becomes of a mail meanwhile is no change that an operation
    /// made; what is written for nobody, so that an unknown address takes the time of a known one,
    /// is of no account; and what is counted and recorded of refusals too has tests of its own.
    pub async fn everything(&self) -> Snapshot {
        let mut all = self.stored().await;
        all.retain(|key, item| {
            item.retain(|name, _| {
                !["leased_until", "leased_by", "released_at", "settled_at"].contains(&name.as_str())
            });
            // What has expired is swept at any moment.
            let has_expired = item
                .get("expires_at")
                .is_some_and(|_| number(item, "expires_at") <= now());
            !(has_expired
                || key.contains(" NOBODY#")
                || key.contains(" LIMIT#")
                || key.contains(" ACTIVITY#"))
        });
        all
    }

    /// Every item there is, by its table and key.
    pub async fn stored(&self) -> Snapshot {
        let mut all = Snapshot::new();
        for table in [USERS, GRANTS] {
            let scan = self.tables.scan().table_name(table).consistent_read(true);
            let items = spawn(
                scan.into_paginator()
                    .items()
                    .send()
                    .collect::<Result<Vec<_>, _>>(),
            )
            .await
            .unwrap()
            .unwrap();
            for item in items {
                let key = ["pk", "sk"]
                    .map(|name| item.get(name).map_or("", |value| value.as_s().unwrap()))
                    .join(" ");
                all.insert(format!("{table} {key}"), item);
            }
        }
        all
    }

    /// Copies an item into the users' table, as from one that was restored, if nobody is there.
    pub async fn copy_back(&self, item: Item) {
        let put = self
            .tables
            .put_item()
            .table_name(USERS)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)");
        spawn(put.send()).await.unwrap().unwrap();
    }

    /// Every item that belongs to the user.
    pub async fn items_of(&self, user: &User) -> Snapshot {
        let mut all = self.everything().await;
        let address = format!("USER#{}", user.email.trim().to_lowercase());
        all.retain(|key, _| key.contains(&user.uid) || key.contains(&address));
        all
    }

    /// Asserts that the request is refused with just these keys, and that nothing of the user
    /// changes by it.
    pub async fn refuses(&self, user: &User, request: Request, status: u16, keys: &[&str]) {
        let before = self.items_of(user).await;
        request.send().await.is_refused(status, keys);
        assert_eq!(self.items_of(user).await, before);
    }

    /// The user's own item.
    pub async fn user_item(&self, user: &User) -> Item {
        self.item(USERS, &format!("USER#{}", user.email.to_lowercase()), None)
            .await
            .expect("a user")
    }

    /// What the user holds under a key, as `RESET`.
    pub async fn grant(&self, user: &User, key: &str) -> Option<Item> {
        self.item(GRANTS, &user.uid, Some(key)).await
    }

    /// What is stored of a session.
    pub async fn session_item(&self, user: &User, session: &str) -> Option<Item> {
        self.grant(user, &session_key(session)).await
    }

    /// Changes the user's item.
    pub async fn edit_user(&self, user: &User, edit: impl FnOnce(&mut Item)) {
        let mut item = self.user_item(user).await;
        edit(&mut item);
        self.put(USERS, item).await;
    }

    pub async fn set_state(&self, user: &User, state: &str) {
        self.edit_user(user, |item| {
            drop(item.insert("state".to_owned(), AttributeValue::S(state.to_owned())));
        })
        .await;
    }

    /// Turns the second factor on.
    pub async fn set_otp_secret(&self, user: &User, secret: &str) {
        self.edit_user(user, |item| {
            drop(item.insert(
                "otp_secret".to_owned(),
                AttributeValue::S(secret.to_owned()),
            ));
        })
        .await;
    }

    /// Changes what the user holds under a key.
    pub async fn edit_grant(&self, user: &User, key: &str, edit: impl FnOnce(&mut Item)) {
        let mut item = self.grant(user, key).await.expect("a grant");
        edit(&mut item);
        self.put(GRANTS, item).await;
    }

    /// Stores something that no operation did.
    pub async fn put_grant(&self, item: Item) {
        self.put(GRANTS, item).await;
    }

    /// Changes what is stored of a session.
    pub async fn edit_session(&self, user: &User, session: &str, edit: impl FnOnce(&mut Item)) {
        self.edit_grant(user, &session_key(session), edit).await;
    }

    /// Lets so many seconds pass for what is stored of a session: all its times move back.
    pub async fn age_session(&self, user: &User, session: &str, seconds: i64) {
        self.edit_session(user, session, |item| {
            for name in ["began_at", "last_used_at", "expires_at"] {
                move_back(item, name, seconds);
            }
        })
        .await;
    }

    /// The same for what is stored of a reset code.
    pub async fn age_code(&self, user: &User, seconds: i64) {
        self.age_grant(user, "RESET", seconds).await;
    }

    /// The same for what is stored under a key.
    pub async fn age_grant(&self, user: &User, key: &str, seconds: i64) {
        self.edit_grant(user, key, |item| move_back(item, "expires_at", seconds))
            .await;
    }

    /// Notes that the session was used just now.
    pub async fn use_session(&self, user: &User, session: &str) {
        let now = AttributeValue::N(now().to_string());
        self.edit_session(user, session, |item| {
            drop(item.insert("last_used_at".to_owned(), now));
        })
        .await;
    }

    /// What was done to the user's account, as `login succeed`, the oldest first.
    pub async fn activities(&self, user: &User) -> Vec<String> {
        let told = |item: &Item| format!("{} {}", text(item, "action"), text(item, "result"));
        self.held(user, "ACTIVITY#")
            .await
            .iter()
            .map(told)
            .collect()
    }

    /// Takes the user away, and leaves what is stored under the uid.
    pub async fn delete_user(&self, user: &User) {
        let key = AttributeValue::S(format!("USER#{}", user.email.to_lowercase()));
        spawn(
            self.tables
                .delete_item()
                .table_name(USERS)
                .key("pk", key)
                .send(),
        )
        .await
        .unwrap()
        .unwrap();
    }

    /// The mails that were queued for the user, with what became of them.
    pub async fn queued_mails(&self, user: &User) -> Vec<Item> {
        self.held(user, "MAIL#").await
    }

    async fn held(&self, user: &User, prefix: &str) -> Vec<Item> {
        let query = self
            .tables
            .query()
            .table_name(GRANTS)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", AttributeValue::S(user.uid.clone()))
            .expression_attribute_values(":sk", AttributeValue::S(prefix.to_owned()));
        spawn(query.send()).await.unwrap().unwrap().items.unwrap()
    }

    pub(super) async fn item(&self, table: &str, pk: &str, sk: Option<&str>) -> Option<Item> {
        let mut get = self
            .tables
            .get_item()
            .table_name(table)
            .consistent_read(true)
            .key("pk", AttributeValue::S(pk.to_owned()));
        if let Some(sk) = sk {
            get = get.key("sk", AttributeValue::S(sk.to_owned()));
        }
        spawn(get.send()).await.unwrap().unwrap().item
    }

    pub(super) async fn put(&self, table: &str, item: Item) {
        spawn(
            self.tables
                .put_item()
                .table_name(table)
                .set_item(Some(item))
                .send(),
        )
        .await
        .unwrap()
        .unwrap();
    }
}

pub(super) fn move_back(item: &mut Item, name: &str, seconds: i64) {
    let earlier = number(item, name) - seconds;
    item.insert(name.to_owned(), AttributeValue::N(earlier.to_string()));
}

/// What a session is stored and listed by.
pub fn session_id(session: &str) -> String {
    shared::platform::random::sha256_hex(&jti(session))
}

/// The key under which a session is stored.
fn session_key(session: &str) -> String {
    format!("SESSION#{}", session_id(session))
}
