//! A user on the way to another account key. One transaction stores the user under the new key,
//! deletes the item under the old one and redirects the uid, so that the user has one item at any
//! moment.

use super::{
    Item, Store,
    account_keys::uid_item,
    items::{number, number_of, text},
    keys::user_key,
    presence::{any_user, has_revision},
    transaction::{Value, Write},
};
use crate::{
    Error,
    domain::{
        email_address::AccountKey,
        user::{Uid, User, Withheld},
    },
};

const REVISION: &str = "revision";

/// A user as stored, with all attributes, also those that this version does not know.
#[derive(Clone, Debug)]
pub struct Moving {
    uid: Uid,
    from: AccountKey,
    revision: Option<String>,
    item: Item,
}

impl Moving {
    /// Reads the stored item of a user.
    pub(super) fn read(item: Item) -> Result<Self, Error> {
        let User::<Withheld> {
            uid, stored_under, ..
        } = any_user(item.clone())?;
        Ok(Self {
            uid,
            from: stored_under.ok_or_else(|| Error::internal("a stored user has no key"))?,
            revision: number_of(&item, REVISION).map(str::to_owned),
            item,
        })
    }

    /// The key under which the user was read.
    pub(super) const fn key(&self) -> &AccountKey {
        &self.from
    }

    /// The item to store under the new key, with the next revision.
    pub(super) fn item_under(&self, to: &AccountKey) -> Result<Item, Error> {
        let next = match &self.revision {
            None => 1,
            Some(revision) => revision.parse::<i64>().map_err(Error::internal)? + 1,
        };
        let mut item = self.item.clone();
        item.insert(REVISION.to_owned(), number(next));
        item.extend(user_key(to));
        Ok(item)
    }

    /// Delete the item under the old key, on condition that nothing changed it since it was read and
    /// that the further condition holds, and redirect the uid.
    pub(super) fn departure_writes(
        &self,
        table: &str,
        to: &AccountKey,
        condition: Option<(&str, Value)>,
    ) -> Result<[Write; 2], Error> {
        let (revision, revision_value) = has_revision(self.revision.as_deref());
        let (further, further_value) = condition.unzip();
        let further = further.map_or(String::new(), |further| format!(" AND {further}"));
        let uid_value = (":uid", text(self.uid.as_str()));
        let delete = Store::delete(
            table,
            user_key(&self.from),
            Some(&format!("uid = :uid AND {revision}{further}")),
            [uid_value]
                .into_iter()
                .chain(revision_value)
                .chain(further_value),
        )?;
        // The uid leads to no other user: the old item, which has it, is deleted.
        let redirect = Store::put(table, uid_item(&self.uid, to), None, [])?;
        Ok([delete, redirect])
    }
}
