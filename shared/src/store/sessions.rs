//! Storage of sessions.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{
    DeleteRequest, PutRequest, ReturnValuesOnConditionCheckFailure, WriteRequest,
};

use super::{
    Outcome, Store,
    conditional::{Conditional, conditional},
    items::{number, read, text_of},
    keys::{PK, SESSION, USER, published_keys_key, session_key, user_key},
    limits::Attempt,
    transaction::Write,
    writes::{
        activity_item, activity_write, mail_write, notice_write, recovery_report_writes,
        session_item, session_kept_write, session_write, sign_in_notice_unsent,
    },
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        device::DeviceCodes,
        email_address::AccountKey,
        mail::QueuedMail,
        otp::{CodeKind, RecoveryCodeReport, SecondFactor},
        session::{Session, SessionId},
        user::{CredentialAccess, Uid, User},
    },
    platform::clock::Timestamp,
    tokens::{
        key_cache::KeyCache,
        published_keys::PublishedKeys,
        signed_token::{Claims, PresentedToken},
    },
};

/// What claims name.
struct Named<C> {
    users: HashMap<AccountKey, User<C>>,
    sessions: HashMap<SessionId, Session>,
    keys: Option<PublishedKeys>,
}

/// What a sign-in with a code reports to the owner of the account, besides its activity.
#[derive(Clone, Debug, Default)]
pub struct SignInReport {
    /// The use of a recovery code.
    pub recovery_code: Option<RecoveryCodeReport>,
    /// The notice of a sign-in from a new device. Ignored if the code was entered on a known one.
    pub new_device: Option<QueuedMail>,
}

/// An accepted code of the second factor, and the wrong codes of the device on which it was entered
/// if they decided whether it may be verified.
#[derive(Clone, Copy)]
pub struct AcceptedCode<'a> {
    /// The accepted code.
    pub factor: &'a SecondFactor,
    /// The wrong codes of the device; `None` if those of the account decided.
    pub device: Option<&'a DeviceCodes>,
}

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

    /// As [`Store::open_session`], and queues the notice of a sign-in from a new device. Returns
    /// [`Outcome::Conflict`], without writing, if another sign-in queued one since the user was
    /// read.
    pub async fn open_session_with_notice(
        &self,
        user: &User,
        session: &Session,
        notice: &QueuedMail,
        attempt: &Attempt,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let (unsent, sent_at) = sign_in_notice_unsent(user);
        let sent = [(":sent", number(notice.queued_at.seconds()))];
        let writes = [
            self.user_write(
                user,
                "SET sign_in_notice_at = :sent",
                Some(unsent),
                sent.into_iter().chain(sent_at),
            )?,
            session_write(&self.grants, session)?,
            activity_write(&self.grants, &attempt.success(activity))?,
            mail_write(&self.grants, notice)?,
        ];
        let delete = self.counter_deletion(attempt)?;
        Ok(self
            .transact(writes.into_iter().chain(delete))
            .await?
            .into())
    }

    fn counter_deletion(&self, attempt: &Attempt) -> Result<Option<Write>, Error> {
        attempt
            .counter_to_delete()
            .map(|key| Self::delete(&self.grants, key, None, []))
            .transpose()
    }

    /// Stores a session, marks the code as used, and clears the wrong codes and the failures
    /// counted before the attempt. Returns [`Outcome::Conflict`], without writing, if the code was
    /// used, a wrong code was counted, or the OTP secret changed since the user was read.
    ///
    /// The wrong codes are those of the device if the code was entered on one. Those of the account
    /// are then cleared by a recovery code only.
    pub async fn open_session_with_otp(
        &self,
        user: &User,
        session: &Session,
        AcceptedCode { factor, device }: AcceptedCode<'_>,
        report: &SignInReport,
        attempt: &Attempt,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let clears_account = device.is_none() || factor.kind() == CodeKind::Recovery;
        let use_code = if clears_account {
            self.sign_in_factor_write(user, factor, report.new_device.as_ref())?
        } else {
            self.factor_write(user, factor)?
        };
        let clear_device = device
            .map(|codes| self.device_codes_cleared(codes))
            .transpose()?;
        let writes = [
            use_code,
            session_write(&self.grants, session)?,
            activity_write(&self.grants, &attempt.success(activity))?,
        ];
        let delete = self.counter_deletion(attempt)?;
        let recovery = recovery_report_writes(&self.grants, report.recovery_code.as_ref())?;
        let notice = clears_account
            .then_some(report.new_device.as_ref())
            .flatten();
        let notice = notice_write(&self.grants, notice)?;
        Ok(self
            .transact(
                writes
                    .into_iter()
                    .chain(clear_device)
                    .chain(delete)
                    .chain(recovery)
                    .chain(notice),
            )
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
    pub async fn find_sessions<C: CredentialAccess>(
        &self,
        claims: &[Claims],
        now: Timestamp,
    ) -> Result<Vec<(Session, User<C>)>, Error> {
        let named = self.read_named(claims.iter().collect(), false, now).await?;
        self.sessions_of(claims, named, now).await
    }

    /// Reads the published keys together with what the tokens name, verifies the tokens, and
    /// returns what [`Store::find_sessions`] would return. What the other tokens name is ignored.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no keys are published.
    pub async fn find_sessions_and_keys<C: CredentialAccess>(
        &self,
        tokens: &[PresentedToken],
        cache: &KeyCache,
        now: Timestamp,
    ) -> Result<Vec<(Session, User<C>)>, Error> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let claims = tokens.iter().map(PresentedToken::claims).collect();
        let mut named = self.read_named(claims, true, now).await?;
        let claims = cache.genuine(tokens, named.keys.take(), now)?;
        self.sessions_of(&claims, named, now).await
    }

    /// Reads the users and the sessions that claims name, and the published keys if requested.
    async fn read_named<C: CredentialAccess>(
        &self,
        claims: Vec<&Claims>,
        with_keys: bool,
        now: Timestamp,
    ) -> Result<Named<C>, Error> {
        let mut named = Named {
            users: HashMap::new(),
            sessions: HashMap::new(),
            keys: None,
        };
        if claims.is_empty() {
            return Ok(named);
        }
        // The keys of a batch must be distinct.
        let accounts: HashSet<_> = claims.iter().map(|claims| &claims.account_key).collect();
        let sessions: HashSet<_> = claims
            .iter()
            .map(|claims| (&claims.uid, SessionId::of(&claims.token_id)))
            .collect();
        let mut users: Vec<_> = accounts.into_iter().map(user_key).collect();
        users.extend(with_keys.then(published_keys_key));
        let sessions = sessions.iter().map(|(uid, id)| session_key(uid, id));
        let found = self
            .batch_get([
                self.users_read::<C>(users),
                self.grants_read(sessions.collect()),
            ])
            .await?;
        for (table, item) in found {
            if table != self.users {
                let session: Session = read(item)?;
                named.sessions.insert(session.id.clone(), session);
            } else if text_of(&item, PK)?.starts_with(USER) {
                if let Some(user) = self.present_user(item, now)? {
                    named.users.insert(user.account_key(), user);
                }
            } else {
                named.keys = Some(read(item)?);
            }
        }
        Ok(named)
    }

    /// The sessions of verified claims among those that were read.
    async fn sessions_of<C: CredentialAccess>(
        &self,
        claims: &[Claims],
        mut named: Named<C>,
        now: Timestamp,
    ) -> Result<Vec<(Session, User<C>)>, Error> {
        let mut with_users = Vec::new();
        for claims in claims {
            let Some(session) = named.sessions.remove(&SessionId::of(&claims.token_id)) else {
                continue;
            };
            let read = named.users.get(&claims.account_key).cloned();
            if let Some(user) = self.user_of(&claims.uid, read, now).await? {
                // A user who moved is read once, even if several tokens name the old key.
                named.users.insert(claims.account_key.clone(), user.clone());
                with_users.push((session, user));
            }
        }
        Ok(with_users)
    }

    /// The current state of a session and of its user, see [`Store::find_sessions`].
    pub async fn reload_session<C: CredentialAccess>(
        &self,
        session: &Session,
        user: &User<C>,
        now: Timestamp,
    ) -> Result<Option<(Session, User<C>)>, Error> {
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
        let found = self.batch_get([self.grants_read(vec![key])]).await?;
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
    pub async fn end_other_sessions<C: CredentialAccess>(
        &self,
        user: &User<C>,
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
