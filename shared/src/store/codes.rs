//! One-time codes, and the changes that they authorise.

use super::{
    Outcome, Store,
    closure::Reopening,
    items::{keyed, number, read, text},
    keys::{closure_key, code_key, decoy_key, failures_key, password_change_log_key},
    otp::REMOVE_OTP,
    passkey_list::PasskeyListChange,
    transaction::{Transaction, Write},
    writes::{
        activity_write, code_writes, device_epochs, has_device_epoch, log_write, mail_log_write,
        mail_write, notice_write, session_kept_write,
    },
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        email_address::AccountKey,
        mail::QueuedMail,
        one_time_code::{Kind, OneTimeCode},
        passkey::CredentialHash,
        password::PasswordHash,
        rate_limit::MailLog,
        session::Session,
        user::{COMPLAINT_RESET_INTERVAL, ComplaintReset, Day, Uid, User},
    },
    platform::clock::Timestamp,
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
    /// The kind of the code.
    pub kind: Kind,
    /// The account key of the address.
    pub account: &'a AccountKey,
    /// The log of mails to the address, as it was read; `None` if there was none.
    pub log_before: Option<&'a MailLog>,
    /// The log including this request.
    pub log_after: &'a MailLog,
    /// The code.
    pub code: &'a OneTimeCode,
    /// The mail with the code.
    pub mail: &'a QueuedMail,
    /// The activity to store; `None` if the request is not recorded.
    pub activity: Option<&'a Activity>,
}

/// The outcome of a password reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordChange {
    /// The password was changed and every session of the user ended.
    Done,
    /// The code was used or replaced by a newer one.
    CodeUsed,
    /// The user was deleted, the account was closed or reopened, the second factor was enabled or
    /// disabled, or the device epoch was raised, since the user was read.
    UserChanged,
}

/// The log of changes of the password.
#[derive(Clone, Copy, Debug)]
pub struct PasswordChangeLog<'a> {
    /// As it was read; `None` if there was none.
    pub before: Option<&'a MailLog>,
    /// With the change.
    pub after: &'a MailLog,
}

impl Store {
    /// Stores a code of a user and its mail. The code replaces an older one of the same kind.
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

    /// Like [`Store::store_code`], for a reset code of a user who complained, on condition that the
    /// last such request was at least a day ago. Records the mail as the one that may be sent.
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
        let permit = self.user_write(
            user,
            "SET complaint_reset = :reset",
            Some("attribute_not_exists(complaint_reset) OR complaint_reset.#at <= :before"),
            [
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
    /// [`Store::store_code`]. No mail is sent for the decoys, and they expire when the code would.
    /// If the address has a user, the activity is a real one, not a decoy.
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
            request.kind.into(),
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
        now: Timestamp,
    ) -> Result<(Option<User>, Option<OneTimeCode>), Error> {
        let key = code_key(&claims.uid, kind);
        let account = std::iter::once(&claims.account_key);
        let (user, code) = self.user_and_grant(account, key, now).await?;
        Ok((self.user_of(&claims.uid, user, now).await?, code))
    }

    /// In one transaction, changes the password, ends every session, invalidates all device tokens,
    /// deletes the code and the counter of wrong passwords, and adds the notice to the outbox.
    /// Removes a second factor that was [enabled recently](User::has_recent_otp); keeps an older
    /// one, but ends its back-off. Removes `recent_passkeys`, and returns
    /// [`PasswordChange::UserChanged`] if the list of passkeys changed since the user was read.
    /// Reopens an account that its owner closed.
    pub async fn reset_password(
        &self,
        user: &User,
        hash: &PasswordHash,
        code: &OneTimeCode,
        recent_passkeys: &[CredentialHash],
        notice: &QueuedMail,
        activity: &Activity,
    ) -> Result<PasswordChange, Error> {
        let now = activity.created_at;
        let account = user.email.account_key();
        let removed = if user.has_recent_otp(now) {
            REMOVE_OTP
        } else {
            "REMOVE totp_retry_at, recovery_retry_at"
        };
        // `removed` is wrong if the second factor was enabled or disabled since the user was read.
        let (unchanged, enabled_at) = match user.otp_enabled_at {
            None => ("attribute_not_exists(otp_enabled_at)", None),
            Some(at) => (
                "otp_enabled_at = :enabled_at",
                Some((":enabled_at", number(at.seconds()))),
            ),
        };
        let mut passkeys = user.passkeys.clone();
        passkeys.retain(|hash| !recent_passkeys.contains(hash));
        let passkeys = PasskeyListChange::of(user, &passkeys);
        let reopening = Reopening::of(user)?;
        let values = [
            (":hash", text(hash.as_str())),
            (":now", number(now.seconds())),
        ];
        let device_epochs = device_epochs(user)?;
        let writes = [
            self.user_write(
                user,
                &format!(
                    "SET password_hash = :hash, updated_at = :now, \
                     session_epoch = session_epoch + :one, \
                     device_epoch = :next_device_epoch{}{} {removed}{}{}",
                    reopening.set, passkeys.set, reopening.removed, passkeys.removed
                ),
                Some(&format!(
                    "{unchanged} AND {} AND {} AND {}",
                    has_device_epoch(user),
                    reopening.condition,
                    passkeys.condition
                )),
                values
                    .into_iter()
                    .chain(enabled_at)
                    .chain(device_epochs)
                    .chain(reopening.values)
                    .chain(passkeys.values),
            )?,
            Self::delete(
                &self.grants,
                code_key(&user.uid, Kind::Reset),
                Some("jti = :jti"),
                [(":jti", text(code.token_id.reveal()))],
            )?,
            Self::delete(&self.grants, failures_key(&account), None, [])?,
            mail_write(&self.grants, notice)?,
            activity_write(&self.grants, activity)?,
        ];
        let closure = user
            .closed_by_owner_at()
            .map(|at| Self::delete(&self.grants, closure_key(Day::of(at), &user.uid), None, []))
            .transpose()?;
        let passkeys = self.passkey_deletions(&user.uid, recent_passkeys)?;
        let writes = writes.into_iter().chain(closure).chain(passkeys);
        Ok(match self.transact(writes).await? {
            Transaction::Written => PasswordChange::Done,
            Transaction::ConditionFailed(0) => PasswordChange::UserChanged,
            Transaction::ConditionFailed(_) => PasswordChange::CodeUsed,
        })
    }

    /// The log of changes of the password in the sessions of a user.
    pub async fn password_changes(&self, uid: &Uid) -> Result<Option<MailLog>, Error> {
        let log = self.grants_read(vec![password_change_log_key(uid)]);
        let found = self.batch_get([log]).await?;
        let log = found.into_iter().next();
        log.map(|(_, item)| read(item)).transpose()
    }

    /// In one transaction, changes the password, ends every other session, invalidates all device
    /// tokens, deletes an unused reset code, logs the change and adds the notice to the outbox if
    /// there is one. Returns [`Outcome::Conflict`], without writing, if the password, the device
    /// epoch or the log changed or the session ended since they were read.
    pub async fn change_password(
        &self,
        user: &User,
        session: &Session,
        hash: &PasswordHash,
        log: PasswordChangeLog<'_>,
        notice: Option<&QueuedMail>,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let values = [
            (":old", text(user.credentials.password_hash.as_str())),
            (":hash", text(hash.as_str())),
            (":epoch", number(session.epoch)),
            (":next", number(session.next_epoch()?)),
            (":now", number(activity.created_at.seconds())),
        ];
        let writes = [
            self.user_write(
                user,
                "SET password_hash = :hash, session_epoch = :next, \
                 device_epoch = :next_device_epoch, updated_at = :now",
                Some(&format!(
                    "password_hash = :old AND session_epoch = :epoch AND {}",
                    has_device_epoch(user)
                )),
                values.into_iter().chain(device_epochs(user)?),
            )?,
            session_kept_write(&self.grants, session)?,
            Self::delete(&self.grants, code_key(&user.uid, Kind::Reset), None, [])?,
            log_write(
                &self.grants,
                password_change_log_key(&user.uid),
                log.before,
                log.after,
            )?,
            activity_write(&self.grants, activity)?,
        ];
        let notice = notice_write(&self.grants, notice)?;
        Ok(self
            .transact(writes.into_iter().chain(notice))
            .await?
            .into())
    }
}
