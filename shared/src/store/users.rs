//! Storage of users, each under two keys: the account key and the uid.

use serde::Deserialize;

use super::{
    Outcome, Store,
    conditional::conditional,
    failure,
    items::{number, read, text, text_of},
    keys::{PK, uid_key, user_key},
    transaction::Transaction,
    writes::{activity_write, code_writes, session_write},
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        email_address::AccountKey,
        mail::QueuedMail,
        one_time_code::{Kind, OneTimeCode},
        password::PasswordHash,
        session::Session,
        user::{Uid, User},
    },
};

/// Whether an address and a uid exist already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// A user has the address.
    pub email: bool,
    /// A user has the uid.
    pub uid: bool,
}

/// The item that makes a uid unique and leads to the account key.
#[derive(Deserialize)]
struct UidItem {
    #[serde(rename = "user")]
    account: AccountKey,
}

/// The outcome of a sign-up or of the creation of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// Everything was written.
    Done,
    /// Another user has the address.
    EmailTaken,
    /// Another user has the uid.
    UidTaken,
}

impl Store {
    /// The user with this account key.
    pub async fn find_user(&self, account: &AccountKey) -> Result<Option<User>, Error> {
        let request = self
            .client
            .get_item()
            .table_name(&self.users)
            .set_key(Some(user_key(account)))
            .consistent_read(true);
        request
            .send()
            .await
            .map_err(failure)?
            .item
            .map(read)
            .transpose()
    }

    /// The user with this uid.
    pub async fn find_user_by_uid(&self, uid: &Uid) -> Result<Option<User>, Error> {
        let request = self
            .client
            .get_item()
            .table_name(&self.users)
            .set_key(Some(uid_key(uid)))
            .consistent_read(true);
        let Some(pointer) = request.send().await.map_err(failure)?.item else {
            return Ok(None);
        };
        let UidItem { account } = read(pointer)?;
        Ok(self
            .find_user(&account)
            .await?
            .filter(|user| user.uid == *uid))
    }

    /// Stores the labels of `changed`. Returns [`Outcome::Conflict`], without writing, if the
    /// labels of `user` changed since they were read, or the user is gone.
    pub async fn set_labels(&self, user: &User, changed: &User) -> Result<Outcome, Error> {
        let labels =
            |user: &User| serde_dynamo::to_attribute_value(&user.labels).map_err(Error::internal);
        // A user without labels may be stored without the attribute.
        let unchanged = if user.labels.is_empty() {
            "attribute_not_exists(labels) OR "
        } else {
            ""
        };
        let request = self
            .client
            .update_item()
            .table_name(&self.users)
            .set_key(Some(user_key(&user.email.account_key())))
            .update_expression("SET labels = :labels, updated_at = :now")
            .condition_expression(format!("uid = :uid AND ({unchanged}labels = :before)"))
            .expression_attribute_values(":uid", text(user.uid.as_str()))
            .expression_attribute_values(":before", labels(user)?)
            .expression_attribute_values(":labels", labels(changed)?)
            .expression_attribute_values(":now", number(changed.updated_at.seconds()));
        Ok(conditional(request).await?.into())
    }

    /// Whether users have this account key and this uid, in one round trip.
    pub async fn is_taken(
        &self,
        account: Option<&AccountKey>,
        uid: Option<&Uid>,
    ) -> Result<Taken, Error> {
        let keys: Vec<_> = account
            .map(user_key)
            .into_iter()
            .chain(uid.map(uid_key))
            .collect();
        if keys.is_empty() {
            return Ok(Taken::default());
        }
        let found = self.batch_get([(&self.users, keys)]).await?;
        let keys = found
            .iter()
            .map(|(_, item)| text_of(item, PK))
            .collect::<Result<Vec<_>, _>>()?;
        let exists = |prefix: &str| keys.iter().any(|key| key.starts_with(prefix));
        Ok(Taken {
            email: exists("USER#"),
            uid: exists("UID#"),
        })
    }

    /// Replaces the password hash by another hash of the same password, on condition that the
    /// stored hash is that of `user`. Otherwise does nothing.
    pub async fn replace_hash(&self, user: &User, hash: &PasswordHash) -> Result<(), Error> {
        let request = self
            .client
            .update_item()
            .table_name(&self.users)
            .set_key(Some(user_key(&user.email.account_key())))
            .update_expression("SET password_hash = :new")
            .condition_expression("uid = :uid AND password_hash = :old")
            .expression_attribute_values(":new", text(hash.as_str()))
            .expression_attribute_values(":old", text(user.password_hash.as_str()))
            .expression_attribute_values(":uid", text(user.uid.as_str()));
        conditional(request).await.map(drop)
    }

    /// In one transaction, stores a new user, their session, and the confirmation code with its
    /// mail, unless the address or the uid is taken.
    pub async fn sign_up(
        &self,
        user: &User,
        session: &Session,
        code: &OneTimeCode,
        mail: &QueuedMail,
        activity: &Activity,
    ) -> Result<SignUp, Error> {
        let [user_write, uid_write] = self.new_user_writes(user, None)?;
        let [code, mail] = code_writes(&self.grants, &user.uid, Kind::Confirmation, code, mail)?;
        let writes = [
            user_write,
            uid_write,
            session_write(&self.grants, session)?,
            code,
            mail,
            activity_write(&self.grants, activity)?,
        ];
        Ok(SignUp::of(&self.transact(writes).await?))
    }
}

impl SignUp {
    /// The outcome of a transaction that begins with [`Store::new_user_writes`].
    pub(super) fn of(transaction: &Transaction) -> Self {
        match transaction {
            Transaction::Written => Self::Done,
            Transaction::ConditionFailed(0) => Self::EmailTaken,
            Transaction::ConditionFailed(_) => Self::UidTaken,
        }
    }
}
