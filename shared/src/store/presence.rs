//! Which stored users exist for the endpoints. An expired account is absent to every operation, so
//! no endpoint reads the item of a user by another way than [`Store::account`].

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Item, Store,
    items::{number_of, read, text, text_of},
    keys::{PK, USER, uid_key, user_key},
    transaction::{Value, Write},
};
use crate::{
    Error,
    domain::{
        email_address::AccountKey,
        user::{CredentialAccess, Uid, User},
    },
    platform::clock::Timestamp,
};

/// What an item of a user means to an endpoint.
pub(super) enum Account<C> {
    /// The user.
    Present(Box<User<C>>),
    /// Nothing; a sign-up replaces the item.
    Expired(ExpiredAccount),
}

/// An account that expired before its address was confirmed, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredAccount {
    uid: Uid,
    key: AccountKey,
    revision: Option<String>,
}

impl Store {
    /// The meaning of an item at the time of the request.
    pub(super) fn account<C: CredentialAccess>(
        &self,
        item: Item,
        now: Timestamp,
    ) -> Result<Account<C>, Error> {
        let revision = number_of(&item, "revision").map(str::to_owned);
        let user: User<C> = any_user(item)?;
        Ok(if user.has_expired(self.pending_lifetime, now) {
            Account::Expired(ExpiredAccount {
                key: user.account_key(),
                uid: user.uid,
                revision,
            })
        } else {
            Account::Present(Box::new(user))
        })
    }

    /// The user that an item contains; `None` if the account has expired.
    pub(super) fn present_user<C: CredentialAccess>(
        &self,
        item: Item,
        now: Timestamp,
    ) -> Result<Option<User<C>>, Error> {
        Ok(match self.account(item, now)? {
            Account::Present(user) => Some(*user),
            Account::Expired(_) => None,
        })
    }
}

/// The user that an item contains, expired or not, with the key under which the item is stored. Only
/// for operators, who see all accounts.
pub(super) fn any_user<C: CredentialAccess>(item: Item) -> Result<User<C>, Error> {
    let key = text_of(&item, PK)?;
    let account = AccountKey::stored(key.strip_prefix(USER).unwrap_or(key));
    Ok(User {
        stored_under: Some(account),
        ..read(item)?
    })
}

impl ExpiredAccount {
    /// Whether the account is stored under this key.
    pub(super) fn is_under(&self, key: &AccountKey) -> bool {
        self.key == *key
    }

    /// Whether the account has this uid. Its replacement needs another one: a transaction cannot write
    /// an item twice, and nothing of the account may work for the new one.
    pub(super) fn has_uid(&self, uid: &Uid) -> bool {
        self.uid == *uid
    }

    /// Stores another user in place of the account, on condition that it is unchanged.
    pub(super) fn replacement(&self, table: &str, item: Item) -> Result<Write, Error> {
        let (condition, values) = self.unchanged();
        Store::put(table, item, Some(&condition), values)
    }

    /// Deletes the account, on condition that it is unchanged.
    pub(super) fn deletion(&self, table: &str) -> Result<Write, Error> {
        let (condition, values) = self.unchanged();
        Store::delete(table, user_key(&self.key), Some(&condition), values)
    }

    /// Deletes the item that leads from the uid to the account.
    pub(super) fn uid_deletion(&self, table: &str) -> Result<Write, Error> {
        Store::delete(table, uid_key(&self.uid), None, [])
    }

    /// The condition that nothing changed the account since it was read: a confirmation, an
    /// operator or another sign-up. Every write raises the revision.
    fn unchanged(&self) -> (String, Vec<Value>) {
        let revision = match &self.revision {
            None => "attribute_not_exists(revision)",
            Some(_) => "revision = :revision",
        };
        let revision_value = self
            .revision
            .as_ref()
            .map(|revision| (":revision", AttributeValue::N(revision.clone())));
        let own = [
            (":uid", text(self.uid.as_str())),
            (":pending", text("pending")),
        ];
        (
            format!("uid = :uid AND #state = :pending AND {revision}"),
            own.into_iter().chain(revision_value).collect(),
        )
    }
}
