//! Storage of sessions.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::{
    Outcome, Store,
    conditional::{Conditional, conditional},
    items::{number, read, text_of},
    keys::{PK, SESSION, USER, published_keys_key, session_key, user_key},
    writes::{activity_write, recovery_report_writes, session_kept_write, session_write},
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        email_address::AccountKey,
        otp::{RecoveryCodeReport, SecondFactor},
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

impl Store {
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
            let found = self.with_user(session, &claims.uid, read, now).await?;
            if let Some((session, user)) = found {
                // A user who moved is read once, even if several tokens name the old key.
                named.users.insert(claims.account_key.clone(), user.clone());
                with_users.push((session, user));
            }
        }
        Ok(with_users)
    }

    /// A session with its user. `read` is the user that was read in the same batch. The items of a
    /// batch are not read at one moment, so a change that keeps the session and raises the epoch of
    /// both may lie between them.
    pub(super) async fn with_user<C: CredentialAccess>(
        &self,
        session: Session,
        uid: &Uid,
        read: Option<User<C>>,
        now: Timestamp,
    ) -> Result<Option<(Session, User<C>)>, Error> {
        // A user whose epoch is the lower one was read before such a change.
        let read = read.filter(|user| user.uid == *uid && session.epoch <= user.session_epoch);
        let Some(user) = self.user_of(uid, read, now).await? else {
            return Ok(None);
        };
        // The session was read before such a change, or has ended.
        let session = if session.epoch == user.session_epoch {
            Some(session)
        } else {
            self.find_session(uid, &session.id).await?
        };
        Ok(session.map(|session| (session, user)))
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
            Some(session) => self.with_user(session, uid, user, now).await,
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
