//! `import`: `lines`, each a JSON object with a user. Returns the outcome of each line, with its
//! number from 1, and the number of lines per outcome: `imported`, `exists` (the same user exists),
//! `taken` (another user has the address or the uid) or `invalid`.

use serde_json::{Value, json};
use shared::{platform::clock::Timestamp, store::Creation};

use super::{
    administration::Users,
    fields::{Failure, Fields, Refusal},
    user_record::UserRecord,
};

/// Maximum number of lines per invocation, so that they are stored within its timeout.
const MAX_LINES: usize = 1000;

impl Users {
    /// Stores the users of the lines, one after the other, each in one transaction. Existing users
    /// are not changed, so lines can be sent again.
    pub(super) async fn import(
        &self,
        mut fields: Fields,
        now: Timestamp,
    ) -> Result<Value, Failure> {
        let text = fields.required("lines")?;
        fields.finish()?;
        // Some editors write U+FEFF, a byte order mark, at the start of a file.
        let lines: Vec<(usize, &str)> = text
            .trim_start_matches('\u{feff}')
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(index, line)| (index + 1, line))
            .collect();
        if lines.len() > MAX_LINES {
            return Err(Refusal::invalid(
                "lines",
                format!("more than {MAX_LINES} lines; send them in several calls"),
            )
            .into());
        }
        let mut results = Vec::with_capacity(lines.len());
        let mut counts = json!({ "imported": 0, "exists": 0, "taken": 0, "invalid": 0 });
        for (number, line) in lines {
            let mut result = match self.import_line(line, now).await {
                Ok(result) => result,
                Err(Failure::Refused(Refusal { field, message, .. })) => {
                    json!({ "outcome": "invalid", "field": field, "message": message })
                }
                Err(failure) => return Err(failure),
            };
            if let Some(outcome) = result["outcome"].as_str() {
                counts[outcome] = json!(counts[outcome].as_u64().unwrap_or_default() + 1);
            }
            result["line"] = json!(number);
            results.push(result);
        }
        tracing::info!(action = "import", %counts, "done");
        counts["results"] = json!(results);
        Ok(counts)
    }

    async fn import_line(&self, line: &str, now: Timestamp) -> Result<Value, Failure> {
        let fields = serde_json::from_str(line).ok().and_then(Fields::of);
        let fields =
            fields.ok_or_else(|| Refusal::without_field("invalid", "not a JSON object"))?;
        let has_uid = fields.has("uid");
        let UserRecord { user, state, note } =
            UserRecord::read(fields, &self.accounts.uid_prefix, now)?;
        let user = self.with_sealed_secrets(user, now).await?;
        match self.administration.create_user(&user, &state, now).await? {
            Creation::Done => {
                let mut result = json!({ "outcome": "imported", "uid": user.uid });
                if let Some(note) = note {
                    result["note"] = json!(note);
                }
                Ok(result)
            }
            Creation::EmailTaken => {
                let accounts = user.email.account_keys();
                let existing = self.administration.find_user(&accounts, now).await?;
                let is_same = existing.is_some_and(|existing| !has_uid || existing.uid == user.uid);
                Ok(if is_same {
                    json!({ "outcome": "exists" })
                } else {
                    json!({ "outcome": "taken", "field": "email" })
                })
            }
            Creation::UidTaken => Ok(json!({ "outcome": "taken", "field": "uid" })),
        }
    }
}
