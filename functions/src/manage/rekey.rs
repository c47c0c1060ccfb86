//! `rekey`: moves users whom earlier versions stored under another key to their account key.
//! `apply` (without it, nothing is changed), `after`. Returns `movable`, the number of users who
//! were moved or can be moved; `kept`, the users who keep their key, with the reason; and `next`:
//! the value of `after` for the next users, or null.

use serde_json::{Value, json};
use shared::{
    domain::user::{State, Uid},
    store::{Rekey, StoredUser},
};

use super::{
    administration::Users,
    fields::{Failure, Fields, Refusal},
};

/// Items per invocation, so that all of them can be moved within its timeout. Half of the items are
/// `UID#` items.
const PAGE: i32 = 500;

/// Users whose address is not confirmed follow after all others: of two users with the same account
/// key, the one who proved that the mailbox is theirs must get it.
const UNCONFIRMED: &str = "unconfirmed ";

/// A position in a run: the phase, and the key after which it continues.
struct Position {
    is_unconfirmed: bool,
    key: Option<String>,
}

impl Position {
    fn read(after: Option<String>) -> Result<Self, Refusal> {
        let Some(after) = after else {
            return Ok(Self {
                is_unconfirmed: false,
                key: None,
            });
        };
        let is_unconfirmed = after.starts_with(UNCONFIRMED);
        let key = after.strip_prefix(UNCONFIRMED).unwrap_or(&after);
        let is_key = ["USER#", "UID#"].iter().any(|name| key.starts_with(name));
        let is_start = is_unconfirmed && key.is_empty();
        (is_key || is_start)
            .then(|| Self {
                is_unconfirmed,
                key: is_key.then(|| key.to_owned()),
            })
            .ok_or_else(|| Refusal::invalid("after", "must be the `next` of an earlier rekey"))
    }

    /// The value of `next`, if the page ended with this key; `None` at the end of the table.
    fn next(&self, key: Option<String>) -> Option<String> {
        match (key, self.is_unconfirmed) {
            (Some(key), false) => Some(key),
            (Some(key), true) => Some(format!("{UNCONFIRMED}{key}")),
            (None, false) => Some(UNCONFIRMED.to_owned()),
            (None, true) => None,
        }
    }

    fn includes(&self, stored: &StoredUser) -> bool {
        (stored.user.state == State::Pending) == self.is_unconfirmed
    }
}

impl Users {
    /// Moves the users of one page, each in one transaction. Users who have moved are not touched
    /// again, so a run can be interrupted and repeated.
    pub(super) async fn rekey(&self, mut fields: Fields) -> Result<Value, Failure> {
        let apply = fields.flag("apply")?.unwrap_or(false);
        let position = Position::read(fields.text("after")?)?;
        fields.finish()?;
        let (page, next) = self
            .administration
            .scan_users(position.key.as_deref(), PAGE)
            .await?;
        let mut movable = 0;
        let mut kept = Vec::new();
        for StoredUser { user, .. } in page.iter().filter(|stored| position.includes(stored)) {
            let key = user.account_key();
            if user.email.valid_key().as_ref() == Some(&key) {
                continue;
            }
            let mut keep = |reason: &str, other: Option<&Uid>| {
                let email = user.email.as_typed();
                let line =
                    json!({ "uid": user.uid, "email": email, "reason": reason, "by": other });
                kept.push(line);
            };
            match self.administration.rekey_user(&key, apply).await? {
                Rekey::Unnecessary => {}
                Rekey::Movable | Rekey::Moved => movable += 1,
                Rekey::Invalid => keep("invalid", None),
                Rekey::Taken(other) => keep("taken", Some(&other)),
                Rekey::Conflict => keep("conflict", None),
            }
        }
        tracing::info!(action = "rekey", apply, movable, kept = kept.len(), "done");
        Ok(json!({ "movable": movable, "kept": kept, "next": position.next(next) }))
    }
}
