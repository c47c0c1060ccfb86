//! Direct access to the stored items: to show that a rejected request changes nothing, to simulate
//! elapsed time, and to set up states that no operation leads to.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use shared::{
    domain::{email_address::AccountKey, session::SessionId, token_id::TokenId},
    platform::clock::Timestamp,
};

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

/// Asserts that no other attributes of a user's item changed than these and the revision.
#[track_caller]
pub fn only_changed(before: &Item, after: &Item, names: &[&str]) {
    let rest = |item: &Item| -> Item {
        let mut rest = item.clone();
        rest.retain(|name, _| name != "revision" && !names.contains(&name.as_str()));
        rest
    };
    assert_eq!(rest(after), rest(before));
}
/// The attributes of a mail that state its delivery.
const DELIVERY: [&str; 4] = ["leased_until", "leased_by", "released_at", "settled_at"];
/// The attributes of users and sessions that count attempts and requests, and the revision, which
/// counts writes.
const COUNTERS: [&str; 12] = [
    "totp_failures",
    "totp_retry_at",
    "recovery_failures",
    "recovery_retry_at",
    "password_known_at",
    "sign_in_notice_at",
    "failures",
    "code_failures",
    "requests",
    "requests_minute",
    // A rejected request is a use of its session, recorded at most once a minute.
    "last_used_at",
    "revision",
];

impl Latchkey {
    /// Every item that a rejected request must leave unchanged. Left out: the delivery state of
    /// mails, the dummy writes for unknown addresses, the counters, activities and notices of wrong
    /// codes (which rejected requests write too), expired items, and the public keys, which the
    /// start of a function writes.
    pub async fn everything(&self) -> Snapshot {
        let mut all = self.stored().await;
        all.retain(|key, item| {
            item.retain(|name, _| !DELIVERY.contains(&name.as_str()));
            item.retain(|name, _| !COUNTERS.contains(&name.as_str()));
            // Expired items may be deleted at any moment.
            let has_expired = item
                .get("expires_at")
                .is_some_and(|_| number(item, "expires_at") <= now());
            !(has_expired
                || key.contains(" NOBODY#")
                || key.contains(" LIMIT#")
                || key.contains(" ACTIVITY#")
                || key.contains(" KEYS#")
                || item.get("kind") == Some(&AttributeValue::S("password_known".to_owned())))
        });
        all
    }

    /// Every stored item, by its table and key.
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

    /// The item of the published public keys.
    pub async fn published_keys(&self) -> Option<Item> {
        let mut all = self.stored().await;
        all.remove(&format!("{USERS} KEYS#tokens "))
    }

    /// The item of the published public keys of access tokens.
    pub async fn published_access_keys(&self) -> Option<Item> {
        let mut all = self.stored().await;
        all.remove(&format!("{USERS} KEYS#access "))
    }

    /// Deletes the published public keys, as if no function had published any.
    pub async fn delete_published_keys(&self) {
        self.delete_keys("KEYS#tokens").await;
    }

    /// Deletes the published public keys of access tokens.
    pub async fn delete_published_access_keys(&self) {
        self.delete_keys("KEYS#access").await;
    }

    async fn delete_keys(&self, key: &str) {
        let delete = self
            .tables
            .delete_item()
            .table_name(USERS)
            .key("pk", AttributeValue::S(key.to_owned()));
        spawn(delete.send()).await.unwrap().unwrap();
    }

    /// Copies an item into the Users table, as from a restored table, unless one has that key.
    pub async fn restore_item(&self, item: Item) {
        let put = self
            .tables
            .put_item()
            .table_name(USERS)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)");
        spawn(put.send()).await.unwrap().unwrap();
    }

    /// The items of [`Latchkey::everything`] that belong to the user.
    pub async fn items_of(&self, user: &User) -> Snapshot {
        let mut all = self.everything().await;
        let address = user_key(&user.email);
        all.retain(|key, _| key.contains(&user.uid) || key.contains(&address));
        all
    }

    /// Asserts that the request is rejected with exactly these keys, and that it changes none of
    /// the user's items.
    pub async fn refuses(&self, user: &User, request: Request, status: u16, keys: &[&str]) {
        let before = self.items_of(user).await;
        request.send().await.is_refused(status, keys);
        assert_eq!(self.items_of(user).await, before);
    }

    /// The user's item in the Users table.
    pub async fn user_item(&self, user: &User) -> Item {
        self.item(USERS, &user_key(&user.email), None)
            .await
            .expect("a user")
    }

    /// The user's grant item with that sort key, as `RESET`.
    pub async fn grant(&self, user: &User, key: &str) -> Option<Item> {
        self.item(GRANTS, &user.uid, Some(key)).await
    }

    /// The stored item of a session.
    pub async fn session_item(&self, user: &User, session: &str) -> Option<Item> {
        self.grant(user, &session_key(session)).await
    }

    pub async fn edit_user(&self, user: &User, edit: impl FnOnce(&mut Item)) {
        let mut item = self.user_item(user).await;
        edit(&mut item);
        self.put(USERS, item).await;
    }

    /// Moves the sign-up of a user back by that many seconds.
    pub async fn age_user(&self, user: &User, seconds: i64) {
        self.edit_user(user, |item| move_back(item, "created_at", seconds))
            .await;
    }

    /// Moves the time at which the owner closed the account back by that many days.
    pub async fn age_closing(&self, user: &User, days: i64) {
        let closed_at = number(&self.user_item(user).await, "closed_at");
        let earlier = closed_at - days * 86_400;
        let day = |seconds| Timestamp::from_seconds(seconds).rfc3339()[..10].to_owned();
        self.edit_user(user, |item| move_back(item, "closed_at", days * 86_400))
            .await;
        let old = format!("ERASE#{}", day(closed_at));
        let mut item = self
            .item(GRANTS, &old, Some(&user.uid))
            .await
            .expect("a listed account");
        let delete = self
            .tables
            .delete_item()
            .table_name(GRANTS)
            .key("pk", item["pk"].clone())
            .key("sk", item["sk"].clone());
        spawn(delete.send()).await.unwrap().unwrap();
        item.insert(
            "pk".to_owned(),
            AttributeValue::S(format!("ERASE#{}", day(earlier))),
        );
        item.insert(
            "closed_at".to_owned(),
            AttributeValue::N(earlier.to_string()),
        );
        self.put(GRANTS, item).await;
    }

    pub async fn set_state(&self, user: &User, state: &str) {
        self.edit_user(user, |item| {
            drop(item.insert("state".to_owned(), AttributeValue::S(state.to_owned())));
        })
        .await;
    }

    pub async fn set_otp_secret(&self, user: &User, secret: &str) {
        self.edit_user(user, |item| {
            item.insert(
                "otp_secret".to_owned(),
                AttributeValue::S(secret.to_owned()),
            );
            item.insert(
                "otp_last_step".to_owned(),
                AttributeValue::N("0".to_owned()),
            );
        })
        .await;
    }

    pub async fn edit_grant(&self, user: &User, key: &str, edit: impl FnOnce(&mut Item)) {
        let mut item = self.grant(user, key).await.expect("a grant");
        edit(&mut item);
        self.put(GRANTS, item).await;
    }

    pub async fn put_grant(&self, item: Item) {
        self.put(GRANTS, item).await;
    }

    pub async fn edit_session(&self, user: &User, session: &str, edit: impl FnOnce(&mut Item)) {
        self.edit_grant(user, &session_key(session), edit).await;
    }

    /// Moves all times of a session back by that many seconds.
    pub async fn age_session(&self, user: &User, session: &str, seconds: i64) {
        self.edit_session(user, session, |item| {
            for name in ["began_at", "last_used_at", "expires_at"] {
                move_back(item, name, seconds);
            }
        })
        .await;
    }

    /// Moves the expiry of the reset code back by that many seconds.
    /// Moves the authentication of the session back in time.
    pub async fn age_authentication(&self, user: &User, seconds: i64) {
        self.edit_session(user, &user.session, |item| {
            let earlier = number(item, "began_at") - seconds;
            item.insert(
                "authenticated_at".to_owned(),
                AttributeValue::N(earlier.to_string()),
            );
        })
        .await;
    }

    pub async fn age_code(&self, user: &User, seconds: i64) {
        self.age_grant(user, "RESET", seconds).await;
    }

    /// Moves the expiry of a grant item back by that many seconds.
    pub async fn age_grant(&self, user: &User, key: &str, seconds: i64) {
        self.edit_grant(user, key, |item| move_back(item, "expires_at", seconds))
            .await;
    }

    /// Sets the last use of a session to the present.
    pub async fn use_session(&self, user: &User, session: &str) {
        let now = AttributeValue::N(now().to_string());
        self.edit_session(user, session, |item| {
            drop(item.insert("last_used_at".to_owned(), now));
        })
        .await;
    }

    /// The user's activities as `login succeed`, oldest first.
    pub async fn activities(&self, user: &User) -> Vec<String> {
        let action_and_result =
            |item: &Item| format!("{} {}", text(item, "action"), text(item, "result"));
        self.grants_with_prefix(user, "ACTIVITY#")
            .await
            .iter()
            .map(action_and_result)
            .collect()
    }

    /// Deletes the user's item, and leaves the items under the uid.
    pub async fn delete_user(&self, user: &User) {
        let key = AttributeValue::S(user_key(&user.email));
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

    /// Lets the uid of a user lead to another account key.
    pub async fn redirect_uid(&self, user: &User, account: &str) {
        let item = [
            ("pk", format!("UID#{}", user.uid)),
            ("user", account.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
        self.put(USERS, item.into()).await;
    }

    /// The mail items of the user, with their delivery state.
    pub async fn queued_mails(&self, user: &User) -> Vec<Item> {
        self.grants_with_prefix(user, "MAIL#").await
    }

    async fn grants_with_prefix(&self, user: &User, prefix: &str) -> Vec<Item> {
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

/// The id under which a session is stored and listed.
pub fn session_id(session: &str) -> String {
    SessionId::of(&TokenId::from_text(&jti(session)))
        .as_str()
        .to_owned()
}

/// The key of the user of an address.
pub(super) fn user_key(email: &str) -> String {
    format!("USER#{}", AccountKey::of(email).as_str())
}

fn session_key(session: &str) -> String {
    format!("SESSION#{}", session_id(session))
}
