//! Storage of sessions.

use aws_sdk_dynamodb::types::{DeleteRequest, PutRequest, WriteRequest};

use super::{
    Outcome, Store,
    conditional::conditional,
    failure,
    items::{number, read, text},
    keys::{SESSION, session_key},
    limits::Attempt,
    writes::{activity_item, activity_write, session_item, session_kept_write, session_write},
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        email_address::AccountKey,
        otp::SecondFactor,
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

    /// Stores a session, marks the code as used, and deletes the failures counted before the
    /// attempt. Returns [`Outcome::Conflict`], without writing, if the code was used or the OTP
    /// secret changed since the user was read.
    pub async fn open_session_with_otp(
        &self,
        user: &User,
        session: &Session,
        factor: &SecondFactor,
        attempt: &Attempt,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let writes = [
            self.factor_write(user, factor)?,
            session_write(&self.grants, session)?,
            activity_write(&self.grants, &attempt.success(activity))?,
        ];
        let delete = attempt
            .counter_to_delete()
            .map(|key| Self::delete(&self.grants, key, None, []))
            .transpose()?;
        Ok(self
            .transact(writes.into_iter().chain(delete))
            .await?
            .into())
    }

    /// The session and the user that the claims of a verified token name. The session may have
    /// ended, see [`Session::is_live`].
    pub async fn find_session(&self, claims: &Claims) -> Result<Option<(Session, User)>, Error> {
        let id = SessionId::of(&claims.token_id);
        self.session_and_user(&claims.uid, &claims.account_key, &id)
            .await
    }

    /// The current state of a session and of its user, see [`Store::find_session`].
    pub async fn reload_session(
        &self,
        session: &Session,
        user: &User,
    ) -> Result<Option<(Session, User)>, Error> {
        self.session_and_user(&session.uid, &user.account_key(), &session.id)
            .await
    }

    async fn session_and_user(
        &self,
        uid: &Uid,
        account: &AccountKey,
        id: &SessionId,
    ) -> Result<Option<(Session, User)>, Error> {
        let key = session_key(uid, id);
        let (user, session) = self.user_and_grant(std::iter::once(account), key).await?;
        match session {
            None => Ok(None),
            Some(session) => Ok(self.user_of(uid, user).await?.map(|user| (session, user))),
        }
    }

    /// The stored sessions of a user, live or not, in no defined order.
    pub async fn sessions(&self, uid: &Uid) -> Result<Vec<Session>, Error> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.grants)
            .consistent_read(true)
            .key_condition_expression("pk = :uid AND begins_with(sk, :prefix)")
            .expression_attribute_values(":uid", text(uid.as_str()))
            .expression_attribute_values(":prefix", text(SESSION))
            .into_paginator()
            .items()
            .send();
        let mut sessions = Vec::new();
        while let Some(item) = pages.next().await {
            sessions.push(read(item.map_err(failure)?)?);
        }
        Ok(sessions)
    }

    /// Records the last use of a session. Returns [`Outcome::Conflict`] if the session was ended.
    pub async fn touch_session(&self, session: &Session, now: Timestamp) -> Result<Outcome, Error> {
        let request = self
            .client
            .update_item()
            .table_name(&self.grants)
            .set_key(Some(session_key(&session.uid, &session.id)))
            .update_expression("SET last_used_at = :now")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", number(now.seconds()));
        Ok(conditional(request).await?.into())
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
