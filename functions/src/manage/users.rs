//! Administration of users. The function has no route; IAM decides who may invoke it.
//!
//! The event is `{"action": "...", ...}`. The response is the result of the action, or
//! `{"error": {"field", "code", "message"}}`. Only exports contain hashes, and only those that request plain
//! OTP secrets contain them.

use serde_json::{Value, json};
use shared::{
    BoxError,
    platform::clock::Timestamp,
    store::{Change, Outcome},
};

pub use super::administration::Users;
use super::{
    administration::{UserSelector, profile_response},
    change,
    fields::{Failure, Fields, Refusal},
    label::{self, NewLabel},
};

const ACTIONS: &str = "create, show, search, set-state, set-role, set-label, remove-label, verify-email, end-sessions, disable-otp, delete, export, import, rekey and reseal";

impl Users {
    /// Performs an action. Rejections and failures are responses, not errors of the function, so
    /// that the caller always receives a code and a message.
    pub async fn handle(&self, event: Value, now: Timestamp) -> Result<Value, BoxError> {
        Ok(self
            .act(event, now)
            .await
            .unwrap_or_else(Failure::into_response))
    }

    async fn act(&self, event: Value, now: Timestamp) -> Result<Value, Failure> {
        let not_an_object = || {
            Refusal::without_field(
                "invalid",
                r#"The event must be an object such as {"action": "show", "email": "ann@example.com"}."#,
            )
        };
        let mut fields = Fields::of(event).ok_or_else(not_an_object)?;
        let action = fields.required("action")?;
        match action.as_str() {
            "create" => self.create(fields, now).await,
            "show" => self.show(fields, now).await,
            "search" => self.search(fields, now).await,
            "set-state" => {
                let state = change::state(&mut fields)?;
                self.change(fields, "set-state", |_| Ok(Change::State(state)), now)
                    .await
            }
            "set-role" => {
                let role = change::role(&mut fields)?;
                self.change(fields, "set-role", |user| Ok(role.of(user)), now)
                    .await
            }
            "set-label" => {
                let label = NewLabel::read(&mut fields)?;
                self.change(fields, "set-label", |user| Ok(label.change(user, now)), now)
                    .await
            }
            "remove-label" => {
                let key = label::key(&mut fields)?;
                let removal = |user: &_| label::removal(user, &key, now);
                self.change(fields, "remove-label", removal, now).await
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
            "export" => self.export(fields, now).await,
            "import" => self.import(fields, now).await,
            "rekey" => self.rekey(fields).await,
            "reseal" => self.reseal(fields, now).await,
            _ => Err(Refusal::of(
                "action",
                "unknown",
                format!("unknown action; the actions are {ACTIONS}"),
            )
            .into()),
        }
    }

    async fn show(&self, mut fields: Fields, now: Timestamp) -> Result<Value, Failure> {
        let selector = UserSelector::read(&mut fields)?;
        fields.finish()?;
        profile_response(&self.find(&selector, now).await?)
    }

    async fn delete(&self, mut fields: Fields, now: Timestamp) -> Result<Value, Failure> {
        let selector = UserSelector::read(&mut fields)?;
        fields.finish()?;
        let user = self.find(&selector, now).await?;
        if self.administration.erase_user(&user, now).await? == Outcome::Conflict {
            return Err(selector.not_found().into());
        }
        tracing::info!(action = "delete", uid = %user.uid, "done");
        Ok(json!({ "deleted": { "uid": user.uid, "email": user.email.as_typed() } }))
    }
}
