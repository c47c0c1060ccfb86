//! Users, each under two keys: the address, and the uid.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

use super::{
    Store,
    activities::activity_write,
    codes::code_writes,
    failure,
    items::{PK, keyed, number, read, text, text_of, uid_key, user_key},
    sessions::session_write,
    transaction::{Outcome, Write},
};
use crate::{
    Error,
    activity::Activity,
    code::{Code, Kind},
    mail::QueuedMail,
    password::PasswordHash,
    session::Session,
    user::User,
};

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
    /// The user of an address, see [`crate::email::lookup_key`].
    pub async fn find_user(&self, user: &str) -> Result<Option<User>, Error> {
        let request = self.client.get_item().table_name(&self.users).set_key(Some(user_key(user))).consistent_read(true);
        request.send().await.map_err(failure)?.item.map(read).transpose()
    }

    /// The user of a uid.
    pub async fn find_user_by_uid(&self, uid: &str) -> Result<Option<User>, Error> {
        let request = self.client.get_item().table_name(&self.users).set_key(Some(uid_key(uid))).consistent_read(true);
        let Some(pointer) = request.send().await.map_err(failure)?.item else { return Ok(None) };
        Ok(self.find_user(text_of(&pointer, "user")?).await?.filter(|user| user.uid == uid))
    }

    /// Stores the labels of a `changed` user; `false`, and nothing is, when somebody else changed those of the `user` meanwhile.
    pub async fn set_labels(&self, user: &User, changed: &User) -> Result<bool, Error> {
        let labels = |user: &User| serde_dynamo::to_attribute_value(&user.labels).map_err(Error::internal);
        // No labels may be stored as none at all.
        let unchanged = if user.labels.is_empty() { "attribute_not_exists(labels) OR " } else { "" };
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
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.as_service_error(), Some(UpdateItemError::ConditionalCheckFailedException(_))) => {
                Ok(false)
            }
            Err(error) => Err(failure(error)),
        }
    }

    /// Whether an address has a user, and whether a uid is somebody's.
    pub async fn is_taken(&self, user: Option<&str>, uid: Option<&str>) -> Result<(bool, bool), Error> {
        let keys: Vec<_> = user.map(user_key).into_iter().chain(uid.map(uid_key)).collect();
        if keys.is_empty() {
            return Ok((false, false));
        }
        let found = self.batch_get([(&self.users, keys)]).await?;
        let keys = found.iter().map(|(_, item)| text_of(item, PK)).collect::<Result<Vec<_>, _>>()?;
        let exists = |prefix: &str| keys.iter().any(|key| key.starts_with(prefix));
        Ok((exists("USER#"), exists("UID#")))
    }

    /// Replaces a password's hash by another of the same password. Where somebody replaced it before, that one stays.
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
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.as_service_error(), Some(UpdateItemError::ConditionalCheckFailedException(_))) => Ok(()),
            Err(error) => Err(failure(error)),
        }
    }

    /// Stores a new user with a session of hers and the mail that lets her confirm the address, unless the address or the uid is
    /// taken.
    pub async fn sign_up(
        &self,
        user: &User,
        session: &Session,
        (code, mail): (&Code, &QueuedMail),
        activity: &Activity,
    ) -> Result<SignUp, Error> {
        let [user_write, uid_write] = self.new_user_writes(user, None)?;
        let [code, mail] = code_writes(&self.grants, &user.uid, Kind::Confirmation, code, mail)?;
        let writes =
            [user_write, uid_write, session_write(&self.grants, session)?, code, mail, activity_write(&self.grants, activity)?];
        Ok(SignUp::of(&self.transact(writes).await?))
    }

    /// The writes that store a new user, under the address and under the uid, neither of which may be taken. A state that this
    /// service has no name for is given beside.
    pub(super) fn new_user_writes(&self, user: &User, state: Option<&str>) -> Result<[Write; 2], Error> {
        const NEW: Option<&str> = Some("attribute_not_exists(pk)");
        let key = user.email.key();
        let mut item = keyed(user_key(&key), user)?;
        item.extend(state.map(|state| ("state".to_owned(), text(state))));
        let mut pointer = uid_key(&user.uid);
        pointer.insert("user".to_owned(), text(&key));
        Ok([Self::put(&self.users, item, NEW, [])?, Self::put(&self.users, pointer, NEW, [])?])
    }
}

impl SignUp {
    /// Of a transaction that begins with [`Store::new_user_writes`].
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Written => Self::Done,
            Outcome::Refused(0) => Self::EmailTaken,
            Outcome::Refused(_) => Self::UidTaken,
        }
    }
}
