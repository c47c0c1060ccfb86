//! Codes that are mailed, and what they let their bearer do.

use super::{
    Outcome, Store,
    items::{keyed, number, text},
    keys::{code_key, decoy_key, decoy_uid, failures_key, user_key},
    transaction::{Transaction, Write},
    writes::{
        activity_write, code_writes, mail_log_write, mail_write, session_kept_write, session_write,
    },
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        mail::QueuedMail,
        one_time_code::{Kind, OneTimeCode},
        password::PasswordHash,
        rate_limit::MailLog,
        session::Session,
        user::User,
    },
    tokens::signed_token::Claims,
};

/// What became of a request for a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeRequestOutcome {
    /// All is stored.
    Stored,
    /// Nothing is: somebody else asked at the same moment, so the log is another now.
    Overtaken,
}

/// What is stored when a code is asked for.
pub struct CodeRequest<'a> {
    /// What the code is for.
    pub kind: Kind,
    /// The address, see [`EmailAddress::key`](crate::domain::email_address::EmailAddress::key).
    pub address: &'a str,
    /// The mails that were asked for before, as they were read.
    pub log_before: Option<&'a MailLog>,
    /// The same with this one.
    pub log_after: &'a MailLog,
    /// The code.
    pub code: &'a OneTimeCode,
    /// The mail that brings it.
    pub mail: &'a QueuedMail,
    /// What was done, where it is recorded.
    pub activity: Option<&'a Activity>,
}

/// What became of a change of password by a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordChange {
    /// The password is changed, and every session of the user over.
    Done,
    /// The code was used, or a newer one was made.
    CodeUsed,
    /// The user is gone.
    UserGone,
}

/// What became of a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The address is confirmed.
    Done,
    /// The code was used, or a newer one was made.
    CodeUsed,
    /// The user is gone, or was not waiting for it.
    NothingToConfirm,
}

impl Store {
    /// Stores a code of a user, in the place of one that was there, and the mail that brings it.
    pub async fn store_code(
        &self,
        uid: &str,
        asking: &CodeRequest<'_>,
    ) -> Result<CodeRequestOutcome, Error> {
        let activity = asking
            .activity
            .map(|activity| activity_write(&self.grants, activity))
            .transpose()?;
        self.ask(
            asking,
            code_writes(&self.grants, uid, asking.kind, asking.code, asking.mail)?
                .into_iter()
                .chain(activity),
        )
        .await
    }

    /// Writes as much for an address that gets no code, so that it takes the same time. It lies
    /// where nobody looks it up and no mail is sent of it, until it expires.
    pub async fn store_decoy_code(
        &self,
        asking: &CodeRequest<'_>,
    ) -> Result<CodeRequestOutcome, Error> {
        let decoy = |id: &str| decoy_key(asking.address, id);
        let code = Self::put(
            &self.grants,
            keyed(
                code_key(&decoy_uid(asking.address), asking.kind),
                asking.code,
            )?,
            None,
            [],
        )?;
        let mail = Self::put(
            &self.grants,
            keyed(decoy(&asking.mail.id), asking.mail)?,
            None,
            [],
        )?;
        let activity = asking.activity.map(|activity| {
            let decoy_activity = Activity {
                expires_at: asking.code.expires_at,
                ..activity.clone()
            };
            Self::put(
                &self.grants,
                keyed(decoy(&activity.id), &decoy_activity)?,
                None,
                [],
            )
        });
        self.ask(
            asking,
            [code, mail].into_iter().chain(activity.transpose()?),
        )
        .await
    }

    /// Notes that a mail was asked for to an address that gets none.
    pub async fn store_mail_log(
        &self,
        asking: &CodeRequest<'_>,
    ) -> Result<CodeRequestOutcome, Error> {
        self.ask(asking, []).await
    }

    async fn ask(
        &self,
        asking: &CodeRequest<'_>,
        writes: impl IntoIterator<Item = Write>,
    ) -> Result<CodeRequestOutcome, Error> {
        let log = mail_log_write(
            &self.grants,
            asking.address,
            asking.kind,
            asking.log_before,
            asking.log_after,
        )?;
        Ok(
            match self.transact([log].into_iter().chain(writes)).await? {
                Transaction::Written => CodeRequestOutcome::Stored,
                Transaction::Refused(_) => CodeRequestOutcome::Overtaken,
            },
        )
    }

    /// The user and the newest code of that kind of the uid that a genuine token names.
    pub async fn find_code(
        &self,
        claims: &Claims,
        kind: Kind,
    ) -> Result<(Option<User>, Option<OneTimeCode>), Error> {
        self.user_and_grant(&claims.user, code_key(&claims.uid, kind))
            .await
    }

    /// Makes `user` the `confirmed` one and uses the code up, all or nothing; opens the session, if
    /// there is one to open.
    pub async fn confirm_email(
        &self,
        user: &User,
        confirmed: &User,
        code: &OneTimeCode,
        session: Option<&Session>,
    ) -> Result<Confirmation, Error> {
        let labels =
            |user: &User| serde_dynamo::to_attribute_value(&user.labels).map_err(Error::internal);
        let key = code_key(&user.uid, Kind::Confirmation);
        let use_up = Self::delete(
            &self.grants,
            key,
            Some("jti = :jti"),
            [(":jti", text(&code.jti))],
        )?;
        let confirm = Self::update(
            &self.users,
            user_key(&user.email.key()),
            "SET #state = :active, #level = :level, labels = :labels, updated_at = :now",
            // Nothing is overwritten that somebody else changed meanwhile.
            "uid = :uid AND #state = :pending AND #level = :was_level AND labels = :were_labels",
            [
                (":uid", text(&user.uid)),
                (":pending", text("pending")),
                (":active", text("active")),
                (":was_level", number(user.level)),
                (":level", number(confirmed.level)),
                (":were_labels", labels(user)?),
                (":labels", labels(confirmed)?),
                (":now", number(confirmed.updated_at.seconds())),
            ],
        )?;
        let session = session
            .map(|session| session_write(&self.grants, session))
            .transpose()?;
        Ok(
            match self
                .transact([use_up, confirm].into_iter().chain(session))
                .await?
            {
                Transaction::Written => Confirmation::Done,
                Transaction::Refused(0) => Confirmation::CodeUsed,
                Transaction::Refused(_) => Confirmation::NothingToConfirm,
            },
        )
    }

    /// Changes the password, ends every session, uses the code up, forgets failed sign-ins and
    /// queues the notice, all or nothing.
    pub async fn reset_password(
        &self,
        user: &User,
        hash: &PasswordHash,
        code: &OneTimeCode,
        notice: &QueuedMail,
        activity: &Activity,
    ) -> Result<PasswordChange, Error> {
        let now = activity.created_at;
        let key = user.email.key();
        let writes = [
            Self::update(
                &self.users,
                user_key(&key),
                "SET password_hash = :hash, updated_at = :now ADD session_epoch :one",
                "uid = :uid",
                [
                    (":hash", text(hash.as_str())),
                    (":now", number(now.seconds())),
                    (":one", number(1)),
                    (":uid", text(&user.uid)),
                ],
            )?,
            Self::delete(
                &self.grants,
                code_key(&user.uid, Kind::Reset),
                Some("jti = :jti"),
                [(":jti", text(&code.jti))],
            )?,
            Self::delete(&self.grants, failures_key(&key), None, [])?,
            mail_write(&self.grants, notice)?,
            activity_write(&self.grants, activity)?,
        ];
        Ok(match self.transact(writes).await? {
            Transaction::Written => PasswordChange::Done,
            Transaction::Refused(0) => PasswordChange::UserGone,
            Transaction::Refused(_) => PasswordChange::CodeUsed,
        })
    }

    /// Changes the password by its owner, ends every other session, voids an outstanding code and
    /// queues the notice, all or nothing. `false`, and nothing is changed, when the password or the
    /// session is another meanwhile.
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
                user_key(&user.email.key()),
                "SET password_hash = :hash, session_epoch = :next, updated_at = :now",
                "uid = :uid AND password_hash = :old AND session_epoch = :epoch",
                [
                    (":uid", text(&user.uid)),
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
