//! The second factor of users: drawn, turned on, used, turned off.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Store,
    activities::activity_write,
    codes::mail_key,
    items::{keyed, number, text, user_key},
    sessions::session_kept_write,
    transaction::Outcome,
};
use crate::{
    Error,
    activity::Activity,
    mail::QueuedMail,
    otp::SecondFactor,
    password::PasswordHash,
    session::Session,
    user::{OtpSecret, User},
};

/// What is stored when the second factor is turned on.
pub struct Enabling<'a> {
    /// The secret whose code was given.
    pub secret: &'a OtpSecret,
    /// The time step of that code, which is used up by it.
    pub step: u64,
    /// The recovery codes.
    pub recovery_codes: &'a [PasswordHash],
    /// The mail that tells of it.
    pub notice: &'a QueuedMail,
    /// What was done.
    pub activity: &'a Activity,
}

/// The condition under which a code of the second factor is unused, and its value `:code`.
pub(super) fn unused(factor: &SecondFactor) -> (&'static str, AttributeValue) {
    match factor {
        SecondFactor::TimeStep(step) => ("(attribute_not_exists(otp_last_step) OR otp_last_step < :code)", number(*step)),
        SecondFactor::RecoveryCode(hash) => ("contains(otp_recovery_codes, :code)", text(hash.as_str())),
    }
}

/// Recovery codes are a set, so that each is used up by itself, whatever becomes of the others at the same moment.
pub(super) fn recovery_set(codes: &[PasswordHash]) -> AttributeValue {
    AttributeValue::Ss(codes.iter().map(|code| code.as_str().to_owned()).collect())
}

impl Store {
    /// Keeps a secret that was drawn for the user's authenticator, in the place of one that was there. `false`, and nothing is
    /// stored, when a second factor is on.
    pub async fn draw_otp_secret(&self, user: &User, secret: &OtpSecret, activity: &Activity) -> Result<bool, Error> {
        let draw = Self::update(
            &self.users,
            user_key(&user.email.key()),
            "SET otp_pending_secret = :secret",
            "uid = :uid AND attribute_not_exists(otp_secret)",
            [(":uid", text(&user.uid)), (":secret", text(secret.reveal()))],
        )?;
        Ok(self.transact([draw, activity_write(&self.grants, activity)?]).await? == Outcome::Written)
    }

    /// Turns the second factor on, ends every other session and queues the notice, all or nothing. `false`, and nothing is changed,
    /// when one is on meanwhile, another secret was drawn, or the session is over.
    pub async fn enable_otp(&self, user: &User, session: &Session, enabling: &Enabling<'_>) -> Result<bool, Error> {
        let Enabling { secret, step, recovery_codes, notice, activity } = *enabling;
        let enable = Self::update(
            &self.users,
            user_key(&user.email.key()),
            "SET otp_secret = :secret, otp_last_step = :step, otp_recovery_codes = :codes, session_epoch = :next, updated_at = :now \
             REMOVE otp_pending_secret",
            "uid = :uid AND attribute_not_exists(otp_secret) AND otp_pending_secret = :secret AND session_epoch = :epoch",
            [
                (":uid", text(&user.uid)),
                (":secret", text(secret.reveal())),
                (":step", number(step)),
                (":codes", recovery_set(recovery_codes)),
                (":epoch", number(session.epoch)),
                (":next", number(session.epoch + 1)),
                (":now", number(activity.created_at.seconds())),
            ],
        )?;
        let writes = [
            enable,
            session_kept_write(&self.grants, session)?,
            Self::put(&self.grants, keyed(mail_key(&user.uid, &notice.id), notice)?, None, [])?,
            activity_write(&self.grants, activity)?,
        ];
        Ok(self.transact(writes).await? == Outcome::Written)
    }

    /// Uses a code of the second factor up; `false` when somebody did before, or the secret is another now.
    pub async fn use_up_code(&self, user: &User, factor: &SecondFactor) -> Result<bool, Error> {
        Ok(self.transact([self.use_up(user, factor)?]).await? == Outcome::Written)
    }

    /// Turns the second factor off by a code of it, and queues the notice, all or nothing. `false`, and nothing is changed, when
    /// somebody used the code up before, or the secret is another now.
    pub async fn disable_otp(
        &self,
        user: &User,
        factor: &SecondFactor,
        notice: &QueuedMail,
        activity: &Activity,
    ) -> Result<bool, Error> {
        let secret = user.otp_secret.as_ref().map_or("", OtpSecret::reveal);
        let (unused, code) = unused(factor);
        let disable = Self::update(
            &self.users,
            user_key(&user.email.key()),
            "SET updated_at = :now REMOVE otp_secret, otp_last_step, otp_recovery_codes",
            &format!("uid = :uid AND otp_secret = :secret AND {unused}"),
            [
                (":uid", text(&user.uid)),
                (":secret", text(secret)),
                (":code", code),
                (":now", number(activity.created_at.seconds())),
            ],
        )?;
        let notice = Self::put(&self.grants, keyed(mail_key(&user.uid, &notice.id), notice)?, None, [])?;
        Ok(self.transact([disable, notice, activity_write(&self.grants, activity)?]).await? == Outcome::Written)
    }
}
