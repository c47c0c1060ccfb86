//! Storage of what a sign-in writes: the session, its activity, the used code and the notices.

use aws_sdk_dynamodb::types::{DeleteRequest, PutRequest, WriteRequest};

use super::{
    Outcome, Store,
    items::number,
    limits::Attempt,
    transaction::Write,
    writes::{
        activity_item, activity_write, mail_write, notice_write, recovery_report_writes,
        session_item, session_write, sign_in_notice_unsent,
    },
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        device::DeviceCodes,
        mail::QueuedMail,
        otp::{CodeKind, RecoveryCodeReport, SecondFactor},
        session::Session,
        user::{CredentialAccess, User},
    },
};

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
        let writes = [
            self.notice_sent_write(user, notice)?,
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

    /// Records the time of a notice of a sign-in, on condition that no other sign-in queued one
    /// since the user was read.
    pub(super) fn notice_sent_write<C: CredentialAccess>(
        &self,
        user: &User<C>,
        notice: &QueuedMail,
    ) -> Result<Write, Error> {
        let (unsent, sent_at) = sign_in_notice_unsent(user);
        let sent = [(":sent", number(notice.queued_at.seconds()))];
        self.user_write(
            user,
            "SET sign_in_notice_at = :sent",
            Some(unsent),
            sent.into_iter().chain(sent_at),
        )
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
}
