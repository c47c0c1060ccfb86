//! Writes that several operations share. Each is part of a transaction, with the condition under
//! which it may happen.

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
        mail::QueuedMail,
        one_time_code::{Kind, OneTimeCode},
        otp::SecondFactor,
        password::PasswordHash,
        rate_limit::MailLog,
        session::Session,
        user::User,
    },
};

pub(super) fn activity_item(activity: &Activity) -> Result<Item, Error> {
    keyed(activity_key(&activity.uid, &activity.id), activity)
}

pub(super) fn activity_write(table: &str, activity: &Activity) -> Result<Write, Error> {
    Store::put(table, activity_item(activity)?, None, [])
}

pub(super) fn session_item(session: &Session) -> Result<Item, Error> {
    keyed(session_key(&session.uid, &session.id_hash), session)
}

/// Stores a session. Its id is new, so no condition is needed.
pub(super) fn session_write(table: &str, session: &Session) -> Result<Write, Error> {
    Store::put(table, session_item(session)?, None, [])
}

/// Stores a session that goes on in the user's next epoch, unless it was ended.
pub(super) fn session_kept_write(table: &str, session: &Session) -> Result<Write, Error> {
    let kept = Session {
        epoch: session.next_epoch()?,
        ..session.clone()
    };
    Store::put(
        table,
        session_item(&kept)?,
        Some("attribute_exists(pk)"),
        [],
    )
}

/// The writes that store a code, in the place of one that was there, and the mail that brings it.
pub(super) fn code_writes(
    table: &str,
    uid: &str,
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

/// The write that replaces a log of mails, unless another mail was asked for meanwhile.
pub(super) fn mail_log_write(
    table: &str,
    user: &str,
    kind: Kind,
    before: Option<&MailLog>,
    log: &MailLog,
) -> Result<Write, Error> {
    let mut item = keyed(mail_log_key(user, kind), log)?;
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

/// The condition under which a code of the second factor is unused, and its value `:code`.
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

/// Recovery codes are a set, so that each is used up by itself, whatever becomes of the others at
/// the same moment.
pub(super) fn recovery_set(codes: &[PasswordHash]) -> AttributeValue {
    AttributeValue::Ss(codes.iter().map(|code| code.as_str().to_owned()).collect())
}

/// Queues a mail.
pub(super) fn mail_write(table: &str, mail: &QueuedMail) -> Result<Write, Error> {
    Store::put(table, keyed(mail_key(&mail.uid, &mail.id), mail)?, None, [])
}

impl Store {
    /// The write that uses a code of the second factor up, if it is unused and the secret still the
    /// one it was checked with.
    pub(super) fn use_up(&self, user: &User, factor: &SecondFactor) -> Result<Write, Error> {
        let secret = user
            .otp_secret
            .as_ref()
            .map_or("", |secret| secret.reveal());
        let (unused, code) = unused(factor);
        let key = user_key(&user.email.key());
        let condition = format!("uid = :uid AND otp_secret = :secret AND {unused}");
        let values = [
            (":uid", text(&user.uid)),
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
                let spent = (":spent", recovery_set(slice::from_ref(hash)));
                Self::update(
                    &self.users,
                    key,
                    "DELETE otp_recovery_codes :spent",
                    &condition,
                    [uid, secret, code, spent],
                )
            }
        }
    }

    /// The writes that store a new user, under the address and under the uid, neither of which may
    /// be taken. A state that this service has no name for is given beside.
    pub(super) fn new_user_writes(
        &self,
        user: &User,
        state: Option<&str>,
    ) -> Result<[Write; 2], Error> {
        const NEW: Option<&str> = Some("attribute_not_exists(pk)");
        let key = user.email.key();
        let mut item = keyed(user_key(&key), user)?;
        item.extend(state.map(|state| ("state".to_owned(), text(state))));
        let mut pointer = uid_key(&user.uid);
        pointer.insert("user".to_owned(), text(&key));
        Ok([
            Self::put(&self.users, item, NEW, [])?,
            Self::put(&self.users, pointer, NEW, [])?,
        ])
    }
}
