//! Writes that several operations share, each a part of a transaction, with its condition.

use std::slice;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Item, Store,
    items::{keyed, number, text},
    keys::{activity_key, code_key, mail_key, mail_log_key, session_key, uid_key, user_key},
    transaction::Write,
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        email_address::AccountKey,
        mail::QueuedMail,
        one_time_code::{Kind, OneTimeCode},
        otp::SecondFactor,
        password::PasswordHash,
        rate_limit::MailLog,
        session::Session,
        user::{Uid, User},
    },
};

pub(super) fn activity_item(activity: &Activity) -> Result<Item, Error> {
    keyed(activity_key(&activity.uid, &activity.id), activity)
}

pub(super) fn activity_write(table: &str, activity: &Activity) -> Result<Write, Error> {
    Store::put(table, activity_item(activity)?, None, [])
}

pub(super) fn session_item(session: &Session) -> Result<Item, Error> {
    keyed(session_key(&session.uid, &session.id), session)
}

/// Stores a session. Its id is new, so the write needs no condition.
pub(super) fn session_write(table: &str, session: &Session) -> Result<Write, Error> {
    Store::put(table, session_item(session)?, None, [])
}

/// Moves a session to the next epoch of the user, on condition that it was not ended. An update,
/// because a put would discard a use that another request has recorded.
pub(super) fn session_kept_write(table: &str, session: &Session) -> Result<Write, Error> {
    Store::update(
        table,
        session_key(&session.uid, &session.id),
        "SET epoch = :next",
        "attribute_exists(pk)",
        [(":next", number(session.next_epoch()?))],
    )
}

/// Store a code and its mail. An older code of that kind is replaced.
pub(super) fn code_writes(
    table: &str,
    uid: &Uid,
    kind: Kind,
    code: &OneTimeCode,
    mail: &QueuedMail,
) -> Result<[Write; 2], Error> {
    let code = Store::put(table, keyed(code_key(uid, kind), code)?, None, [])?;
    Ok([
        code,
        Store::put(table, keyed(mail_key(uid, &mail.id), mail)?, None, [])?,
    ])
}

/// Replaces a log of mails, on condition that it is unchanged since it was read.
pub(super) fn mail_log_write(
    table: &str,
    account: &AccountKey,
    kind: Kind,
    before: Option<&MailLog>,
    log: &MailLog,
) -> Result<Write, Error> {
    let mut item = keyed(mail_log_key(account, kind), log)?;
    item.insert("expires_at".to_owned(), number(log.expires_at().seconds()));
    match before {
        None => Store::put(table, item, Some("attribute_not_exists(pk)"), []),
        Some(before) => {
            let unchanged =
                serde_dynamo::to_attribute_value(&before.asked_at).map_err(Error::internal)?;
            Store::put(
                table,
                item,
                Some("asked_at = :before"),
                [(":before", unchanged)],
            )
        }
    }
}

/// The condition that a code of the second factor is unused, and the value of its `:code`.
pub(super) fn unused(factor: &SecondFactor) -> (&'static str, AttributeValue) {
    match factor {
        SecondFactor::TimeStep(step) => (
            "(attribute_not_exists(otp_last_step) OR otp_last_step < :code)",
            number(*step),
        ),
        SecondFactor::RecoveryCode(hash) => {
            ("contains(otp_recovery_codes, :code)", text(hash.as_str()))
        }
    }
}

/// Recovery codes are a set, so that concurrent uses of different codes do not conflict.
pub(super) fn recovery_set(codes: &[PasswordHash]) -> AttributeValue {
    AttributeValue::Ss(codes.iter().map(|code| code.as_str().to_owned()).collect())
}

pub(super) fn mail_write(table: &str, mail: &QueuedMail) -> Result<Write, Error> {
    Store::put(table, keyed(mail_key(&mail.uid, &mail.id), mail)?, None, [])
}

impl Store {
    /// Marks a code of the second factor as used, on condition that it is unused and that the
    /// secret is the one with which it was checked.
    pub(super) fn factor_write(&self, user: &User, factor: &SecondFactor) -> Result<Write, Error> {
        let secret = user
            .otp_secret
            .as_ref()
            .map_or("", |secret| secret.reveal());
        let (unused, code) = unused(factor);
        let key = user_key(&user.email.account_key());
        let condition = format!("uid = :uid AND otp_secret = :secret AND {unused}");
        let values = [
            (":uid", text(user.uid.as_str())),
            (":secret", text(secret)),
            (":code", code),
        ];
        match factor {
            SecondFactor::TimeStep(_) => Self::update(
                &self.users,
                key,
                "SET otp_last_step = :code",
                &condition,
                values,
            ),
            SecondFactor::RecoveryCode(hash) => {
                let [uid, secret, code] = values;
                let removed = (":used", recovery_set(slice::from_ref(hash)));
                Self::update(
                    &self.users,
                    key,
                    "DELETE otp_recovery_codes :used",
                    &condition,
                    [uid, secret, code, removed],
                )
            }
        }
    }

    /// Store a new user under the account key and under the uid, on condition that neither exists.
    /// `state` replaces the state of `user`, for states that [`State`](crate::domain::user::State)
    /// does not know.
    pub(super) fn new_user_writes(
        &self,
        user: &User,
        state: Option<&str>,
    ) -> Result<[Write; 2], Error> {
        const NEW: Option<&str> = Some("attribute_not_exists(pk)");
        let key = user.email.account_key();
        let mut item = keyed(user_key(&key), user)?;
        item.extend(state.map(|state| ("state".to_owned(), text(state))));
        let mut pointer = uid_key(&user.uid);
        pointer.insert("user".to_owned(), text(key.as_str()));
        Ok([
            Self::put(&self.users, item, NEW, [])?,
            Self::put(&self.users, pointer, NEW, [])?,
        ])
    }
}
