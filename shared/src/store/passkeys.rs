//! Passkeys. Each has an item under the hash of its credential id, and the item of its user lists
//! that hash; a passkey that is not listed is not valid.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Item, Store,
    batches::TableRead,
    items::{number, read, text, text_of},
    keys::{PASSKEY, PK, ceremony_key, clone_report_key, passkey_key, session_key, uid_key},
    transaction::{Transaction, Write},
    users::UidItem,
    writes::{activity_write, notice_write, session_write},
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        email_address::AccountKey,
        mail::QueuedMail,
        passkey::{CredentialHash, Passkey, PasskeyUse},
        session::Session,
        user::{CredentialAccess, Uid, User},
    },
    platform::clock::Timestamp,
    tokens::ceremony::Ceremony,
};

/// The outcome of an operation that a ceremony authorises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CeremonyOutcome {
    /// Everything was written.
    Written,
    /// Nothing was written, because the ceremony was used before.
    Used,
    /// Nothing was written, because the passkey was removed, or used with another signature counter,
    /// since it was read.
    PasskeyChanged,
    /// Nothing was written, because another request changed something else on which the operation
    /// depends.
    Conflict,
}

impl From<Transaction> for CeremonyOutcome {
    /// The ceremony must be the first write of the transaction, and the passkey the second.
    fn from(transaction: Transaction) -> Self {
        match transaction {
            Transaction::Written => Self::Written,
            Transaction::ConditionFailed(0) => Self::Used,
            Transaction::ConditionFailed(1) => Self::PasskeyChanged,
            Transaction::ConditionFailed(_) => Self::Conflict,
        }
    }
}

impl Store {
    /// The passkey with this hash and its user, if the user has this uid and lists the passkey. Two
    /// round trips, also if there is no such passkey, unless the user moved to another account key.
    pub async fn find_passkey<C: CredentialAccess>(
        &self,
        hash: &CredentialHash,
        uid: Option<&Uid>,
        now: Timestamp,
    ) -> Result<Option<(Passkey, User<C>)>, Error> {
        let keys = [passkey_key(hash)].into_iter().chain(uid.map(uid_key));
        let mut passkey = None;
        // No account has this key.
        let mut account = AccountKey::stored(hash.as_str());
        for (_, item) in self.batch_get([self.passkeys_read(keys.collect())]).await? {
            if text_of(&item, PK)?.starts_with(PASSKEY) {
                passkey = Some(read::<Passkey>(item)?);
            } else {
                account = read::<UidItem>(item)?.account;
            }
        }
        let user = self.user_under(std::iter::once(&account), now).await?;
        let Some(passkey) = passkey.filter(|passkey| Some(&passkey.uid) == uid) else {
            return Ok(None);
        };
        let user = self.user_of(&passkey.uid, user, now).await?;
        Ok(user
            .filter(|user| user.passkeys.contains(hash))
            .map(|user| (passkey, user)))
    }

    /// A read of items of passkeys and of uids.
    pub(super) fn passkeys_read(&self, keys: Vec<Item>) -> TableRead<'_> {
        TableRead::new(&self.users, keys, Some(Passkey::ATTRIBUTES))
    }

    /// Stores a session that a passkey opens, records the use of the passkey, and uses up the
    /// ceremony. Queues the notice of a sign-in from a new device, if there is one, on condition
    /// that no other sign-in queued one since the user was read.
    ///
    /// The item of the passkey stands for the list of the user: a transaction that removes a passkey
    /// from the list also deletes its item.
    pub async fn open_session_with_passkey<C: CredentialAccess>(
        &self,
        user: &User<C>,
        session: &Session,
        passkey_use: &PasskeyUse,
        ceremony: &Ceremony,
        notice: Option<&QueuedMail>,
        activity: &Activity,
    ) -> Result<CeremonyOutcome, Error> {
        let writes = [
            self.ceremony_write(ceremony)?,
            self.passkey_use_write(passkey_use, activity.created_at)?,
            session_write(&self.grants, session)?,
            activity_write(&self.grants, activity)?,
        ];
        let sent = notice
            .map(|notice| self.notice_sent_write(user, notice))
            .transpose()?;
        let notice = notice_write(&self.grants, notice)?;
        Ok(self
            .transact(writes.into_iter().chain(sent).chain(notice))
            .await?
            .into())
    }

    /// Replaces a session by one that continues it, records the use of the passkey, and uses up the
    /// ceremony.
    pub async fn replace_session_with_passkey(
        &self,
        session: &Session,
        renewed: &Session,
        passkey_use: &PasskeyUse,
        ceremony: &Ceremony,
        activity: &Activity,
    ) -> Result<CeremonyOutcome, Error> {
        let writes = [
            self.ceremony_write(ceremony)?,
            self.passkey_use_write(passkey_use, activity.created_at)?,
            Self::delete(
                &self.grants,
                session_key(&session.uid, &session.id),
                Some("attribute_exists(pk)"),
                [],
            )?,
            session_write(&self.grants, renewed)?,
            activity_write(&self.grants, activity)?,
        ];
        Ok(self.transact(writes).await?.into())
    }

    /// Records a use whose counter indicates a copy of the passkey, and queues the notice if there
    /// is one. A ceremony is reported once: a response that is repeated proves no copy. Returns
    /// [`CeremonyOutcome::Used`] if the ceremony succeeded before, and [`CeremonyOutcome::Conflict`]
    /// if it was reported before.
    pub async fn report_clone(
        &self,
        ceremony: &Ceremony,
        notice: Option<&QueuedMail>,
        activity: &Activity,
    ) -> Result<CeremonyOutcome, Error> {
        let mut report = clone_report_key(&ceremony.id);
        report.extend(expires_at(ceremony));
        let writes = [
            Self::absent(&self.grants, ceremony_key(&ceremony.id))?,
            Self::put(&self.grants, report, Some("attribute_not_exists(pk)"), [])?,
            activity_write(&self.grants, activity)?,
        ];
        let notice = notice_write(&self.grants, notice)?;
        Ok(
            match self.transact(writes.into_iter().chain(notice)).await? {
                Transaction::Written => CeremonyOutcome::Written,
                Transaction::ConditionFailed(0) => CeremonyOutcome::Used,
                Transaction::ConditionFailed(_) => CeremonyOutcome::Conflict,
            },
        )
    }

    /// Uses up a ceremony, on condition that it was not used.
    pub(super) fn ceremony_write(&self, ceremony: &Ceremony) -> Result<Write, Error> {
        let mut item = ceremony_key(&ceremony.id);
        item.extend(expires_at(ceremony));
        Self::put(&self.grants, item, Some("attribute_not_exists(pk)"), [])
    }

    /// Records the use of a passkey, on condition that its signature counter is still lower, or
    /// that the authenticator has none (WebAuthn, section 6.1.1).
    fn passkey_use_write(&self, used: &PasskeyUse, at: Timestamp) -> Result<Write, Error> {
        let counter = match used.authentication.sign_count {
            0 => "sign_count = :count",
            _ => "sign_count < :count",
        };
        Self::update(
            &self.users,
            passkey_key(&used.passkey.hash()),
            "SET sign_count = :count, backed_up = :backed_up, last_used_at = :now",
            &format!("uid = :uid AND {counter}"),
            [
                (":uid", text(used.passkey.uid.as_str())),
                (":count", number(used.authentication.sign_count)),
                (
                    ":backed_up",
                    AttributeValue::Bool(used.authentication.backed_up),
                ),
                (":now", number(at.seconds())),
            ],
        )
        .map(Write::Update)
    }
}

fn expires_at(ceremony: &Ceremony) -> Item {
    let expires_at = number(ceremony.expires_at.seconds());
    [("expires_at".to_owned(), expires_at)].into()
}
