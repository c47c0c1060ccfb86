//! Users, each under two keys: the address, and the uid.

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
        mail::QueuedMail,
        one_time_code::{Kind, OneTimeCode},
        password::PasswordHash,
        session::Session,
        user::User,
    },
};

/// What of a new user somebody has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The address has a user.
    pub email: bool,
    /// The uid is a user's.
    pub uid: bool,
}

/// What became of a sign-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// The user and the session are stored.
    Done,
    /// Somebody has the address.
    EmailTaken,
    /// Somebody has the uid, by chance.
    UidTaken,
}

impl Store {
    /// The user of an address, see [`crate::domain::email_address::lookup_key`].
    pub async fn find_user(&self, user: &str) -> Result<Option<User>, Error> {
        let request = self
            .client
            .get_item()
            .table_name(&self.users)
            .set_key(Some(user_key(user)))
            .consistent_read(true);
        request
            .send()
            .await
            .map_err(failure)?
            .item
            .map(read)
            .transpose()
    }

    /// The user of a uid.
    pub async fn find_user_by_uid(&self, uid: &str) -> Result<Option<User>, Error> {
        let request = self
            .client
            .get_item()
            .table_name(&self.users)
            .set_key(Some(uid_key(uid)))
            .consistent_read(true);
        let Some(pointer) = request.send().await.map_err(failure)?.item else {
            return Ok(None);
        };
        Ok(self
            .find_user(text_of(&pointer, "user")?)
            .await?
            .filter(|user| user.uid == uid))
    }

    /// Stores the labels of a `changed` user; `false`, and nothing is, when somebody else changed
    /// those of the `user` meanwhile.
    pub async fn set_labels(&self, user: &User, changed: &User) -> Result<Outcome, Error> {
        let labels =
            |user: &User| serde_dynamo::to_attribute_value(&user.labels).map_err(Error::internal);
        // No labels may be stored as none at all.
        let unchanged = if user.labels.is_empty() {
            "attribute_not_exists(labels) OR "
        } else {
            ""
        };
        let request = self
            .client
            .update_item()
            .table_name(&self.users)
            .set_key(Some(user_key(&user.email.key())))
            .update_expression("SET labels = :labels, updated_at = :now")
            .condition_expression(format!("uid = :uid AND ({unchanged}labels = :were)"))
            .expression_attribute_values(":uid", text(&user.uid))
            .expression_attribute_values(":were", labels(user)?)
            .expression_attribute_values(":labels", labels(changed)?)
            .expression_attribute_values(":now", number(changed.updated_at.seconds()));
        Ok(conditional(request).await?.into())
    }

    /// Whether an address has a user, and whether a uid is somebody's.
    pub async fn is_taken(&self, user: Option<&str>, uid: Option<&str>) -> Result<Taken, Error> {
        let keys: Vec<_> = user
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

    /// Replaces a password's hash by another of the same password. Where somebody replaced it
    /// before, that one stays.
    pub async fn replace_hash(&self, user: &User, hash: &PasswordHash) -> Result<(), Error> {
        let request = self
            .client
            .update_item()
            .table_name(&self.users)
            .set_key(Some(user_key(&user.email.key())))
            .update_expression("SET password_hash = :new")
            .condition_expression("uid = :uid AND password_hash = :old")
            .expression_attribute_values(":new", text(hash.as_str()))
            .expression_attribute_values(":old", text(user.password_hash.as_str()))
            .expression_attribute_values(":uid", text(&user.uid));
        conditional(request).await.map(drop)
    }

    /// Stores a new user with a session of hers and the mail that lets her confirm the address,
    /// unless the address or the uid is taken.
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
    /// Of a transaction that begins with [`Store::new_user_writes`].
    pub(super) fn of(transaction: &Transaction) -> Self {
        match transaction {
            Transaction::Written => Self::Done,
            Transaction::Refused(0) => Self::EmailTaken,
            Transaction::Refused(_) => Self::UidTaken,
        }
    }
}
