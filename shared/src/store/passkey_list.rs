//! The passkeys of a user: the list in the item of the user, and the item of each passkey, which
//! change together.

use std::slice;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::{
    Outcome, Store,
    conditional::{Conditional, conditional},
    items::{keyed, number, read, text},
    keys::{passkey_key, session_key},
    transaction::{Transaction, Value, Write},
    writes::{activity_write, notice_write},
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        mail::QueuedMail,
        passkey::{CredentialHash, Passkey},
        session::Session,
        user::{CredentialAccess, Uid, User},
    },
    tokens::ceremony::Ceremony,
};

/// The items to store when a passkey is added.
#[derive(Clone, Copy)]
pub struct PasskeyAddition<'a> {
    /// The passkey.
    pub passkey: &'a Passkey,
    /// The ceremony in which it was created.
    pub ceremony: &'a Ceremony,
    /// The notice to the user, if they may receive notices.
    pub notice: Option<&'a QueuedMail>,
    /// The activity.
    pub activity: &'a Activity,
}

/// The outcome of the addition of a passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum PasskeyAdditionOutcome {
    /// Everything was written.
    Added,
    /// Nothing was written, because the ceremony was used before.
    CeremonyUsed,
    /// Nothing was written, because there is a passkey with this credential id.
    Taken,
    /// Nothing was written, because the list of passkeys, the state of the account or the session
    /// epoch changed, or the session ended, since they were read.
    Conflict,
}

/// A change of the list of passkeys of a user, on condition that nothing changed it since the user
/// was read.
pub(super) struct PasskeyListChange {
    /// Continues a `SET` clause.
    pub(super) set: &'static str,
    /// Continues a `REMOVE` clause: a set cannot be empty.
    pub(super) removed: &'static str,
    pub(super) condition: &'static str,
    pub(super) values: Vec<Value>,
}

impl PasskeyListChange {
    /// Replaces the list of a user.
    pub(super) fn of<C>(user: &User<C>, listed: &[CredentialHash]) -> Self {
        let (condition, before) = passkeys_unchanged(user);
        let mut change = Self {
            set: "",
            removed: "",
            condition,
            values: before.into_iter().collect(),
        };
        if !listed.is_empty() {
            change.set = ", passkeys = :passkeys";
            change.values.push((":passkeys", list(listed)));
        } else if !user.passkeys.is_empty() {
            change.removed = ", passkeys";
        }
        change
    }

    /// A `REMOVE` clause, for a write that has no other.
    pub(super) const fn remove_clause(&self) -> &'static str {
        if self.removed.is_empty() {
            ""
        } else {
            " REMOVE passkeys"
        }
    }
}

/// The condition that the list of passkeys is unchanged since the user was read.
fn passkeys_unchanged<C>(user: &User<C>) -> (&'static str, Option<Value>) {
    match user.passkeys.as_slice() {
        [] => ("attribute_not_exists(passkeys)", None),
        passkeys => (
            "passkeys = :passkeys_before",
            Some((":passkeys_before", list(passkeys))),
        ),
    }
}

fn list(passkeys: &[CredentialHash]) -> AttributeValue {
    let hashes = passkeys.iter().map(|hash| hash.as_str().to_owned());
    AttributeValue::Ss(hashes.collect())
}

impl Store {
    /// The passkeys of a user, in no order.
    pub async fn passkeys<C: CredentialAccess>(
        &self,
        user: &User<C>,
    ) -> Result<Vec<Passkey>, Error> {
        let keys = user.passkeys.iter().map(passkey_key).collect();
        let found = self.batch_get([self.passkeys_read(keys)]).await?;
        let mut passkeys = found
            .into_iter()
            .map(|(_, item)| read::<Passkey>(item))
            .collect::<Result<Vec<_>, _>>()?;
        passkeys.retain(|passkey| passkey.uid == user.uid);
        Ok(passkeys)
    }

    /// In one transaction, stores a passkey, uses up its ceremony and adds the notice to the outbox.
    pub async fn add_passkey<C: CredentialAccess>(
        &self,
        user: &User<C>,
        session: &Session,
        addition: &PasskeyAddition<'_>,
    ) -> Result<PasskeyAdditionOutcome, Error> {
        let PasskeyAddition {
            passkey,
            ceremony,
            notice,
            activity,
        } = *addition;
        let hash = passkey.hash();
        let state = serde_dynamo::to_attribute_value(user.state).map_err(Error::internal)?;
        let mut listed = user.passkeys.clone();
        // A credential that is listed is taken; a set with a duplicate would be invalid.
        if !listed.contains(&hash) {
            listed.push(hash.clone());
        }
        let writes = [
            self.ceremony_write(ceremony)?,
            Self::put(
                &self.users,
                keyed(passkey_key(&hash), passkey)?,
                Some("attribute_not_exists(pk)"),
                [],
            )?,
            self.passkey_list_write(
                user,
                session,
                &listed,
                activity,
                Some(("#state = :state", (":state", state))),
            )?,
            self.session_check(session)?,
            activity_write(&self.grants, activity)?,
        ];
        let notice = notice_write(&self.grants, notice)?;
        Ok(
            match self.transact(writes.into_iter().chain(notice)).await? {
                Transaction::Written => PasskeyAdditionOutcome::Added,
                Transaction::ConditionFailed(0) => PasskeyAdditionOutcome::CeremonyUsed,
                Transaction::ConditionFailed(1) => PasskeyAdditionOutcome::Taken,
                Transaction::ConditionFailed(_) => PasskeyAdditionOutcome::Conflict,
            },
        )
    }

    /// Sets the name of a passkey and returns the passkey; `None` if the user has no such passkey.
    pub async fn rename_passkey<C: CredentialAccess>(
        &self,
        user: &User<C>,
        hash: &CredentialHash,
        name: &str,
    ) -> Result<Option<Passkey>, Error> {
        if !user.passkeys.contains(hash) {
            return Ok(None);
        }
        let request = self
            .client
            .update_item()
            .table_name(&self.users)
            .set_key(Some(passkey_key(hash)))
            .update_expression("SET #name = :name")
            .condition_expression("uid = :uid")
            .expression_attribute_names("#name", "name")
            .expression_attribute_values(":name", text(name))
            .expression_attribute_values(":uid", text(user.uid.as_str()))
            .return_values(ReturnValue::AllNew);
        match conditional(request).await? {
            Conditional::Written(item) => read(item).map(Some),
            Conditional::Lost(_) => Ok(None),
        }
    }

    /// In one transaction, removes a passkey and adds the notice to the outbox. Returns
    /// [`Outcome::Conflict`], without writing, if the list of passkeys or the session epoch changed,
    /// or the session ended, since they were read.
    pub async fn remove_passkey<C: CredentialAccess>(
        &self,
        user: &User<C>,
        session: &Session,
        hash: &CredentialHash,
        notice: Option<&QueuedMail>,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let mut listed = user.passkeys.clone();
        listed.retain(|other| other != hash);
        let writes = [
            self.passkey_list_write(user, session, &listed, activity, None)?,
            self.session_check(session)?,
            activity_write(&self.grants, activity)?,
        ];
        let deletion = self.passkey_deletions(&user.uid, slice::from_ref(hash))?;
        let notice = notice_write(&self.grants, notice)?;
        Ok(self
            .transact(writes.into_iter().chain(deletion).chain(notice))
            .await?
            .into())
    }

    /// Delete the items of passkeys that the transaction also removes from the list of the user.
    pub(super) fn passkey_deletions(
        &self,
        uid: &Uid,
        hashes: &[CredentialHash],
    ) -> Result<Vec<Write>, Error> {
        let deletion = |hash| {
            Self::delete(
                &self.users,
                passkey_key(hash),
                Some("attribute_not_exists(pk) OR uid = :uid"),
                [(":uid", text(uid.as_str()))],
            )
        };
        hashes.iter().map(deletion).collect()
    }

    /// Requires that the session was not ended. The epoch shows only that not all of them were.
    fn session_check(&self, session: &Session) -> Result<Write, Error> {
        let key = session_key(&session.uid, &session.id);
        Self::check(&self.grants, key, "attribute_exists(pk)", [])
    }

    /// Replaces the list of passkeys, on condition that neither the list nor the session epoch
    /// changed since they were read, and on a further condition.
    fn passkey_list_write<C: CredentialAccess>(
        &self,
        user: &User<C>,
        session: &Session,
        listed: &[CredentialHash],
        activity: &Activity,
        further: Option<(&str, Value)>,
    ) -> Result<Write, Error> {
        let change = PasskeyListChange::of(user, listed);
        let (further, further_value) = further.unzip();
        let further = further.map_or(String::new(), |further| format!(" AND {further}"));
        let values = [
            (":epoch", number(session.epoch)),
            (":now", number(activity.created_at.seconds())),
        ];
        self.user_write(
            user,
            &format!(
                "SET updated_at = :now{}{}",
                change.set,
                change.remove_clause()
            ),
            Some(&format!(
                "{} AND session_epoch = :epoch{further}",
                change.condition
            )),
            values.into_iter().chain(change.values).chain(further_value),
        )
    }
}
