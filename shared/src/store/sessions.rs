//! Sessions of users.

use aws_sdk_dynamodb::types::{DeleteRequest, PutRequest, WriteRequest};

use super::{
    Outcome, Store,
    conditional::conditional,
    failure,
    items::{number, read, text},
    keys::{SESSION, session_key, user_key},
    limits::Attempt,
    writes::{activity_item, activity_write, session_item, session_kept_write, session_write},
};
use crate::{
    Error,
    domain::{activity::Activity, otp::SecondFactor, session::Session, user::User},
    platform::{clock::Timestamp, random::sha256_hex},
    tokens::signed_token::Claims,
};

impl Store {
    /// Stores a session and what was done to open it, and forgets the failures before the attempt.
    /// Nothing of it depends on what was stored before, so a batch will do, which costs half of a
    /// transaction.
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
        if let Some(key) = attempt.to_be_cleared() {
            let forget = DeleteRequest::builder()
                .set_key(Some(key))
                .build()
                .map_err(Error::internal)?;
            writes.push(WriteRequest::builder().delete_request(forget).build());
        }
        self.write_grants(writes).await
    }

    /// Stores a session, uses a code of the user's second factor up, and forgets the failures
    /// before the attempt. [`Outcome::Conflict`], and nothing is stored, when the code has been used
    /// or the secret has changed since the user was read.
    pub async fn open_session_with_otp(
        &self,
        user: &User,
        session: &Session,
        factor: &SecondFactor,
        attempt: &Attempt,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let writes = [
            self.use_up(user, factor)?,
            session_write(&self.grants, session)?,
            activity_write(&self.grants, &attempt.success(activity))?,
        ];
        let forget = attempt
            .to_be_cleared()
            .map(|key| Self::delete(&self.grants, key, None, []))
            .transpose()?;
        Ok(self
            .transact(writes.into_iter().chain(forget))
            .await?
            .into())
    }

    /// The session that a genuine token names, and its user. Whether it is live is for
    /// [`Session::is_live`] to say.
    pub async fn find_session(&self, claims: &Claims) -> Result<Option<(Session, User)>, Error> {
        let key = session_key(&claims.uid, &sha256_hex(&claims.jti));
        let (user, session) = self.user_and_grant(&claims.user, key).await?;
        Ok(session.zip(user))
    }

    /// The same of a session and a user that were found before.
    pub async fn find_session_again(
        &self,
        session: &Session,
        user: &User,
    ) -> Result<Option<(Session, User)>, Error> {
        let key = session_key(&session.uid, &session.id_hash);
        let (user, session) = self.user_and_grant(&user.email.key(), key).await?;
        Ok(session.zip(user))
    }

    /// The sessions of a user that are stored, live or not, in no order.
    pub async fn sessions(&self, uid: &str) -> Result<Vec<Session>, Error> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.grants)
            .consistent_read(true)
            .key_condition_expression("pk = :uid AND begins_with(sk, :prefix)")
            .expression_attribute_values(":uid", text(uid))
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

    /// Notes that a session was used; `false` when it was ended meanwhile.
    pub async fn touch_session(&self, session: &Session, now: Timestamp) -> Result<Outcome, Error> {
        let request = self
            .client
            .update_item()
            .table_name(&self.grants)
            .set_key(Some(session_key(&session.uid, &session.id_hash)))
            .update_expression("SET last_used_at = :now")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", number(now.seconds()));
        Ok(conditional(request).await?.into())
    }

    /// Deletes the session of a user that has this hash, and records who did it where its user did;
    /// `false` when somebody else deleted it before. A transaction, so that a success whose answer
    /// was lost on the way stays one when it is tried again.
    pub async fn end_session(
        &self,
        uid: &str,
        id_hash: &str,
        activity: Option<&Activity>,
    ) -> Result<Outcome, Error> {
        let delete = Self::delete(
            &self.grants,
            session_key(uid, id_hash),
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

    /// Ends every session of the user but this one, at once, also those that are about to begin.
    /// `false`, and nothing is changed, when this one was ended meanwhile.
    pub async fn end_other_sessions(
        &self,
        user: &User,
        session: &Session,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let next_epoch = Self::update(
            &self.users,
            user_key(&user.email.key()),
            "SET session_epoch = :next",
            "uid = :uid AND session_epoch = :epoch",
            [
                (":uid", text(&user.uid)),
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
