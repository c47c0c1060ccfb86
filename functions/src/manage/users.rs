//! What operators do to users. It has no route: only who may invoke the function by IAM can call it.
//!
//! `{"action": "...", ...}` is answered with what was done, or with `{"error": {"field", "code", "message"}}`. Hashes and secrets
//! are in exports alone.

use serde_json::{Value, json};
use shared::{
    BoxError, Error,
    clock::Timestamp,
    config::Config,
    email::{EmailAddress, lookup_key},
    password::{Hasher, PasswordPolicy},
    store::{Change, Store},
    user::User,
};

use super::{
    change,
    fields::{Failure, Fields, Refusal},
};

const ACTIONS: &str = "create, show, set-state, set-role, verify-email, end-sessions, disable-otp, delete, export and import";

/// What it works with.
pub struct Users {
    /// The configuration.
    pub config: Config,
    /// The tables.
    pub store: Store,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Which passwords are accepted.
    pub policy: PasswordPolicy,
}

impl Users {
    /// Does what is asked for, and answers always: an error of the function would be a stack trace to who called.
    pub async fn handle(&self, event: Value, now: Timestamp) -> Result<Value, BoxError> {
        Ok(self.act(event, now).await.unwrap_or_else(Failure::answer))
    }

    async fn act(&self, event: Value, now: Timestamp) -> Result<Value, Failure> {
        let not_an_object =
            || Refusal::whole("invalid", r#"not an object such as {"action": "show", "email": "ann@example.com"}"#);
        let mut fields = Fields::of(event).ok_or_else(not_an_object)?;
        let action = fields.required("action")?;
        match action.as_str() {
            "create" => self.create(fields, now).await,
            "show" => self.show(fields).await,
            "set-state" => {
                let state = change::state(&mut fields)?;
                self.change(fields, "set-state", |_| Ok(Change::State(state)), now).await
            }
            "set-role" => {
                let wanted = change::role(&mut fields)?;
                self.change(fields, "set-role", |user| Ok(wanted.of(user)), now).await
            }
            "end-sessions" => self.change(fields, "end-sessions", |_| Ok(Change::EndSessions), now).await,
            "disable-otp" => self.change(fields, "disable-otp", change::disable_otp, now).await,
            "verify-email" => self.verify_email(fields, now).await,
            "delete" => self.delete(fields, now).await,
            "export" => self.export(fields).await,
            "import" => self.import(fields, now).await,
            _ => Err(Refusal::of("action", "unknown", format!("known are {ACTIONS}")).into()),
        }
    }

    async fn show(&self, mut fields: Fields) -> Result<Value, Failure> {
        let who = Who::read(&mut fields)?;
        fields.finish()?;
        told(&self.find(&who).await?)
    }

    async fn delete(&self, mut fields: Fields, now: Timestamp) -> Result<Value, Failure> {
        let who = Who::read(&mut fields)?;
        fields.finish()?;
        let user = self.find(&who).await?;
        if !self.store.erase_user(&user, now).await? {
            return Err(who.nobody().into());
        }
        tracing::info!(action = "delete", uid = user.uid, "done");
        Ok(json!({ "deleted": { "uid": user.uid, "email": user.email.as_typed() } }))
    }

    /// The user who is meant.
    pub(super) async fn find(&self, who: &Who) -> Result<User, Failure> {
        let user = match who {
            Who::Email(email) => self.store.find_user(&lookup_key(email)).await?,
            Who::Uid(uid) => self.store.find_user_by_uid(uid).await?,
        };
        user.ok_or_else(|| who.nobody().into())
    }
}

/// Who is meant.
pub(super) enum Who {
    Email(String),
    Uid(String),
}

impl Who {
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
        let field = if matches!(self, Self::Email(_)) { "email" } else { "uid" };
        Refusal::of(field, "not_found", "nobody's")
    }
}

/// What is told of a user: what she is told herself.
pub(super) fn told(user: &User) -> Result<Value, Failure> {
    let profile = serde_json::to_value(user.profile(None)).map_err(Error::internal)?;
    Ok(json!({ "user": profile }))
}
