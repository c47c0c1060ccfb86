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
    domain::{
        email_address::AccountKey,
        user::{CredentialAccess, User},
    },
    platform::{clock::Timestamp, retry::Backoff},
};

/// Attributes of the items in the Users table that are not users: keys, the account key of a uid,
/// and the published keys.
const OTHER_ATTRIBUTES: [&str; 4] = [PK, "keys", "revision", "user"];

/// The part of a batch read that concerns one table.
pub(super) struct TableRead<'a> {
    table: &'a String,
    keys: Vec<Item>,
    /// The attributes of users or passkeys to read; `None` for all attributes of all items.
    attributes: Option<&'static [&'static str]>,
}

impl<'a> TableRead<'a> {
    pub(super) const fn new(
        table: &'a String,
        keys: Vec<Item>,
        attributes: Option<&'static [&'static str]>,
    ) -> Self {
        Self {
            table,
            keys,
            attributes,
        }
    }

    fn request(self) -> Result<KeysAndAttributes, Error> {
        let mut request = KeysAndAttributes::builder()
            .set_keys(Some(self.keys))
            .consistent_read(true);
        if let Some(attributes) = self.attributes {
            // Placeholders, because some names are reserved words.
            let names = attributes
                .iter()
                .chain(&OTHER_ATTRIBUTES)
                .enumerate()
                .map(|(number, name)| (format!("#{number}"), (*name).to_owned()));
            let names: HashMap<_, _> = names.collect();
            let projection: Vec<_> = names.keys().map(String::as_str).collect();
            request = request
                .projection_expression(projection.join(", "))
                .set_expression_attribute_names(Some(names));
        }
        request.build().map_err(Error::internal)
    }
}

impl Store {
    /// The user under the first of these keys that has one, and a grant item, in one consistent
    /// round trip.
    pub(super) async fn user_and_grant<C: CredentialAccess, G: DeserializeOwned>(
        &self,
        accounts: impl Iterator<Item = &AccountKey>,
        grant: Item,
        now: Timestamp,
    ) -> Result<(Option<User<C>>, Option<G>), Error> {
        let keys: Vec<Item> = accounts.map(user_key).collect();
        let found = self
            .batch_get([
                self.users_read::<C>(keys.clone()),
                self.grants_read(vec![grant]),
            ])
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
    pub(super) async fn user_under<C: CredentialAccess>(
        &self,
        accounts: impl Iterator<Item = &AccountKey>,
        now: Timestamp,
    ) -> Result<Option<User<C>>, Error> {
        let keys: Vec<Item> = accounts.map(user_key).collect();
        let found = self.batch_get([self.users_read::<C>(keys.clone())]).await?;
        let items = found.into_iter().map(|(_, item)| item).collect();
        self.first_user(&keys, items, now)
    }

    /// The user under the first of the keys that one of the items has. A batch has no order.
    fn first_user<C: CredentialAccess>(
        &self,
        keys: &[Item],
        mut items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<User<C>>, Error> {
        items.sort_by_key(|item| keys.iter().position(|key| key.get(PK) == item.get(PK)));
        for item in items {
            if let Some(user) = self.present_user(item, now)? {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// A read of items of the Users table, which contains no attributes that `C` withholds.
    pub(super) fn users_read<C: CredentialAccess>(&self, keys: Vec<Item>) -> TableRead<'_> {
        TableRead::new(&self.users, keys, C::ATTRIBUTES)
    }

    /// A read of items of the Grants table.
    pub(super) fn grants_read(&self, keys: Vec<Item>) -> TableRead<'_> {
        TableRead::new(&self.grants, keys, None)
    }

    /// The existing items, each with its table.
    pub(super) async fn batch_get<const N: usize>(
        &self,
        reads: [TableRead<'_>; N],
    ) -> Result<Vec<(String, Item)>, Error> {
        let mut remaining = HashMap::new();
        for read in reads.into_iter().filter(|read| !read.keys.is_empty()) {
            remaining.insert(read.table.clone(), read.request()?);
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
