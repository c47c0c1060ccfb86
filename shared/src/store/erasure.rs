//! Erasure of accounts: by an operator, and of those that their owners closed.

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};

use super::{
    Administration, Closure, Outcome, Store,
    conditional::conditional,
    failure,
    items::{number, read, text},
    keys::{PK, SK, closure_key, closures_partition, erasure_progress_key, uid_key, user_key},
    transaction::{Transaction, Value, Write},
};
use crate::{
    Error,
    domain::user::{CredentialAccess, Day, PendingLifetime, Uid, User, Withheld},
    platform::{clock::Timestamp, retry::Backoff},
};

/// Maximum number of writes in a `BatchWriteItem` request.
const BATCH: usize = 25;

/// The outcome of the erasure of a closed account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// Nothing of the account is stored any more.
    Erased,
    /// The account was reopened, or an operator set its state, since it was closed.
    Kept,
}

/// Erases accounts that their owners closed. Endpoints of the API have a [`Store`], which has none
/// of these methods.
#[derive(Clone, Debug)]
pub struct Erasures {
    store: Store,
}

/// The last day whose closed accounts are all erased.
#[derive(serde::Deserialize)]
struct Progress {
    last_day: i64,
}

impl Erasures {
    /// Erasure of the accounts of a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store: Store {
                // A reopened account that has expired must not be taken for an erased one.
                pending_lifetime: PendingLifetime::UNLIMITED,
                ..store
            },
        }
    }

    /// The first day whose closed accounts may not all be erased.
    pub async fn first_day(&self) -> Result<Day, Error> {
        let request = self
            .store
            .client
            .get_item()
            .table_name(&self.store.grants)
            .set_key(Some(erasure_progress_key()))
            .consistent_read(true);
        let item = request.send().await.map_err(failure)?.item;
        let progress: Option<Progress> = item.map(read).transpose()?;
        Ok(progress.map_or(Day::FIRST, |progress| {
            Day::numbered(progress.last_day).next()
        }))
    }

    /// Records that the accounts that were closed on this day and earlier are all erased.
    pub async fn complete_day(&self, day: Day) -> Result<(), Error> {
        let request = self
            .store
            .client
            .update_item()
            .table_name(&self.store.grants)
            .set_key(Some(erasure_progress_key()))
            .update_expression("SET last_day = :day")
            .condition_expression("attribute_not_exists(last_day) OR last_day < :day")
            .expression_attribute_values(":day", number(day.number()));
        // A conflict means that another run has come as far.
        conditional(request).await.map(drop)
    }

    /// The accounts that were closed on a day and are not erased yet.
    pub async fn closed_on(&self, day: Day) -> Result<Vec<Closure>, Error> {
        let mut items = self
            .store
            .client
            .query()
            .table_name(&self.store.grants)
            .consistent_read(true)
            .key_condition_expression("pk = :day")
            .expression_attribute_values(":day", text(closures_partition(day)))
            .into_paginator()
            .items()
            .send();
        let mut closures = Vec::new();
        while let Some(item) = items.next().await {
            closures.push(read(item.map_err(failure)?)?);
        }
        Ok(closures)
    }

    /// Erases an account, on condition that it is still closed, at the time of the closure: first
    /// the user, then all grant items of the uid, then the item that lists the closure. So a reset
    /// of the password either reopens the account before, or finds none, and a run that was
    /// interrupted is continued by the next one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if other requests changed the user at every attempt, or DynamoDB did
    /// not respond.
    pub async fn erase(&self, closure: &Closure, now: Timestamp) -> Result<Erasure, Error> {
        let mut backoff = Backoff::start();
        loop {
            let user = self.store.find_user_by_uid(&closure.uid, now).await?;
            let Some(user): Option<User<Withheld>> = user else {
                break;
            };
            if user.closed_by_owner_at() != Some(closure.closed_at) {
                self.forget(closure).await?;
                return Ok(Erasure::Kept);
            }
            let is_closed = " AND closed_at = :closed_at AND #state = :deleted";
            let values = [
                (":closed_at", number(closure.closed_at.seconds())),
                (":deleted", text("deleted")),
            ];
            let writes = self.store.user_deletions(&user, is_closed, values)?;
            match self.store.transact(writes).await? {
                Transaction::Written => break,
                // The account was reopened, or moved to another account key.
                Transaction::ConditionFailed(_) if backoff.wait().await => {}
                Transaction::ConditionFailed(_) => {
                    return Err(Error::Unavailable(
                        "the user was changed by other requests at every attempt".into(),
                    ));
                }
            }
        }
        self.store.erase_grants(&closure.uid).await?;
        self.forget(closure).await?;
        Ok(Erasure::Erased)
    }

    /// Deletes the item that lists a closure, unless the account was closed again on that day.
    async fn forget(&self, closure: &Closure) -> Result<(), Error> {
        let delete = Store::delete(
            &self.store.grants,
            closure_key(closure.day(), &closure.uid),
            Some("closed_at = :closed_at"),
            [(":closed_at", number(closure.closed_at.seconds()))],
        )?;
        self.store.transact([delete]).await.map(drop)
    }
}

impl Administration {
    /// Erases a user and all grant items of the uid. Returns [`Outcome::Conflict`] if the user is
    /// gone. The state is set to `deleted` first, so that no sign-in creates new items. An erasure
    /// that a failure interrupted can be repeated.
    pub async fn erase_user(&self, user: &User, now: Timestamp) -> Result<Outcome, Error> {
        let close = self.deletion_write(user, now)?;
        let closed = Outcome::from(self.store.transact([close]).await?);
        if closed == Outcome::Conflict {
            return Ok(closed);
        }
        self.store.erase_grants(&user.uid).await?;
        // A passkey may have been added between the read of the user and the change of the state.
        let Some(deleted) = self.find_user_by_uid(&user.uid, now).await? else {
            return Ok(Outcome::Conflict);
        };
        let writes = self.store.user_deletions(&deleted, "", [])?;
        let erased = self.store.transact(writes).await?.into();
        // Concurrent requests that read the user before may have written grants since.
        self.store.erase_grants(&user.uid).await?;
        if let Some(closed_at) = user.closed_at {
            let key = closure_key(Day::of(closed_at), &user.uid);
            self.store.write_grants(vec![deletion(key)?]).await?;
        }
        Ok(erased)
    }
}

fn deletion(key: super::Item) -> Result<WriteRequest, Error> {
    let delete = DeleteRequest::builder()
        .set_key(Some(key))
        .build()
        .map_err(Error::internal)?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}

impl Store {
    /// Delete a user, the item of the uid and the passkeys, on condition that the user is still stored
    /// under the key at which they were read, and on a further condition. The user must be closed or
    /// deleted, so that no concurrent request adds a passkey.
    fn user_deletions<C: CredentialAccess>(
        &self,
        user: &User<C>,
        further_condition: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Write>, Error> {
        let own = [(":uid", text(user.uid.as_str()))];
        let condition = format!("uid = :uid{further_condition}");
        let mut writes = vec![
            Self::delete(
                &self.users,
                user_key(&user.account_key()),
                Some(&condition),
                own.into_iter().chain(values),
            )?,
            Self::delete(&self.users, uid_key(&user.uid), None, [])?,
        ];
        writes.extend(self.passkey_deletions(&user.uid, &user.passkeys)?);
        Ok(writes)
    }

    /// Deletes all grant items of a uid.
    async fn erase_grants(&self, uid: &Uid) -> Result<(), Error> {
        let mut keys = self
            .client
            .query()
            .table_name(&self.grants)
            .consistent_read(true)
            .key_condition_expression("pk = :uid")
            .expression_attribute_values(":uid", text(uid.as_str()))
            .projection_expression(format!("{PK}, {SK}"))
            .into_paginator()
            .items()
            .send();
        let mut batch = Vec::new();
        while let Some(key) = keys.next().await {
            batch.push(deletion(key.map_err(failure)?)?);
            if batch.len() == BATCH {
                self.write_grants(std::mem::take(&mut batch)).await?;
            }
        }
        if batch.is_empty() {
            Ok(())
        } else {
            self.write_grants(batch).await
        }
    }
}
