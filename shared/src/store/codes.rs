//! Codes that are mailed, and what they let their bearer do.

use super::{
    Item, Store,
    items::{grant_key, keyed, number, text, user_key},
    sessions::session_write,
    transaction::{Outcome, Write},
};
use crate::{
    Error,
    clock::Timestamp,
    code::{Code, Kind},
    mail::QueuedMail,
    password::PasswordHash,
    random::sha256_hex,
    session::Session,
    token::Claims,
    user::User,
};

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

/// Key of the newest code of its kind of a user.
pub(super) fn code_key(uid: &str, kind: Kind) -> Item {
    grant_key(
        uid,
        match kind {
            Kind::Reset => "RESET",
            Kind::Confirmation => "CONFIRM",
        },
    )
}

/// Key of a mail in the outbox. The stream of the table hands what is stored under it to the function that sends.
pub(super) fn mail_key(uid: &str, id: &str) -> Item {
    grant_key(uid, format!("MAIL#{id}"))
}

/// The writes that store a code, in the place of one that was there, and the mail that brings it.
pub(super) fn code_writes(table: &str, uid: &str, kind: Kind, code: &Code, mail: &QueuedMail) -> Result<[Write; 2], Error> {
    let code = Store::put(table, keyed(code_key(uid, kind), code)?, None, [])?;
    Ok([code, Store::put(table, keyed(mail_key(uid, &mail.id), mail)?, None, [])?])
}

impl Store {
    /// Stores a code, in the place of one that was there, and the mail that brings it.
    pub async fn store_code(&self, uid: &str, kind: Kind, code: &Code, mail: &QueuedMail) -> Result<(), Error> {
        self.write_code(code_writes(&self.grants, uid, kind, code, mail)?).await
    }

    /// Writes as much for an address that gets no code, so that it takes the same time. It lies where nobody looks it up and
    /// no mail is sent of it, until it expires.
    pub async fn store_decoy_code(&self, address: &str, kind: Kind, code: &Code, mail: &QueuedMail) -> Result<(), Error> {
        let nobody = format!("NOBODY#{}", sha256_hex(address));
        let decoy_key = grant_key(&nobody, format!("DECOY#{}", mail.id));
        let code = Self::put(&self.grants, keyed(code_key(&nobody, kind), code)?, None, [])?;
        self.write_code([code, Self::put(&self.grants, keyed(decoy_key, mail)?, None, [])?]).await
    }

    async fn write_code(&self, writes: [Write; 2]) -> Result<(), Error> {
        match self.transact(writes).await? {
            Outcome::Written => Ok(()),
            Outcome::Refused(_) => Err(Error::internal("a write without condition was refused")),
        }
    }

    /// The user and the newest code of that kind of the uid that a genuine token names.
    pub async fn find_code(&self, claims: &Claims, kind: Kind) -> Result<(Option<User>, Option<Code>), Error> {
        self.user_and_grant(&claims.user, code_key(&claims.uid, kind)).await
    }

    /// Makes `user` the `confirmed` one and uses the code up, all or nothing; opens the session, if there is one to open.
    pub async fn confirm_email(
        &self,
        user: &User,
        confirmed: &User,
        code: &Code,
        session: Option<&Session>,
    ) -> Result<Confirmation, Error> {
        let labels = |user: &User| serde_dynamo::to_attribute_value(&user.labels).map_err(Error::internal);
        let key = code_key(&user.uid, Kind::Confirmation);
        let use_up = Self::delete(&self.grants, key, "jti = :jti", [(":jti", text(&code.jti))])?;
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
        let outcome = match session {
            Some(session) => self.transact([use_up, confirm, session_write(&self.grants, session)?]).await?,
            None => self.transact([use_up, confirm]).await?,
        };
        Ok(match outcome {
            Outcome::Written => Confirmation::Done,
            Outcome::Refused(0) => Confirmation::CodeUsed,
            Outcome::Refused(_) => Confirmation::NothingToConfirm,
        })
    }

    /// Changes the password, ends every session, uses the code up and queues the notice, all or nothing.
    pub async fn reset_password(
        &self,
        user: &User,
        hash: &PasswordHash,
        code: &Code,
        notice: &QueuedMail,
        now: Timestamp,
    ) -> Result<PasswordChange, Error> {
        let writes = [
            Self::update(
                &self.users,
                user_key(&user.email.key()),
                "SET password_hash = :hash, updated_at = :now ADD session_epoch :one",
                "uid = :uid",
                [(":hash", text(hash.as_str())), (":now", number(now.seconds())), (":one", number(1)), (":uid", text(&user.uid))],
            )?,
            Self::delete(&self.grants, code_key(&user.uid, Kind::Reset), "jti = :jti", [(":jti", text(&code.jti))])?,
            Self::put(&self.grants, keyed(mail_key(&user.uid, &notice.id), notice)?, None, [])?,
        ];
        Ok(match self.transact(writes).await? {
            Outcome::Written => PasswordChange::Done,
            Outcome::Refused(0) => PasswordChange::UserGone,
            Outcome::Refused(_) => PasswordChange::CodeUsed,
        })
    }
}
