//! `search`: `text`, `limit`, `after`. Returns `users` whose address begins with the text, or the one
//! whose uid it is, and `next`: the value of `after` for the next users, or null.

use serde_json::{Value, json};
use shared::{
    domain::{
        email_address::AccountKey,
        user::{Uid, User},
    },
    platform::clock::Timestamp,
    store::StoredUser,
};

use super::{
    administration::Users,
    fields::{Failure, Fields, Refusal},
};

/// Default number of users in a response.
const DEFAULT_LIMIT: usize = 100;
/// Maximum number of users in a response.
const MAX_LIMIT: usize = 1000;
/// Items per scan. Half of them are `UID#` items.
const PAGE: i32 = 1000;
/// Maximum number of scans per invocation, so that one with few matches ends in time.
const PAGES: usize = 20;

impl Users {
    /// Finds a uid by its key, and addresses by reading the keys of all users.
    pub(super) async fn search(
        &self,
        mut fields: Fields,
        now: Timestamp,
    ) -> Result<Value, Failure> {
        let text = fields.required("text")?;
        let limit = fields.number("limit")?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Refusal::invalid("limit", format!("must be from 1 to {MAX_LIMIT}")).into());
        }
        let mut after = fields.scan_key()?;
        fields.finish()?;
        let mut users = Vec::new();
        if after.is_none() {
            users.extend(self.user_with_uid(&text, now).await?);
        }
        let prefix = beginning_of_key(&text);
        for _ in 0..PAGES {
            let (page, next) = self
                .administration
                .scan_users_with(&prefix, after.as_deref(), PAGE)
                .await?;
            for StoredUser { user, state, key } in page {
                if users.len() == limit {
                    return Ok(json!({ "users": users, "next": after }));
                }
                users.push(view(&user, Some(state)));
                after = Some(key);
            }
            after = next;
            if after.is_none() || users.len() == limit {
                break;
            }
        }
        Ok(json!({ "users": users, "next": after }))
    }

    /// The user with this uid. Only uids of earlier versions contain lower case.
    async fn user_with_uid(&self, text: &str, now: Timestamp) -> Result<Option<Value>, Failure> {
        for text in [text, &text.to_ascii_uppercase()] {
            if let Some(uid) = Uid::parse(text)
                && let Some(user) = self.administration.find_user_by_uid(&uid, now).await?
            {
                return Ok(Some(view(&user, None)));
            }
        }
        Ok(None)
    }
}

/// The beginning of the account keys of addresses that begin with the text. The domain is converted
/// to ASCII only if the text is a whole address: a part of a domain cannot be converted.
fn beginning_of_key(text: &str) -> String {
    let key = AccountKey::of(text);
    if key.as_str().contains('@') {
        key.as_str().to_owned()
    } else {
        text.trim().to_lowercase()
    }
}

/// The members of a user by which an operator recognises them. `state` is one that
/// [`State`](shared::domain::user::State) may not know.
fn view(user: &User, state: Option<String>) -> Value {
    json!({
        "uid": user.uid,
        "email": user.email.as_typed(),
        "state": state.map_or_else(|| json!(user.state), |state| json!(state)),
        "role": user.role,
        "level": user.level,
        "otp": user.has_otp(),
        "passkeys": user.passkeys.len(),
        "created_at": user.created_at.rfc3339(),
    })
}
