//! Users. Each has an item under the account key, and one under the uid that names this key.

use serde::Deserialize;

use super::{
    Outcome, Store,
    items::{number, read, text},
    keys::{mail_log_key, uid_key, user_key},
    presence::{Account, ExpiredAccount},
    transaction::{Transaction, Value, Write},
    writes::{activity_write, code_writes, mail_log_write, session_write},
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        email_address::{AccountKey, AccountKeys},
        mail::QueuedMail,
        one_time_code::{Kind, OneTimeCode},
        password::PasswordHash,
        rate_limit::{MailKind, MailLog},
        session::Session,
        user::{CredentialAccess, Uid, User, Withheld},
    },
    platform::clock::Timestamp,
};

/// What the store already contains for the address and the referral of a sign-up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignUpLookup {
    /// A user has the address.
    pub is_email_taken: bool,
    /// A user has the uid of the referral.
    pub has_referral: bool,
    /// The log of sign-up mails to the address; `None` if there is none.
    pub mail_log: Option<MailLog>,
    /// The expired accounts of the address, which the sign-up replaces; none if a user has it.
    pub expired: Vec<ExpiredAccount>,
}

impl SignUpLookup {
    fn with_accounts(mut self, accounts: Vec<Account<Withheld>>) -> Self {
        for account in accounts {
            match account {
                Account::Present(_) => self.is_email_taken = true,
                Account::Expired(account) => self.expired.push(account),
            }
        }
        if self.is_email_taken {
            self.expired.clear();
        }
        self
    }
}

/// The items that a sign-up stores.
#[derive(Clone, Copy)]
pub struct NewAccount<'a> {
    /// The new user.
    pub user: &'a User,
    /// The expired accounts of the address, as they were read.
    pub replaced: &'a [ExpiredAccount],
    /// The first session of the user.
    pub session: &'a Session,
    /// The log of sign-up mails to the address, as it was read; `None` if there was none.
    pub log_before: Option<&'a MailLog>,
    /// The log including this sign-up.
    pub log_after: &'a MailLog,
    /// The confirmation code.
    pub code: &'a OneTimeCode,
    /// The mail with the code.
    pub mail: &'a QueuedMail,
    /// The activity that records the sign-up.
    pub activity: &'a Activity,
}

/// The item that makes a uid unique and contains the account key of its user.
#[derive(Deserialize)]
pub(super) struct UidItem {
    #[serde(rename = "user")]
    pub(super) account: AccountKey,
}

/// The outcome of a sign-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// Everything was written.
    Done,
    /// Another user has the address.
    EmailTaken,
    /// Another user has the uid.
    UidTaken,
    /// A concurrent request changed the log of mails or an expired account.
    Conflict,
}

/// The change that replaces the labels.
const SET_LABELS: &str = "SET labels = :labels, updated_at = :now";

/// The condition that the labels are unchanged since the user was read. A user without labels may
/// be stored without the attribute.
const fn labels_unchanged<C>(user: &User<C>) -> &'static str {
    if user.labels.is_empty() {
        "attribute_not_exists(labels) OR labels = :before"
    } else {
        "labels = :before"
    }
}

fn labels_values<C>(user: &User<C>, changed: &User<C>) -> Result<[Value; 3], Error> {
    let labels =
        |user: &User<C>| serde_dynamo::to_attribute_value(&user.labels).map_err(Error::internal);
    Ok([
        (":before", labels(user)?),
        (":labels", labels(changed)?),
        (":now", number(changed.updated_at.seconds())),
    ])
}

impl Store {
    /// The user of an address.
    pub async fn find_user(
        &self,
        accounts: &AccountKeys,
        now: Timestamp,
    ) -> Result<Option<User>, Error> {
        self.user_under(accounts.iter(), now).await
    }

    /// The user with this uid.
    pub async fn find_user_by_uid<C: CredentialAccess>(
        &self,
        uid: &Uid,
        now: Timestamp,
    ) -> Result<Option<User<C>>, Error> {
        // The user may move to another account key between the two reads. A second move in the
        // meantime would need a mail and a confirmation, so a second try is sufficient.
        for _ in 0..2 {
            let pointer = self.users_read::<C>(vec![uid_key(uid)]);
            let pointers = self.batch_get([pointer]).await?;
            let Some((_, pointer)) = pointers.into_iter().next() else {
                return Ok(None);
            };
            let UidItem { account } = read(pointer)?;
            let user: Option<User<C>> = self.user_under(std::iter::once(&account), now).await?;
            if let Some(user) = user.filter(|user| user.uid == *uid) {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// Returns `read`, the user under the account key of a token, if it has this uid. Otherwise the
    /// user may have moved to another key since the token was issued, and is looked up by uid.
    pub(super) async fn user_of<C: CredentialAccess>(
        &self,
        uid: &Uid,
        read: Option<User<C>>,
        now: Timestamp,
    ) -> Result<Option<User<C>>, Error> {
        match read.filter(|user| user.uid == *uid) {
            Some(user) => Ok(Some(user)),
            None => self.find_user_by_uid(uid, now).await,
        }
    }

    /// Stores the labels of `changed`. Returns [`Outcome::Conflict`], without writing, if the
    /// labels changed or the user was deleted since `user` was read.
    pub async fn set_labels(&self, user: &User, changed: &User) -> Result<Outcome, Error> {
        let condition = labels_unchanged(user);
        let values = labels_values(user, changed)?;
        self.update_user(user, SET_LABELS, Some(condition), values)
            .await
    }

    /// As [`Store::set_labels`], and records the activity in the same transaction.
    pub async fn change_labels<C: CredentialAccess>(
        &self,
        user: &User<C>,
        changed: &User<C>,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let writes = [
            self.labels_write(user, changed)?,
            activity_write(&self.grants, activity)?,
        ];
        Ok(self.transact(writes).await?.into())
    }

    /// As [`Store::set_labels`], as a part of a transaction.
    pub(super) fn labels_write<C: CredentialAccess>(
        &self,
        user: &User<C>,
        changed: &User<C>,
    ) -> Result<Write, Error> {
        let condition = labels_unchanged(user);
        let values = labels_values(user, changed)?;
        self.user_write(user, SET_LABELS, Some(condition), values)
    }

    /// Replaces the user's data and records the activity. Returns [`Outcome::Conflict`], without
    /// writing, if the user was deleted or moved to another account key since `user` was read.
    pub async fn set_data<C: CredentialAccess>(
        &self,
        user: &User<C>,
        data: &str,
        activity: &Activity,
    ) -> Result<Outcome, Error> {
        let writes = [
            self.user_write(
                user,
                "SET #data = :data, updated_at = :now",
                None,
                [
                    (":data", text(data)),
                    (":now", number(activity.created_at.seconds())),
                ],
            )?,
            activity_write(&self.grants, activity)?,
        ];
        Ok(self.transact(writes).await?.into())
    }

    /// Looks up the address and its log of sign-up mails in one round trip, and in parallel the user
    /// of the referral in two.
    pub async fn look_up_sign_up(
        &self,
        accounts: Option<&AccountKeys>,
        referral: Option<&Uid>,
        now: Timestamp,
    ) -> Result<SignUpLookup, Error> {
        let users = accounts.into_iter().flat_map(AccountKeys::iter);
        let users = users.map(user_key).collect();
        let log = accounts.map(|accounts| mail_log_key(accounts.account(), MailKind::SignUp));
        let referrer = async {
            match referral {
                Some(uid) => self.find_user_by_uid::<Withheld>(uid, now).await,
                None => Ok(None),
            }
        };
        let (found, referrer) = tokio::try_join!(
            self.batch_get([
                self.users_read::<Withheld>(users),
                self.grants_read(log.into_iter().collect()),
            ]),
            referrer,
        )?;
        let mut lookup = SignUpLookup {
            has_referral: referrer.is_some(),
            ..SignUpLookup::default()
        };
        let mut accounts = Vec::new();
        for (table, item) in found {
            if table == self.grants {
                lookup.mail_log = Some(read(item)?);
            } else {
                accounts.push(self.account::<Withheld>(item, now)?);
            }
        }
        Ok(lookup.with_accounts(accounts))
    }

    /// Whether a user has the address, and the expired accounts that an operator's new user of the
    /// address replaces. Reads the Users table only.
    pub(super) async fn look_up_address(
        &self,
        accounts: &AccountKeys,
        now: Timestamp,
    ) -> Result<SignUpLookup, Error> {
        let keys = accounts.iter().map(user_key).collect();
        let found = self.batch_get([self.users_read::<Withheld>(keys)]).await?;
        let accounts = found
            .into_iter()
            .map(|(_, item)| self.account(item, now))
            .collect::<Result<_, _>>()?;
        Ok(SignUpLookup::default().with_accounts(accounts))
    }

    /// Replaces the password hash with another hash of the same password, if the stored hash is
    /// still that of `user`. Otherwise writes nothing.
    pub async fn replace_hash(&self, user: &User, hash: &PasswordHash) -> Result<(), Error> {
        let set = "SET password_hash = :new";
        let unchanged = Some("password_hash = :old");
        let values = [
            (":new", text(hash.as_str())),
            (":old", text(user.credentials.password_hash.as_str())),
        ];
        // A conflict means that another request changed the password.
        let _ = self.update_user(user, set, unchanged, values).await?;
        Ok(())
    }

    /// In one transaction, stores a new user, their session, and the confirmation code with its
    /// mail, in place of the expired accounts of the address. Writes nothing if the address or the
    /// uid is taken, or if the log of mails or an expired account changed.
    pub async fn sign_up(&self, new: &NewAccount<'_>) -> Result<SignUp, Error> {
        let NewAccount {
            user,
            replaced,
            session,
            log_before,
            log_after,
            code,
            mail,
            activity,
        } = *new;
        if replaced.iter().any(|expired| expired.has_uid(&user.uid)) {
            return Ok(SignUp::UidTaken);
        }
        let mut writes = self.new_user_writes(user, None, replaced)?;
        let count = writes.len();
        let account = user.email.account_key();
        let kind = MailKind::SignUp;
        writes.push(mail_log_write(
            &self.grants,
            &account,
            kind,
            log_before,
            log_after,
        )?);
        writes.push(session_write(&self.grants, session)?);
        writes.extend(code_writes(
            &self.grants,
            &user.uid,
            Kind::Confirmation,
            code,
            mail,
        )?);
        writes.push(activity_write(&self.grants, activity)?);
        Ok(match self.transact(writes).await? {
            Transaction::Written => SignUp::Done,
            // Of the writes for the user, the last stores the uid; the others concern the address.
            Transaction::ConditionFailed(index) if index + 1 < count && replaced.is_empty() => {
                SignUp::EmailTaken
            }
            Transaction::ConditionFailed(index) if index + 1 == count => SignUp::UidTaken,
            Transaction::ConditionFailed(_) => SignUp::Conflict,
        })
    }
}
