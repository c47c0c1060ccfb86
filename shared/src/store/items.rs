//! Structs to items and back, and the reads that everything is built on.

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use serde::{Serialize, de::DeserializeOwned};
use serde_dynamo::{from_item, to_item};

use super::{Item, Store, failure};
use crate::{Error, user::User};

/// The partition key of both tables.
pub(super) const PK: &str = "pk";
/// The sort key of the grants.
pub(super) const SK: &str = "sk";

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// Key of a user's item.
pub(super) fn user_key(user: &str) -> Item {
    [(PK.to_owned(), text(format!("USER#{user}")))].into()
}

/// Key of the item that makes a uid unique and findable.
pub(super) fn uid_key(uid: &str) -> Item {
    [(PK.to_owned(), text(format!("UID#{uid}")))].into()
}

/// Key of something that a user holds for a time.
pub(super) fn grant_key(uid: &str, grant: impl Into<String>) -> Item {
    [(PK.to_owned(), text(uid)), (SK.to_owned(), text(grant))].into()
}

/// The item that is stored of a value under a key.
pub(super) fn keyed(key: Item, value: &impl Serialize) -> Result<Item, Error> {
    let mut item: Item = to_item(value).map_err(Error::internal)?;
    item.extend(key);
    Ok(item)
}

pub(super) fn read<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    from_item(item).map_err(Error::internal)
}

impl Store {
    /// Stores a grant whose key is new.
    pub(super) async fn put_grant(&self, item: Item) -> Result<(), Error> {
        self.client.put_item().table_name(&self.grants).set_item(Some(item)).send().await.map_err(failure)?;
        Ok(())
    }

    /// A user and one of the grants of a uid, in one consistent round trip.
    pub(super) async fn user_and_grant<G: DeserializeOwned>(
        &self,
        user: &str,
        grant: Item,
    ) -> Result<(Option<User>, Option<G>), Error> {
        let found = self.batch_get([(&self.users, vec![user_key(user)]), (&self.grants, vec![grant])]).await?;
        let (mut user, mut grant) = (None, None);
        for (table, item) in found {
            if table == self.users {
                user = Some(read(item)?);
            } else {
                grant = Some(read(item)?);
            }
        }
        Ok((user, grant))
    }

    /// The items that exist, each with its table. A part that DynamoDB left out counts as no answer.
    pub(super) async fn batch_get<const N: usize>(
        &self,
        requests: [(&String, Vec<Item>); N],
    ) -> Result<Vec<(String, Item)>, Error> {
        let mut request = self.client.batch_get_item();
        for (table, keys) in requests {
            let keys =
                KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().map_err(Error::internal)?;
            request = request.request_items(table, keys);
        }
        let output = request.send().await.map_err(failure)?;
        if output.unprocessed_keys.is_some_and(|left| !left.is_empty()) {
            return Err(Error::Unavailable("DynamoDB left a part of a batch out".into()));
        }
        let tables = output.responses.unwrap_or_default();
        Ok(tables.into_iter().flat_map(|(table, items)| items.into_iter().map(move |item| (table.clone(), item))).collect())
    }
}
