//! `set-label`: `email` or `uid`, `key`, `value`, `scope`; `remove-label`: `email` or `uid`, `key`.

use shared::{
    domain::{
        activity::Action,
        user::{Label, LabelScope, LabelText, User},
    },
    platform::clock::Timestamp,
    store::Change,
};

use super::fields::{Fields, Refusal};

const RULE: &str = "must be 3 to 255 letters, digits, underscores and hyphens";

/// A label to set.
pub struct NewLabel {
    key: LabelText,
    value: LabelText,
    /// `None` keeps the scope of an existing label.
    scope: Option<LabelScope>,
}

impl NewLabel {
    pub fn read(fields: &mut Fields) -> Result<Self, Refusal> {
        let key = LabelText::parse(&fields.required("key")?)
            .ok_or_else(|| Refusal::invalid("key", RULE))?;
        check_key(key.as_str())?;
        let value = LabelText::parse(&fields.required("value")?)
            .ok_or_else(|| Refusal::invalid("value", RULE))?;
        let scope = match fields.text("scope")?.as_deref() {
            None => None,
            Some("public") => Some(LabelScope::Public),
            Some("private") => Some(LabelScope::Private),
            Some(_) => return Err(Refusal::invalid("scope", "must be public or private")),
        };
        Ok(Self { key, value, scope })
    }

    pub fn change(&self, user: &User, now: Timestamp) -> Change {
        let is_new = user.listed_label(self.key.as_str()).is_none();
        Change::Labels {
            labels: user
                .with_operator_label(&self.key, &self.value, self.scope, now)
                .labels,
            action: if is_new {
                Action::CreateLabel
            } else {
                Action::UpdateLabel
            },
        }
    }
}

/// The key of a label to remove.
pub fn key(fields: &mut Fields) -> Result<String, Refusal> {
    let key = fields.required("key")?;
    check_key(&key)?;
    Ok(key)
}

pub fn removal(user: &User, key: &str, now: Timestamp) -> Result<Change, Refusal> {
    if user.listed_label(key).is_none() {
        return Err(Refusal::of(
            "key",
            "not_found",
            "the user has no label with this key",
        ));
    }
    Ok(Change::Labels {
        labels: user.without_label(key, now).labels,
        action: Action::DeleteLabel,
    })
}

/// The label `email` decides whether mails are sent, and `otp` and `delete` follow other members of
/// the user.
fn check_key(key: &str) -> Result<(), Refusal> {
    if Label::is_of_service(key) {
        return Err(Refusal::invalid(
            "key",
            "must not be email, otp or delete: the service writes these labels; for email, use verify-email",
        ));
    }
    Ok(())
}
