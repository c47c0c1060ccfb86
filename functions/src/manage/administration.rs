//! What every action of `manage-users` has in common: the service, and how a user is selected and
//! shown.

use serde_json::{Value, json};
use shared::{
    Error,
    config::Accounts,
    domain::{
        email_address::{EmailAddress, lookup_key},
        password::Hasher,
        user::User,
    },
    providers::breached_passwords::PasswordCheck,
    store::{Administration, Store},
};

use super::fields::{Failure, Fields, Refusal};

/// The actions of operators on users.
pub struct Users {
    /// The tables.
    pub store: Store,
    /// What only an operator may do with them.
    pub administration: Administration,
    /// What holds for every account.
    pub accounts: Accounts,
    /// Which passwords are accepted.
    pub passwords: PasswordCheck,
    /// Hashes passwords.
    pub hasher: Hasher,
}

impl Users {
    /// The selected user.
    pub(super) async fn find(&self, who: &UserSelector) -> Result<User, Failure> {
        let user = match who {
            UserSelector::Email(email) => self.store.find_user(&lookup_key(email)).await?,
            UserSelector::Uid(uid) => self.store.find_user_by_uid(uid).await?,
        };
        user.ok_or_else(|| who.nobody().into())
    }
}

/// The user that an action is for.
pub(super) enum UserSelector {
    Email(String),
    Uid(String),
}

impl UserSelector {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Refusal> {
        match (fields.text("email")?, fields.text("uid")?) {
            (Some(email), None) if EmailAddress::parse(&email).is_ok() => Ok(Self::Email(email)),
            (Some(_), None) => Err(Refusal::invalid("email", "not an e-mail address")),
            (None, Some(uid)) => Ok(Self::Uid(uid)),
            (None, None) => Err(Refusal::of("email", "missing", "required, or uid")),
            (Some(_), Some(_)) => Err(Refusal::invalid("uid", "not together with email")),
        }
    }

    pub(super) fn nobody(&self) -> Refusal {
        let field = if matches!(self, Self::Email(_)) {
            "email"
        } else {
            "uid"
        };
        Refusal::of(field, "not_found", "nobody's")
    }
}

/// What is told of a user: what she is told herself.
pub(super) fn told(user: &User) -> Result<Value, Failure> {
    let profile = serde_json::to_value(user.profile(None)).map_err(Error::internal)?;
    Ok(json!({ "user": profile }))
}
