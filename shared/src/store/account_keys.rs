//! Writes that store a user under an account key.

use super::{
    Item, Store,
    items::{keyed, text},
    keys::{uid_key, user_key},
    presence::ExpiredAccount,
    transaction::Write,
};
use crate::{
    Error,
    domain::{
        email_address::{AccountKey, AccountKeys},
        user::{Uid, User},
    },
};

/// The condition of a write that stores an item under an unused key.
const NEW: Option<&str> = Some("attribute_not_exists(pk)");

/// The item that leads from a uid to the account key.
pub(super) fn uid_item(uid: &Uid, account: &AccountKey) -> Item {
    let mut item = uid_key(uid);
    item.insert("user".to_owned(), text(account.as_str()));
    item
}

impl Store {
    /// Store a new user under the account key and under the uid, on condition that neither exists,
    /// see [`Store::claim_writes`]. `state` replaces the state of `user`, for states that
    /// [`State`](crate::domain::user::State) does not know. The last write stores the uid, and only
    /// those before it depend on the address.
    pub(super) fn new_user_writes(
        &self,
        user: &User,
        state: Option<&str>,
        replaced: &[ExpiredAccount],
    ) -> Result<Vec<Write>, Error> {
        let accounts = user.email.account_keys();
        let mut item = keyed(user_key(accounts.account()), user)?;
        item.extend(state.map(|state| ("state".to_owned(), text(state))));
        let mut writes = self.claim_writes(&accounts, item, replaced, None)?;
        writes.push(Self::put(
            &self.users,
            uid_item(&user.uid, accounts.account()),
            NEW,
            [],
        )?);
        Ok(writes)
    }

    /// Store the item of a user under the account key of an address, on condition that no user is
    /// stored under it, nor under a key of an earlier version other than `own`, from which the user
    /// moves. Accounts that expired are replaced, on condition that they are unchanged.
    pub(super) fn claim_writes(
        &self,
        accounts: &AccountKeys,
        item: Item,
        replaced: &[ExpiredAccount],
        own: Option<&AccountKey>,
    ) -> Result<Vec<Write>, Error> {
        let table = &self.users;
        let replaced_under = |key| replaced.iter().find(|expired| expired.is_under(key));
        let mut writes = vec![match replaced_under(accounts.account()) {
            None => Self::put(table, item, NEW, [])?,
            Some(expired) => expired.replacement(table, item)?,
        }];
        for earlier in accounts.earlier().iter().filter(|key| Some(*key) != own) {
            writes.push(match replaced_under(earlier) {
                None => Self::absent(table, user_key(earlier))?,
                Some(expired) => expired.deletion(table)?,
            });
        }
        for expired in replaced {
            writes.push(expired.uid_deletion(table)?);
        }
        Ok(writes)
    }
}
