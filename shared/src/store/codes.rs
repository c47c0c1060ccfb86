//! One-time codes, and the changes that they authorise.

use super::{
    Outcome, Store,
    items::{keyed, number, read, text, text_of},
    keys::{SESSION, SK, code_key, decoy_key, failures_key, session_key, user_key},
    limits::Attempt,
    otp::REMOVE_OTP,
    transaction::{Transaction, Write},
    writes::{
        activity_write, code_writes, mail_log_write, mail_write, session_kept_write, session_write,
    },
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        email_address::AccountKey,
        mail::QueuedMail,
        one_time_code::{Kind, OneTimeCode},
        password::PasswordHash,
        rate_limit::MailLog,
        session::{Session, SessionId},
        user::{COMPLAINT_RESET_INTERVAL, ComplaintReset, Uid, User},
    },
    tokens::signed_token::Claims,
};

/// The outcome of a request for a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeRequestOutcome {
    /// Everything was written.
    Stored,
    /// Nothing was written, because a concurrent request changed the log of mails or the user.
    Conflict,
}

/// The items to store when a code is requested.
pub struct CodeRequest<'a> {
    /// Kind of the code.
    pub kind: Kind,
    /// The account key of the address.
    pub account: &'a AccountKey,
    /// The log of mails to the address, as it was read; `None` if there was none.
    pub log_before: Option<&'a MailLog>,
    /// The log with this request.
    pub log_after: &'a MailLog,
    /// The code.
    pub code: &'a OneTimeCode,
    /// The mail with the code.
    pub mail: &'a QueuedMail,
    /// The activity, if the request is recorded.
    pub activity: Option<&'a Activity>,
}

/// The outcome of a password reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordChange {
    /// The password is changed and every session of the user has ended.
    Done,
    /// The code was used or replaced by a newer one.
    CodeUsed,
    /// The user was deleted, or the second factor was enabled or disabled, since the user was read.
    UserChanged,
}

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
    /// Stores a code of a user and its mail. An older code of that kind is replaced.
    pub async fn store_code(
        &self,
        uid: &Uid,
        request: &CodeRequest<'_>,
    ) -> Result<CodeRequestOutcome, Error> {
        let activity = request
            .activity
            .map(|activity| activity_write(&self.grants, activity))
            .transpose()?;
        self.store_request(
            request,
            code_writes(&self.grants, uid, request.kind, request.code, request.mail)?
                .into_iter()
                .chain(activity),
        )
        .await
    }

    /// As [`Store::store_code`] for a reset code of a user who complained, on condition that no
    /// other reset mail was requested for a day. The mail is then the one that may be sent.
    pub async fn store_code_after_complaint(
        &self,
        user: &User,
        request: &CodeRequest<'_>,
    ) -> Result<CodeRequestOutcome, Error> {
        let now = request.mail.queued_at;
        let reset = ComplaintReset {
            mail: request.mail.id.clone(),
            at: now,
        };
        let permit = Self::update(
            &self.users,
            user_key(&user.email.account_key()),
            "SET complaint_reset = :reset",
            "uid = :uid AND (attribute_not_exists(complaint_reset) OR complaint_reset.#at <= :before)",
            [
                (":uid", text(user.uid.as_str())),
                (
                    ":reset",
                    serde_dynamo::to_attribute_value(&reset).map_err(Error::internal)?,
                ),
                (
                    ":before",
                    number((now + -COMPLAINT_RESET_INTERVAL).seconds()),
                ),
            ],
        )?;
        let activity = request
            .activity
            .map(|activity| activity_write(&self.grants, activity))
            .transpose()?;
        let [code, mail] = code_writes(
            &self.grants,
            &user.uid,
            request.kind,
            request.code,
            request.mail,
        )?;
        self.store_request(request, [code, mail, permit].into_iter().chain(activity))
            .await
    }

    /// Stores decoys for an address that receives no code, so that the request takes as long as
    /// [`Store::store_code`]. No mail is sent for them, and they expire with the code. The activity of
    /// a user is stored as such.
    pub async fn store_decoy_code(
        &self,
        request: &CodeRequest<'_>,
    ) -> Result<CodeRequestOutcome, Error> {
        let decoy = |id: &str| decoy_key(request.account, id);
        let code = Self::put(
            &self.grants,
            keyed(
                code_key(&Uid::decoy(request.account), request.kind),
                request.code,
            )?,
            None,
            [],
        )?;
        let mail = Self::put(
            &self.grants,
            keyed(decoy(&request.mail.id), request.mail)?,
            None,
            [],
        )?;
        let decoy_uid = Uid::decoy(request.account);
        let activity = request.activity.map(|activity| {
            if activity.uid != decoy_uid {
                return activity_write(&self.grants, activity);
            }
            let decoy_activity = Activity {
                expires_at: request.code.expires_at,
                ..activity.clone()
            };
            Self::put(
                &self.grants,
                keyed(decoy(&activity.id), &decoy_activity)?,
                None,
                [],
            )
        });
        self.store_request(
            request,
            [code, mail].into_iter().chain(activity.transpose()?),
        )
        .await
    }

    /// Counts a request for an address that receives no mail, without storing a code.
    pub async fn store_mail_log(
        &self,
        request: &CodeRequest<'_>,
    ) -> Result<CodeRequestOutcome, Error> {
        self.store_request(request, []).await
    }

    async fn store_request(
        &self,
        request: &CodeRequest<'_>,
        writes: impl IntoIterator<Item = Write>,
    ) -> Result<CodeRequestOutcome, Error> {
        let log = mail_log_write(
            &self.grants,
            request.account,
            request.kind,
            request.log_before,
            request.log_after,
        )?;
        Ok(
            match self.transact([log].into_iter().chain(writes)).await? {
                Transaction::Written => CodeRequestOutcome::Stored,
                Transaction::ConditionFailed(_) => CodeRequestOutcome::Conflict,
            },
        )
    }

    /// The user that the claims of a verified token name, and their newest code of that kind.
    pub async fn find_code(
        &self,
        claims: &Claims,
        kind: Kind,
    ) -> Result<(Option<User>, Option<OneTimeCode>), Error> {
        self.user_and_grant(&claims.account_key, code_key(&claims.uid, kind))
            .await
    }

    /// The user that the claims of a confirmation token name, their newest code of that kind, and
    /// those of the sessions that belong to the same user. One round trip.
    pub async fn find_confirmation(
        &self,
        claims: &Claims,
        sessions: &[Claims],
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
                (&self.users, vec![user_key(&claims.account_key)]),
                (&self.grants, grants),
            ])
            .await?;
        let mut stored = StoredConfirmation::default();
        for (table, item) in found {
            if table == self.users {
                stored.user = Some(read(item)?);
            } else if text_of(&item, SK)?.starts_with(SESSION) {
                stored.sessions.push(read(item)?);
            } else {
                stored.code = Some(read(item)?);
            }
        }
        Ok(stored)
    }

    /// In one transaction, stores the `confirmed` user and deletes the code. The new session, if
    /// there is one, replaces the old one.
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
        let confirm = Self::update(
            &self.users,
            user_key(&user.email.account_key()),
            &format!(
                "SET #state = :active, #level = :level, labels = :labels, session_epoch = :epoch, \
                 updated_at = :now {}",
                if is_first { REMOVE_OTP } else { "" }
            ),
            // A concurrent change of the user must not be overwritten.
            "uid = :uid AND #state = :pending AND #level = :was_level AND labels = :were_labels \
             AND session_epoch = :was_epoch",
            [
                (":uid", text(user.uid.as_str())),
                (":pending", text("pending")),
                (":active", text("active")),
                (":was_level", number(user.level)),
                (":level", number(confirmed.level)),
                (":were_labels", labels(user)?),
                (":labels", labels(confirmed)?),
                (":was_epoch", number(user.session_epoch)),
                (":epoch", number(confirmed.session_epoch)),
                (":now", number(confirmed.updated_at.seconds())),
            ],
        )?;
        let mut writes = vec![
            delete_code,
            confirm,
            activity_write(&self.grants, &attempt.success(activity))?,
        ];
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

    /// In one transaction, changes the password, ends every session, deletes the code and the
    /// counter of wrong passwords, and adds the notice to the outbox. Removes a second factor that
    /// was [enabled recently](User::has_recent_otp); an older one stays, without its back-off.
    pub async fn reset_password(
        &self,
        user: &User,
        hash: &PasswordHash,
        code: &OneTimeCode,
        notice: &QueuedMail,
        activity: &Activity,
    ) -> Result<PasswordChange, Error> {
        let now = activity.created_at;
        let key = user.email.account_key();
        let removed = if user.has_recent_otp(now) {
            REMOVE_OTP
        } else {
            "REMOVE totp_retry_at, recovery_retry_at"
        };
        // Whether the second factor is recent must still hold.
        let (unchanged, enabled_at) = match user.otp_enabled_at {
            None => ("attribute_not_exists(otp_enabled_at)", None),
            Some(at) => (
                "otp_enabled_at = :enabled_at",
                Some((":enabled_at", number(at.seconds()))),
            ),
        };
        let values = [
            (":hash", text(hash.as_str())),
            (":now", number(now.seconds())),
            (":one", number(1)),
            (":uid", text(user.uid.as_str())),
        ];
        let writes = [
            Self::update(
                &self.users,
                user_key(&key),
                &format!(
                    "SET password_hash = :hash, updated_at = :now {removed} ADD session_epoch :one"
                ),
                &format!("uid = :uid AND {unchanged}"),
                values.into_iter().chain(enabled_at),
            )?,
            Self::delete(
                &self.grants,
                code_key(&user.uid, Kind::Reset),
                Some("jti = :jti"),
                [(":jti", text(code.token_id.reveal()))],
            )?,
            Self::delete(&self.grants, failures_key(&key), None, [])?,
            mail_write(&self.grants, notice)?,
            activity_write(&self.grants, activity)?,
        ];
        Ok(match self.transact(writes).await? {
            Transaction::Written => PasswordChange::Done,
            Transaction::ConditionFailed(0) => PasswordChange::UserChanged,
            Transaction::ConditionFailed(_) => PasswordChange::CodeUsed,
        })
    }

    /// In one transaction, changes the password, ends every other session, deletes an unused reset
    /// code and adds the notice to the outbox. Returns [`Outcome::Conflict`], without writing, if
    /// the password changed or the session ended since they were read.
    pub async fn change_password(
        &self,
        user: &User,
        session: &Session,
        hash: &PasswordHash,
        notice: &QueuedMail,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let writes = [
            Self::update(
                &self.users,
                user_key(&user.email.account_key()),
                "SET password_hash = :hash, session_epoch = :next, updated_at = :now",
                "uid = :uid AND password_hash = :old AND session_epoch = :epoch",
                [
                    (":uid", text(user.uid.as_str())),
                    (":old", text(user.password_hash.as_str())),
                    (":hash", text(hash.as_str())),
                    (":epoch", number(session.epoch)),
                    (":next", number(session.next_epoch()?)),
                    (":now", number(activity.created_at.seconds())),
                ],
            )?,
            session_kept_write(&self.grants, session)?,
            Self::delete(&self.grants, code_key(&user.uid, Kind::Reset), None, [])?,
            mail_write(&self.grants, notice)?,
            activity_write(&self.grants, activity)?,
        ];
        Ok(self.transact(writes).await?.into())
    }
}
