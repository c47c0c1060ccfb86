//! Writes that several operations share, each a part of a transaction, with its condition.

use aws_sdk_dynamodb::types::{AttributeValue, Update};

use super::{
    Item, Outcome, Store,
    conditional::conditional,
    items::{keyed, number, text},
    keys::{activity_key, code_key, mail_key, mail_log_key, session_key, user_key},
    transaction::{Value, Write},
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        email_address::AccountKey,
        mail::QueuedMail,
        one_time_code::{Kind, OneTimeCode},
        otp::{AcceptedStep, CodeFailures, CodeKind, RecoveryCodeReport, SecondFactor},
        password::PasswordHash,
        rate_limit::{MailKind, MailLog},
        session::Session,
        user::{CredentialAccess, StoredOtpSecret, Uid, User},
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
    .map(Write::Update)
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
    kind: MailKind,
    before: Option<&MailLog>,
    log: &MailLog,
) -> Result<Write, Error> {
    log_write(table, mail_log_key(account, kind), before, log)
}

/// Replaces the log with this key, on condition that it is unchanged since it was read.
pub(super) fn log_write(
    table: &str,
    key: Item,
    before: Option<&MailLog>,
    log: &MailLog,
) -> Result<Write, Error> {
    let mut item = keyed(key, log)?;
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

/// The condition that the time step `:code` is unused.
pub(super) const UNUSED_STEP: &str =
    "(attribute_not_exists(otp_last_step) OR otp_last_step < :code)";

/// The condition that a code of the second factor is unused, and the value of its `:code`.
pub(super) fn unused(factor: &SecondFactor) -> (&'static str, AttributeValue) {
    match factor {
        SecondFactor::TimeStep(accepted) => (UNUSED_STEP, number(accepted.step)),
        SecondFactor::RecoveryCode(hash) => {
            ("contains(otp_recovery_codes, :code)", text(hash.as_str()))
        }
    }
}

/// The change that uses a time step and seals a plain secret, the value of its `:code`, and that of
/// its `:sealed` if there is one.
pub(super) fn step_change(
    accepted: &AcceptedStep,
) -> (&'static str, AttributeValue, Option<Value>) {
    let code = number(accepted.step);
    match &accepted.sealed_secret {
        None => ("SET otp_last_step = :code", code, None),
        Some(sealed) => (
            "SET otp_last_step = :code, otp_secret = :sealed",
            code,
            Some((":sealed", text(sealed.as_str()))),
        ),
    }
}

/// The value `:secret` of the condition that the OTP secret is unchanged since the user was read.
pub(super) fn otp_secret_as_read(user: &User) -> Value {
    let secret = user.credentials.otp_secret.as_ref();
    (
        ":secret",
        text(secret.map_or("", StoredOtpSecret::as_stored)),
    )
}

/// Recovery codes are a set, so that concurrent uses of different codes do not conflict.
pub(super) fn recovery_set(codes: &[PasswordHash]) -> AttributeValue {
    AttributeValue::Ss(codes.iter().map(|code| code.as_str().to_owned()).collect())
}

pub(super) fn mail_write(table: &str, mail: &QueuedMail) -> Result<Write, Error> {
    Store::put(table, keyed(mail_key(&mail.uid, &mail.id), mail)?, None, [])
}

/// Stores a notice, if there is one.
pub(super) fn notice_write(
    table: &str,
    notice: Option<&QueuedMail>,
) -> Result<Option<Write>, Error> {
    notice.map(|notice| mail_write(table, notice)).transpose()
}

/// Stores the report of a used recovery code, if there is one.
pub(super) fn recovery_report_writes(
    table: &str,
    report: Option<&RecoveryCodeReport>,
) -> Result<Vec<Write>, Error> {
    let Some(RecoveryCodeReport { activity, notice }) = report else {
        return Ok(Vec::new());
    };
    let mut writes = vec![activity_write(table, activity)?];
    writes.extend(notice_write(table, notice.as_ref())?);
    Ok(writes)
}

/// The condition that no notice of a sign-in was sent since the user was read, and its value.
pub(super) fn sign_in_notice_unsent<C>(user: &User<C>) -> (&'static str, Option<Value>) {
    match user.sign_in_notice_at {
        None => ("attribute_not_exists(sign_in_notice_at)", None),
        Some(at) => (
            "sign_in_notice_at = :sent_before",
            Some((":sent_before", number(at.seconds()))),
        ),
    }
}

/// The condition that no notice about a known password was sent since the user was read, and its
/// value.
pub(super) fn unnotified(user: &User) -> (&'static str, Option<Value>) {
    match user.password_known_at {
        None => ("attribute_not_exists(password_known_at)", None),
        Some(at) => (
            "password_known_at = :notified_at",
            Some((":notified_at", number(at.seconds()))),
        ),
    }
}

/// The condition that the device epoch of a user is `:device_epoch`, the one that was read. Earlier
/// versions stored users without it.
pub(super) const fn has_device_epoch(user: &User) -> &'static str {
    match user.device_epoch {
        0 => "(attribute_not_exists(device_epoch) OR device_epoch = :device_epoch)",
        _ => "device_epoch = :device_epoch",
    }
}

/// The values `:device_epoch`, the one that was read, and `:next_device_epoch`.
pub(super) fn device_epochs(user: &User) -> Result<[Value; 2], Error> {
    Ok([
        (":device_epoch", number(user.device_epoch)),
        (":next_device_epoch", number(user.next_device_epoch()?)),
    ])
}

/// The attributes of a user that count the wrong codes of a kind.
pub(super) struct FailureAttributes {
    kind: CodeKind,
    pub(super) count: &'static str,
    pub(super) retry_at: &'static str,
}

impl FailureAttributes {
    pub(super) const fn of(kind: CodeKind) -> Self {
        match kind {
            CodeKind::Totp => Self {
                kind,
                count: "totp_failures",
                retry_at: "totp_retry_at",
            },
            CodeKind::Recovery => Self {
                kind,
                count: "recovery_failures",
                retry_at: "recovery_retry_at",
            },
        }
    }

    /// The condition that no wrong code was counted since the user was read, and its value.
    pub(super) fn unchanged(
        &self,
        user: &User,
    ) -> (String, Option<(&'static str, AttributeValue)>) {
        match CodeFailures::of(user, self.kind).count {
            0 => (format!("attribute_not_exists({})", self.count), None),
            count => (
                format!("{} = :failures", self.count),
                Some((":failures", number(count))),
            ),
        }
    }
}

impl Store {
    /// Changes a user, on condition that they are still stored under the key at which they were
    /// read, and raises their revision. So `change` has no `ADD` clause. The values `:uid` and
    /// `:one` are defined.
    pub(super) fn user_write<C: CredentialAccess>(
        &self,
        user: &User<C>,
        change: &str,
        condition: Option<&str>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Write, Error> {
        self.user_update(user, change, condition, values)
            .map(Write::Update)
    }

    /// As [`Store::user_write`], outside a transaction.
    pub(super) async fn update_user<C: CredentialAccess>(
        &self,
        user: &User<C>,
        change: &str,
        condition: Option<&str>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Outcome, Error> {
        let update = self.user_update(user, change, condition, values)?;
        let request = self
            .client
            .update_item()
            .table_name(update.table_name)
            .set_key(Some(update.key))
            .update_expression(update.update_expression)
            .set_condition_expression(update.condition_expression)
            .set_expression_attribute_names(update.expression_attribute_names)
            .set_expression_attribute_values(update.expression_attribute_values);
        Ok(conditional(request).await?.into())
    }

    fn user_update<C: CredentialAccess>(
        &self,
        user: &User<C>,
        change: &str,
        condition: Option<&str>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Update, Error> {
        let condition = condition.map_or_else(
            || "uid = :uid".to_owned(),
            |condition| format!("uid = :uid AND ({condition})"),
        );
        let own = [(":uid", text(user.uid.as_str())), (":one", number(1))];
        Self::update(
            &self.users,
            user_key(&user.account_key()),
            &format!("{change} ADD revision :one"),
            &condition,
            own.into_iter().chain(values),
        )
    }
}
