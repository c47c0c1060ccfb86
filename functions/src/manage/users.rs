//! What operators do to users. It has no route: only who may invoke the function by IAM can call
//! it.
//!
//! `{"action": "...", ...}` is answered with what was done, or with `{"error": {"field", "code",
//! "message"}}`. Hashes and secrets are in exports alone.

use serde_json::{Value, json};
use shared::{
    BoxError,
    platform::clock::Timestamp,
    store::{Change, Outcome},
};

pub use super::administration::Users;
use super::{
    administration::{UserSelector, told},
    change,
    fields::{Failure, Fields, Refusal},
};

const ACTIONS: &str = "create, show, set-state, set-role, verify-email, end-sessions, disable-otp, delete, export and import";

impl Users {
    /// Does what is asked for, and answers always: an error of the function would be a stack trace
    /// to who called.
    pub async fn handle(&self, event: Value, now: Timestamp) -> Result<Value, BoxError> {
        Ok(self.act(event, now).await.unwrap_or_else(Failure::answer))
    }

    async fn act(&self, event: Value, now: Timestamp) -> Result<Value, Failure> {
        let not_an_object = || {
            Refusal::whole(
                "invalid",
                r#"not an object such as {"action": "show", "email": "ann@example.com"}"#,
            )
        };
        let mut fields = Fields::of(event).ok_or_else(not_an_object)?;
        let action = fields.required("action")?;
        match action.as_str() {
            "create" => self.create(fields, now).await,
            "show" => self.show(fields).await,
            "set-state" => {
                let state = change::state(&mut fields)?;
                self.change(fields, "set-state", |_| Ok(Change::State(state)), now)
                    .await
            }
            "set-role" => {
                let wanted = change::role(&mut fields)?;
                self.change(fields, "set-role", |user| Ok(wanted.of(user)), now)
                    .await
            }
            "end-sessions" => {
                self.change(fields, "end-sessions", |_| Ok(Change::EndSessions), now)
                    .await
            }
            "disable-otp" => {
                self.change(fields, "disable-otp", change::disable_otp, now)
                    .await
            }
            "verify-email" => self.verify_email(fields, now).await,
            "delete" => self.delete(fields, now).await,
            "export" => self.export(fields).await,
            "import" => self.import(fields, now).await,
            _ => Err(Refusal::of("action", "unknown", format!("known are {ACTIONS}")).into()),
        }
    }

    async fn show(&self, mut fields: Fields) -> Result<Value, Failure> {
        let who = UserSelector::read(&mut fields)?;
        fields.finish()?;
        told(&self.find(&who).await?)
    }

    async fn delete(&self, mut fields: Fields, now: Timestamp) -> Result<Value, Failure> {
        let who = UserSelector::read(&mut fields)?;
        fields.finish()?;
        let user = self.find(&who).await?;
        if self.administration.erase_user(&user, now).await? == Outcome::Conflict {
            return Err(who.nobody().into());
        }
        tracing::info!(action = "delete", uid = user.uid, "done");
        Ok(json!({ "deleted": { "uid": user.uid, "email": user.email.as_typed() } }))
    }
}
