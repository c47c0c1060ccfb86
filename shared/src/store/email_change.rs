//! Changes of the address of a user.

use super::{
    Item, Store,
    items::{keyed, number, read, text},
    keys::{PK, code_key, email_change_key, email_change_log_key, mail_log_key, user_key},
    moving::Moving,
    presence::{Account, ExpiredAccount},
    transaction::Transaction,
    writes::{
        activity_write, log_write, mail_log_write, mail_write, notice_write,
        recovery_report_writes, session_kept_write,
    },
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        email_address::{AccountKey, AccountKeys},
        email_change::EmailChange,
        mail::QueuedMail,
        one_time_code::Kind,
        otp::{RecoveryCodeReport, SecondFactor},
        rate_limit::{MailKind, MailLog},
        session::Session,
        user::{CredentialAccess, Credentials, Uid, User, Withheld},
    },
    platform::clock::Timestamp,
};

/// The accounts of a new address of a user.
#[derive(Clone, Debug, Default)]
pub struct NewAddressLookup {
    /// Another user has the address.
    pub is_taken: bool,
    /// The expired accounts of the address, which the change replaces; none if a user has it.
    pub expired: Vec<ExpiredAccount>,
}

/// What is stored for a request to change the address.
#[derive(Clone, Debug, Default)]
pub struct EmailChangeLookup {
    /// Another user has the address.
    pub is_taken: bool,
    /// The log of mails that confirm a new address, to this one.
    pub mail_log: Option<MailLog>,
    /// The log of the user's requests.
    pub requests: Option<MailLog>,
}

/// The items to store when a change of the address is requested.
#[derive(Clone, Copy)]
pub struct EmailChangeRequest<'a> {
    /// The user, as they were read before the password was verified.
    pub user: &'a User,
    /// The accepted code of the second factor, and the report of a recovery code.
    pub factor: Option<&'a SecondFactor>,
    /// The report of a used recovery code.
    pub report: Option<&'a RecoveryCodeReport>,
    /// The log of the user's requests, as it was read; `None` if there was none.
    pub requests_before: Option<&'a MailLog>,
    /// The log including this request.
    pub requests_after: &'a MailLog,
    /// The activity that records the request.
    pub activity: &'a Activity,
    /// The change and its mails; `None` if another user has the address.
    pub mails: Option<EmailChangeMails<'a>>,
}

/// A change of the address and its mails.
#[derive(Clone, Copy)]
pub struct EmailChangeMails<'a> {
    /// The change.
    pub change: &'a EmailChange,
    /// The log of mails to the new address, as it was read; `None` if there was none.
    pub log_before: Option<&'a MailLog>,
    /// The log including this mail.
    pub log_after: &'a MailLog,
    /// The mail with the code, to the new address.
    pub link: &'a QueuedMail,
    /// The notice to the current address.
    pub notice: Option<&'a QueuedMail>,
}

/// The outcome of a request for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailChangeRequestOutcome {
    /// Everything was written.
    Stored,
    /// The code of the second factor was used since it was verified.
    CodeUsed,
    /// A concurrent request changed a log.
    Conflict,
}

/// A requested change and its user, read together.
#[derive(Clone, Debug)]
pub struct StoredEmailChange {
    /// The user.
    pub user: User,
    /// The newest requested change; `None` if there is none.
    pub change: Option<EmailChange>,
    item: Moving,
}

/// The items to store when a change of the address is confirmed.
#[derive(Clone, Copy)]
pub struct EmailChangeConfirmation<'a> {
    /// The user as stored.
    pub stored: &'a StoredEmailChange,
    /// The change.
    pub change: &'a EmailChange,
    /// The user after the change.
    pub changed: &'a User,
    /// The expired accounts of the new address, as they were read.
    pub replaced: &'a [ExpiredAccount],
    /// The session of the request.
    pub session: &'a Session,
    /// The notice to the previous address.
    pub notice: Option<&'a QueuedMail>,
    /// The activity that records the change.
    pub activity: &'a Activity,
}

/// The outcome of a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailChangeOutcome {
    /// The user has the new address.
    Done,
    /// The code was used or replaced by a newer one.
    CodeUsed,
    /// A concurrent request changed the user, took the address or ended the session.
    Conflict,
}

impl Store {
    /// Whether another user has the new address, and the logs that limit requests. One round trip.
    pub async fn look_up_email_change(
        &self,
        uid: &Uid,
        accounts: &AccountKeys,
        now: Timestamp,
    ) -> Result<EmailChangeLookup, Error> {
        let requests_key = email_change_log_key(uid);
        let log_key = mail_log_key(accounts.account(), MailKind::EmailChange);
        let grants = vec![log_key, requests_key.clone()];
        let (address, logs) = self.read_new_address(uid, accounts, grants, now).await?;
        let mut lookup = EmailChangeLookup {
            is_taken: address.is_taken,
            ..EmailChangeLookup::default()
        };
        for item in logs {
            if item.get(PK) == requests_key.get(PK) {
                lookup.requests = Some(read(item)?);
            } else {
                lookup.mail_log = Some(read(item)?);
            }
        }
        Ok(lookup)
    }

    /// Whether another user has the new address, and the expired accounts that it replaces.
    pub async fn look_up_new_address(
        &self,
        uid: &Uid,
        accounts: &AccountKeys,
        now: Timestamp,
    ) -> Result<NewAddressLookup, Error> {
        let read = self.read_new_address(uid, accounts, Vec::new(), now);
        read.await.map(|(address, _)| address)
    }

    /// Reads the accounts of a new address, together with these grant items.
    async fn read_new_address(
        &self,
        uid: &Uid,
        accounts: &AccountKeys,
        grants: Vec<Item>,
        now: Timestamp,
    ) -> Result<(NewAddressLookup, Vec<Item>), Error> {
        let users = accounts.iter().map(user_key).collect();
        let found = self
            .batch_get([self.users_read::<Withheld>(users), self.grants_read(grants)])
            .await?;
        let mut lookup = NewAddressLookup::default();
        let mut granted = Vec::new();
        for (table, item) in found {
            if table == self.grants {
                granted.push(item);
                continue;
            }
            match self.account::<Withheld>(item, now)? {
                Account::Present(user) => lookup.is_taken |= user.uid != *uid,
                Account::Expired(account) => lookup.expired.push(account),
            }
        }
        if lookup.is_taken {
            lookup.expired.clear();
        }
        Ok((lookup, granted))
    }

    /// In one transaction, counts a request to change the address, marks the code of the second
    /// factor as used and, unless the address is taken, stores the change with its mails.
    pub async fn request_email_change(
        &self,
        request: &EmailChangeRequest<'_>,
    ) -> Result<EmailChangeRequestOutcome, Error> {
        let EmailChangeRequest {
            user,
            factor,
            report,
            requests_before,
            requests_after,
            activity,
            mails,
        } = *request;
        let table = &self.grants;
        let factor = factor
            .map(|factor| self.factor_write(user, factor))
            .transpose()?;
        let has_factor = factor.is_some();
        let mut writes: Vec<_> = factor.into_iter().collect();
        writes.push(log_write(
            table,
            email_change_log_key(&user.uid),
            requests_before,
            requests_after,
        )?);
        writes.push(activity_write(table, activity)?);
        writes.extend(recovery_report_writes(table, report)?);
        if let Some(mails) = mails {
            writes.push(mail_log_write(
                table,
                &mails.change.email.account_key(),
                MailKind::EmailChange,
                mails.log_before,
                mails.log_after,
            )?);
            let key = email_change_key(&user.uid);
            writes.push(Self::put(table, keyed(key, mails.change)?, None, [])?);
            writes.push(mail_write(table, mails.link)?);
            writes.extend(notice_write(table, mails.notice)?);
        }
        Ok(match self.transact(writes).await? {
            Transaction::Written => EmailChangeRequestOutcome::Stored,
            Transaction::ConditionFailed(0) if has_factor => EmailChangeRequestOutcome::CodeUsed,
            Transaction::ConditionFailed(_) => EmailChangeRequestOutcome::Conflict,
        })
    }

    /// The newest requested change of a user, and the user. `None` if the user has moved to another
    /// key, or was deleted, since they were read.
    pub async fn find_email_change<C: CredentialAccess>(
        &self,
        user: &User<C>,
        now: Timestamp,
    ) -> Result<Option<StoredEmailChange>, Error> {
        let found = self
            .batch_get([
                self.users_read::<Credentials>(vec![user_key(&user.account_key())]),
                self.grants_read(vec![email_change_key(&user.uid)]),
            ])
            .await?;
        let mut stored = None;
        let mut change = None;
        for (table, item) in found {
            if table == self.users {
                let present = self.present_user(item.clone(), now)?;
                stored = present.zip(Some(Moving::read(item)?));
            } else {
                change = Some(read(item)?);
            }
        }
        Ok(stored
            .filter(|(found, _)| found.uid == user.uid)
            .map(|(user, item)| StoredEmailChange { user, change, item }))
    }

    /// In one transaction, moves the user to the account key of the new address, ends every other
    /// session, deletes the change and the outstanding codes of the previous address, and adds the
    /// notice to the outbox. Writes nothing unless the user is unchanged since it was read.
    pub async fn confirm_email_change(
        &self,
        confirmation: &EmailChangeConfirmation<'_>,
    ) -> Result<EmailChangeOutcome, Error> {
        let EmailChangeConfirmation {
            stored,
            change,
            changed,
            replaced,
            session,
            notice,
            activity,
        } = *confirmation;
        let uid = &changed.uid;
        let accounts = changed.email.account_keys();
        let mut writes = vec![Self::delete(
            &self.grants,
            email_change_key(uid),
            Some("jti = :jti"),
            [(":jti", text(change.token_id.reveal()))],
        )?];
        let item = stored.item_with_email(changed, accounts.account())?;
        let own = stored.item.key();
        writes.extend(self.claim_writes(&accounts, item, replaced, Some(own))?);
        writes.extend(stored.item.departure_writes(
            &self.users,
            accounts.account(),
            Some(("session_epoch = :epoch", (":epoch", number(session.epoch)))),
        )?);
        writes.push(session_kept_write(&self.grants, session)?);
        for kind in [Kind::Reset, Kind::Confirmation] {
            writes.push(Self::delete(&self.grants, code_key(uid, kind), None, [])?);
        }
        writes.push(activity_write(&self.grants, activity)?);
        writes.extend(notice_write(&self.grants, notice)?);
        Ok(match self.transact(writes).await? {
            Transaction::Written => EmailChangeOutcome::Done,
            Transaction::ConditionFailed(0) => EmailChangeOutcome::CodeUsed,
            Transaction::ConditionFailed(_) => EmailChangeOutcome::Conflict,
        })
    }
}

impl StoredEmailChange {
    /// The stored item with what a change of the address changes. It keeps all other attributes,
    /// also those that this version does not know.
    fn item_with_email(&self, changed: &User, account: &AccountKey) -> Result<Item, Error> {
        let mut item = self.item.item_under(account)?;
        item.remove("complaint_reset");
        let labels = serde_dynamo::to_attribute_value(&changed.labels).map_err(Error::internal)?;
        item.extend(
            [
                ("email", text(changed.email.as_typed())),
                ("labels", labels),
                ("session_epoch", number(changed.session_epoch)),
                ("device_epoch", number(changed.device_epoch)),
                ("updated_at", number(changed.updated_at.seconds())),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        Ok(item)
    }
}
