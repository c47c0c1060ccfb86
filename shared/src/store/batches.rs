//! Batch reads and writes. DynamoDB may return unprocessed items when it throttles; they are sent
//! again.

use std::{collections::HashMap, mem};

use aws_sdk_dynamodb::types::{KeysAndAttributes, WriteRequest};

use serde::de::DeserializeOwned;

use super::{
    Item, Store, failure,
    items::read,
    keys::{PK, user_key},
};
use crate::{
    Error,
    domain::{email_address::AccountKey, user::User},
    platform::{clock::Timestamp, retry::Backoff},
};

impl Store {
    /// The user under the first of these keys that has one, and a grant item, in one consistent
    /// round trip.
    pub(super) async fn user_and_grant<G: DeserializeOwned>(
        &self,
        accounts: impl Iterator<Item = &AccountKey>,
        grant: Item,
        now: Timestamp,
    ) -> Result<(Option<User>, Option<G>), Error> {
        let keys: Vec<Item> = accounts.map(user_key).collect();
        let found = self
            .batch_get([(&self.users, keys.clone()), (&self.grants, vec![grant])])
            .await?;
        let mut users = Vec::new();
        let mut grant = None;
        for (table, item) in found {
            if table == self.users {
                users.push(item);
            } else {
                grant = Some(read(item)?);
            }
        }
        Ok((self.first_user(&keys, users, now)?, grant))
    }

    /// The user under the first of these keys that has one, in one consistent round trip.
    pub(super) async fn user_under(
        &self,
        accounts: impl Iterator<Item = &AccountKey>,
        now: Timestamp,
    ) -> Result<Option<User>, Error> {
        let keys: Vec<Item> = accounts.map(user_key).collect();
        let found = self.batch_get([(&self.users, keys.clone())]).await?;
        let items = found.into_iter().map(|(_, item)| item).collect();
        self.first_user(&keys, items, now)
    }

    /// The user under the first of the keys that one of the items has. A batch has no order.
    fn first_user(
        &self,
        keys: &[Item],
        mut items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<User>, Error> {
        items.sort_by_key(|item| keys.iter().position(|key| key.get(PK) == item.get(PK)));
        for item in items {
            if let Some(user) = self.present_user(item, now)? {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// The existing items, each with its table.
    pub(super) async fn batch_get<const N: usize>(
        &self,
        requests: [(&String, Vec<Item>); N],
    ) -> Result<Vec<(String, Item)>, Error> {
        let mut remaining = HashMap::new();
        for (table, keys) in requests.into_iter().filter(|(_, keys)| !keys.is_empty()) {
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .consistent_read(true)
                .build()
                .map_err(Error::internal)?;
            remaining.insert(table.clone(), keys);
        }
        let mut found = Vec::new();
        if remaining.is_empty() {
            return Ok(found);
        }
        let mut backoff = Backoff::start();
        loop {
            let request = self
                .client
                .batch_get_item()
                .set_request_items(Some(mem::take(&mut remaining)));
            let output = request.send().await.map_err(failure)?;
            for (table, items) in output.responses.unwrap_or_default() {
                found.extend(items.into_iter().map(|item| (table.clone(), item)));
            }
            remaining = output.unprocessed_keys.unwrap_or_default();
            if remaining.is_empty() {
                return Ok(found);
            }
            if !backoff.wait().await {
                return Err(unprocessed());
            }
        }
    }

    /// Writes items of the Grants table, each atomically. After an error, any of them may be
    /// written.
    pub(super) async fn write_grants(&self, mut writes: Vec<WriteRequest>) -> Result<(), Error> {
        let mut backoff = Backoff::start();
        loop {
            let output = self
                .client
                .batch_write_item()
                .request_items(&self.grants, writes)
                .send()
                .await
                .map_err(failure)?;
            writes = output
                .unprocessed_items
                .unwrap_or_default()
                .remove(&self.grants)
                .unwrap_or_default();
            if writes.is_empty() {
                return Ok(());
            }
            if !backoff.wait().await {
                return Err(unprocessed());
            }
        }
    }
}

fn unprocessed() -> Error {
    Error::Unavailable("DynamoDB returned unprocessed items of a batch after every retry".into())
}
