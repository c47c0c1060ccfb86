//! Storage of sessions.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{
    DeleteRequest, PutRequest, ReturnValuesOnConditionCheckFailure, WriteRequest,
};

use super::{
    Outcome, Store,
    conditional::{Conditional, conditional},
    items::{number, read},
    keys::{SESSION, session_key, user_key},
    limits::Attempt,
    writes::{
        activity_item, activity_write, recovery_report_writes, session_item, session_kept_write,
        session_write,
    },
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        email_address::AccountKey,
        otp::{RecoveryCodeReport, SecondFactor},
        session::{Session, SessionId},
        user::{Uid, User},
    },
    platform::clock::Timestamp,
    tokens::signed_token::Claims,
};

impl Store {
    /// Stores a session and its activity, and deletes the failures counted before the attempt. No
    /// write depends on stored state, so a batch is sufficient, at half the cost of a transaction.
    pub async fn open_session(
        &self,
        session: &Session,
        attempt: &Attempt,
        activity: &Activity,
    ) -> Result<(), Error> {
        let put = |item| {
            PutRequest::builder()
                .set_item(Some(item))
                .build()
                .map_err(Error::internal)
        };
        let mut writes = vec![
            WriteRequest::builder()
                .put_request(put(session_item(session)?)?)
                .build(),
            WriteRequest::builder()
                .put_request(put(activity_item(&attempt.success(activity))?)?)
                .build(),
        ];
        if let Some(key) = attempt.counter_to_delete() {
            let delete = DeleteRequest::builder()
                .set_key(Some(key))
                .build()
                .map_err(Error::internal)?;
            writes.push(WriteRequest::builder().delete_request(delete).build());
        }
        self.write_grants(writes).await
    }

    /// Stores a session, marks the code as used, and clears the wrong codes and the failures
    /// counted before the attempt. Returns [`Outcome::Conflict`], without writing, if the code was
    /// used, a wrong code was counted, or the OTP secret changed since the user was read.
    pub async fn open_session_with_otp(
        &self,
        user: &User,
        session: &Session,
        factor: &SecondFactor,
        report: Option<&RecoveryCodeReport>,
        attempt: &Attempt,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let writes = [
            self.sign_in_factor_write(user, factor)?,
            session_write(&self.grants, session)?,
            activity_write(&self.grants, &attempt.success(activity))?,
        ];
        let delete = attempt
            .counter_to_delete()
            .map(|key| Self::delete(&self.grants, key, None, []))
            .transpose()?;
        let report = recovery_report_writes(&self.grants, report)?;
        Ok(self
            .transact(writes.into_iter().chain(delete).chain(report))
            .await?
            .into())
    }

    /// Replaces a session by one that continues it, and marks the code of the second factor as used
    /// if there is one. Returns [`Outcome::Conflict`], without writing, if the session ended or the
    /// code was used since they were read.
    pub async fn replace_session(
        &self,
        user: &User,
        session: &Session,
        renewed: &Session,
        factor: Option<&SecondFactor>,
        report: Option<&RecoveryCodeReport>,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let writes = [
            Self::delete(
                &self.grants,
                session_key(&session.uid, &session.id),
                Some("attribute_exists(pk)"),
                [],
            )?,
            session_write(&self.grants, renewed)?,
            activity_write(&self.grants, activity)?,
        ];
        let factor = factor
            .map(|factor| self.factor_write(user, factor))
            .transpose()?;
        let report = recovery_report_writes(&self.grants, report)?;
        Ok(self
            .transact(writes.into_iter().chain(factor).chain(report))
            .await?
            .into())
    }

    /// The existing sessions that the claims of verified tokens name, each with its user, in one
    /// round trip unless a user moved to another account key. A session may have ended, see
    /// [`Session::is_live`].
    pub async fn find_sessions(
        &self,
        claims: &[Claims],
        now: Timestamp,
    ) -> Result<Vec<(Session, User)>, Error> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        // The keys of a batch must be distinct.
        let accounts: HashSet<_> = claims.iter().map(|claims| &claims.account_key).collect();
        let named: HashSet<_> = claims
            .iter()
            .map(|claims| (&claims.uid, SessionId::of(&claims.token_id)))
            .collect();
        let sessions = named.iter().map(|(uid, id)| session_key(uid, id));
        let found = self
            .batch_get([
                (&self.users, accounts.into_iter().map(user_key).collect()),
                (&self.grants, sessions.collect()),
            ])
            .await?;
        let mut users: HashMap<AccountKey, User> = HashMap::new();
        let mut sessions: HashMap<SessionId, Session> = HashMap::new();
        for (table, item) in found {
            if table == self.users {
                if let Some(user) = self.present_user(item, now)? {
                    users.insert(user.account_key(), user);
                }
            } else {
                let session: Session = read(item)?;
                sessions.insert(session.id.clone(), session);
            }
        }
        let mut with_users = Vec::new();
        for claims in claims {
            let Some(session) = sessions.remove(&SessionId::of(&claims.token_id)) else {
                continue;
            };
            let read = users.get(&claims.account_key).cloned();
            if let Some(user) = self.user_of(&claims.uid, read, now).await? {
                // A user who moved is read once, even if several tokens name the old key.
                users.insert(claims.account_key.clone(), user.clone());
                with_users.push((session, user));
            }
        }
        Ok(with_users)
    }

    /// The current state of a session and of its user, see [`Store::find_sessions`].
    pub async fn reload_session(
        &self,
        session: &Session,
        user: &User,
        now: Timestamp,
    ) -> Result<Option<(Session, User)>, Error> {
        let uid = &session.uid;
        let account = user.account_key();
        let key = session_key(uid, &session.id);
        let (user, session) = self
            .user_and_grant(std::iter::once(&account), key, now)
            .await?;
        match session {
            None => Ok(None),
            Some(session) => Ok(self
                .user_of(uid, user, now)
                .await?
                .map(|user| (session, user))),
        }
    }

    /// The newest 1,000 stored sessions of a user, live or not, and of those that earlier versions
    /// opened, any that fit in. Older ones are not read.
    pub async fn sessions(&self, uid: &Uid) -> Result<Vec<Session>, Error> {
        let items = self.newest(uid, SESSION).await?;
        items.into_iter().map(read).collect()
    }

    /// A stored session of a user, live or not.
    pub async fn find_session(&self, uid: &Uid, id: &SessionId) -> Result<Option<Session>, Error> {
        let key = session_key(uid, id);
        let found = self.batch_get([(&self.grants, vec![key])]).await?;
        found
            .into_iter()
            .next()
            .map(|(_, item)| read(item))
            .transpose()
    }

    /// Records a use of a session, unless a later one is recorded. Returns [`Outcome::Conflict`] if
    /// the session was ended.
    pub async fn touch_session(&self, session: &Session, now: Timestamp) -> Result<Outcome, Error> {
        let request = self
            .client
            .update_item()
            .table_name(&self.grants)
            .set_key(Some(session_key(&session.uid, &session.id)))
            .update_expression("SET last_used_at = :now")
            .condition_expression("attribute_exists(pk) AND last_used_at <= :now")
            .expression_attribute_values(":now", number(now.seconds()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        Ok(match conditional(request).await? {
            // The stored use is later.
            Conditional::Written(_) | Conditional::Lost(Some(_)) => Outcome::Written,
            Conditional::Lost(None) => Outcome::Conflict,
        })
    }

    /// Deletes a session and records the activity, if there is one. Returns [`Outcome::Conflict`],
    /// without writing, if the session does not exist. A transaction, so that a success whose
    /// response was lost remains a success when it is retried.
    pub async fn end_session(
        &self,
        uid: &Uid,
        id: &SessionId,
        activity: Option<&Activity>,
    ) -> Result<Outcome, Error> {
        let delete = Self::delete(
            &self.grants,
            session_key(uid, id),
            Some("attribute_exists(pk)"),
            [],
        )?;
        let record = activity
            .map(|activity| activity_write(&self.grants, activity))
            .transpose()?;
        Ok(self
            .transact([delete].into_iter().chain(record))
            .await?
            .into())
    }

    /// Ends every other session of the user, including sessions that concurrent sign-ins are
    /// creating. Returns [`Outcome::Conflict`], without writing, if this session ended since it was
    /// read.
    pub async fn end_other_sessions(
        &self,
        user: &User,
        session: &Session,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let next_epoch = self.user_write(
            user,
            "SET session_epoch = :next",
            Some("session_epoch = :epoch"),
            [
                (":epoch", number(session.epoch)),
                (":next", number(session.next_epoch()?)),
            ],
        )?;
        let writes = [
            next_epoch,
            session_kept_write(&self.grants, session)?,
            activity_write(&self.grants, activity)?,
        ];
        Ok(self.transact(writes).await?.into())
    }
}
