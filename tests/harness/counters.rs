//! Counters of failed sign-ins and of mails.

use aws_sdk_dynamodb::types::AttributeValue;
use shared::domain::email_address::AccountKey;

use super::{
    Item, claims,
    items::{GRANTS, USERS, move_back, number, user_key},
    jti, now,
    stack::{Latchkey, spawn},
};

impl Latchkey {
    /// Deletes the counter of failed sign-ins of an address, as its expiry does.
    pub async fn reset_failures(&self, email: &str) {
        let pk = failures_key(email);
        let sk = AttributeValue::S("-".to_owned());
        let delete = self
            .tables
            .delete_item()
            .table_name(GRANTS)
            .key("pk", AttributeValue::S(pk))
            .key("sk", sk);
        spawn(delete.send()).await.unwrap().unwrap();
    }

    /// The number of failed sign-ins of an address. The stored count may include a successful
    /// attempt that is not settled yet; it is subtracted.
    pub async fn failures(&self, email: &str) -> i64 {
        let Some(item) = self.failures_item(email).await else {
            return 0;
        };
        let right = match item.get("unsettled") {
            Some(id) => self.has_succeeded(email, id.as_s().unwrap()).await,
            None => false,
        };
        number(&item, "count") - i64::from(right)
    }

    async fn has_succeeded(&self, email: &str, attempt: &str) -> bool {
        let Some(user) = self.item(USERS, &user_key(email), None).await else {
            return false;
        };
        let activity = self
            .item(
                GRANTS,
                user["uid"].as_s().unwrap(),
                Some(&format!("ACTIVITY#{attempt}")),
            )
            .await;
        activity.is_some_and(|activity| activity["result"].as_s().unwrap() == "succeed")
    }

    /// The counter of failed sign-ins of an address.
    pub async fn failures_item(&self, email: &str) -> Option<Item> {
        self.item(GRANTS, &failures_key(email), Some("-")).await
    }

    /// Moves the times of the counter of failed sign-ins back by that many seconds.
    pub async fn age_failures(&self, email: &str, seconds: i64) {
        let mut item = self.failures_item(email).await.expect("failures");
        move_back(&mut item, "retry_at", seconds * 1000);
        move_back(&mut item, "expires_at", seconds);
        self.put(GRANTS, item).await;
    }

    /// The failed sign-ins that are counted on the device of a token.
    pub async fn device_failures(&self, token: &str) -> i64 {
        let key = device_key("device", token);
        let item = self.item(GRANTS, &key, Some("-")).await;
        item.map_or(0, |item| number(&item, "count"))
    }

    /// The wrong codes that are counted on the device of a token.
    pub async fn device_codes(&self, token: &str) -> i64 {
        let key = device_key("device_codes", token);
        let item = self.item(GRANTS, &key, Some("-")).await;
        item.map_or(0, |item| number(&item, "count"))
    }

    /// Sets the number of failed sign-ins of the device of a token, without a wait.
    pub async fn edit_device_failures(&self, token: &str, count: i64) {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let item = [
            ("pk", AttributeValue::S(device_key("device", token))),
            ("sk", AttributeValue::S("-".to_owned())),
            ("count", number(count)),
            ("retry_at", number(now() * 1000)),
            (
                "expires_at",
                claims(token)["exp"]
                    .to_string()
                    .parse()
                    .map(number)
                    .unwrap(),
            ),
        ];
        self.put(
            GRANTS,
            item.map(|(name, value)| (name.to_owned(), value)).into(),
        )
        .await;
    }

    /// Moves the times of the requested mails of a kind back by that many seconds.
    pub async fn age_mail_log(&self, kind: &str, email: &str, seconds: i64) {
        let pk = format!(
            "LIMIT#{kind}#{}",
            shared::platform::random::sha256_hex(AccountKey::of(email).mail_allowance().as_str())
        );
        let mut item = self
            .item(GRANTS, &pk, Some("-"))
            .await
            .expect("a log of mails");
        let earlier = |at: &AttributeValue| {
            (at.as_n().unwrap().parse::<i64>().unwrap() - seconds * 1000).to_string()
        };
        let asked_at = item["asked_at"]
            .as_l()
            .unwrap()
            .iter()
            .map(|at| AttributeValue::N(earlier(at)))
            .collect();
        item.insert("asked_at".to_owned(), AttributeValue::L(asked_at));
        self.put(GRANTS, item).await;
    }

    /// Sets the number of failed sign-ins of an address and the remaining wait in seconds.
    pub async fn edit_failures(&self, email: &str, count: i64, wait: i64) {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let item = [
            ("pk", AttributeValue::S(failures_key(email))),
            ("sk", AttributeValue::S("-".to_owned())),
            ("count", number(count)),
            ("retry_at", number((now() + wait) * 1000)),
            ("expires_at", number(now() + wait + 900)),
        ];
        self.put(
            GRANTS,
            item.map(|(name, value)| (name.to_owned(), value)).into(),
        )
        .await;
    }
}

fn device_key(kind: &str, token: &str) -> String {
    let id = shared::platform::random::sha256_hex(&jti(token));
    format!("LIMIT#{kind}#{id}")
}

/// The key of the counter of failed sign-ins of an address.
fn failures_key(email: &str) -> String {
    format!(
        "LIMIT#sign_in#{}",
        shared::platform::random::sha256_hex(AccountKey::of(email).as_str())
    )
}
