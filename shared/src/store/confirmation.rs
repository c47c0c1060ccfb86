//! Confirmation of an address.

use super::{
    Store,
    items::{number, read, text, text_of},
    keys::{SESSION, SK, code_key, session_key, user_key},
    limits::Attempt,
    otp::REMOVE_OTP,
    passkey_list::PasskeyListChange,
    transaction::Transaction,
    writes::{activity_write, device_epochs, has_device_epoch, session_write},
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        one_time_code::{Kind, OneTimeCode},
        session::{Session, SessionId},
        user::{Credentials, User},
    },
    platform::clock::Timestamp,
    tokens::signed_token::Claims,
};

/// The outcome of a confirmation of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The address is confirmed.
    Done,
    /// The code was used or replaced by a newer one.
    CodeUsed,
    /// The user is gone, is not pending, or changed since it was read.
    NothingToConfirm,
}

/// What is stored for the confirmation of an address.
#[derive(Debug, Default)]
pub struct StoredConfirmation {
    /// The user.
    pub user: Option<User>,
    /// The newest confirmation code.
    pub code: Option<OneTimeCode>,
    /// The sessions of the user that the request presents, live or not.
    pub sessions: Vec<Session>,
}

/// A session that takes the place of another.
#[derive(Clone, Copy, Debug)]
pub struct SessionReplacement<'a> {
    /// The session to delete.
    pub old: &'a Session,
    /// The session to store.
    pub new: &'a Session,
}

impl Store {
    /// The user that the claims of a confirmation token name, their newest code of that kind, and
    /// those of the sessions that belong to the same user. One round trip, unless the user moved
    /// to another account key.
    pub async fn find_confirmation(
        &self,
        claims: &Claims,
        sessions: &[Claims],
        now: Timestamp,
    ) -> Result<StoredConfirmation, Error> {
        /// Maximum number of sessions that are read. A browser presents one or two.
        const MAX_SESSIONS: usize = 40;
        let mut grants = vec![code_key(&claims.uid, Kind::Confirmation)];
        let own = sessions.iter().filter(|session| session.uid == claims.uid);
        for session in own.take(MAX_SESSIONS) {
            let key = session_key(&session.uid, &SessionId::of(&session.token_id));
            // A batch must not contain a key twice.
            if !grants.contains(&key) {
                grants.push(key);
            }
        }
        let found = self
            .batch_get([
                self.users_read::<Credentials>(vec![user_key(&claims.account_key)]),
                self.grants_read(grants),
            ])
            .await?;
        let mut stored = StoredConfirmation::default();
        for (table, item) in found {
            if table == self.users {
                stored.user = self.present_user(item, now)?;
            } else if text_of(&item, SK)?.starts_with(SESSION) {
                stored.sessions.push(read(item)?);
            } else {
                stored.code = Some(read(item)?);
            }
        }
        stored.user = self.user_of(&claims.uid, stored.user, now).await?;
        Ok(stored)
    }

    /// In one transaction, stores the `confirmed` user and deletes the code. A first confirmation
    /// also removes every passkey: a stranger could have added it. The new session, if there is one,
    /// replaces the old one.
    pub async fn confirm_email(
        &self,
        user: &User,
        confirmed: &User,
        code: &OneTimeCode,
        session: Option<SessionReplacement<'_>>,
        attempt: &Attempt,
        activity: &Activity,
    ) -> Result<Confirmation, Error> {
        let labels =
            |user: &User| serde_dynamo::to_attribute_value(&user.labels).map_err(Error::internal);
        let delete_code = Self::delete(
            &self.grants,
            code_key(&user.uid, Kind::Confirmation),
            Some("jti = :jti"),
            [(":jti", text(code.token_id.reveal()))],
        )?;
        let is_first = confirmed.session_epoch != user.session_epoch;
        let removed = PasskeyListChange::of(user, &confirmed.passkeys);
        let confirm = self.user_write(
            user,
            &format!(
                "SET #state = :active, #level = :level, labels = :labels, session_epoch = :epoch, \
                 device_epoch = :next_device_epoch, updated_at = :now{} {}{}",
                removed.set,
                if is_first { REMOVE_OTP } else { "" },
                removed.removed,
            ),
            // A concurrent change of the user must not be overwritten.
            Some(&format!(
                "#state = :pending AND #level = :was_level AND labels = :were_labels \
                 AND session_epoch = :was_epoch AND {} AND {}",
                has_device_epoch(user),
                removed.condition,
            )),
            [
                (":pending", text("pending")),
                (":active", text("active")),
                (":was_level", number(user.level)),
                (":level", number(confirmed.level)),
                (":were_labels", labels(user)?),
                (":labels", labels(confirmed)?),
                (":was_epoch", number(user.session_epoch)),
                (":epoch", number(confirmed.session_epoch)),
                (":now", number(confirmed.updated_at.seconds())),
            ]
            .into_iter()
            .chain(device_epochs(user)?)
            .chain(removed.values),
        )?;
        let mut writes = vec![
            delete_code,
            confirm,
            activity_write(&self.grants, &attempt.success(activity))?,
        ];
        if is_first {
            writes.extend(self.passkey_deletions(&user.uid, &user.passkeys)?);
        }
        if let Some(SessionReplacement { old, new }) = session {
            let key = session_key(&old.uid, &old.id);
            writes.push(Self::delete(&self.grants, key, None, [])?);
            writes.push(session_write(&self.grants, new)?);
        }
        if let Some(key) = attempt.counter_to_delete() {
            writes.push(Self::delete(&self.grants, key, None, [])?);
        }
        Ok(match self.transact(writes).await? {
            Transaction::Written => Confirmation::Done,
            Transaction::ConditionFailed(0) => Confirmation::CodeUsed,
            Transaction::ConditionFailed(_) => Confirmation::NothingToConfirm,
        })
    }
}
