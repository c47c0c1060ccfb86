//! `export`: `limit`, `after`. Returns `lines`, their `count`, and `next`: the value of `after` for
//! the next lines, or null.

use serde_json::{Value, json};
use shared::Error;

use super::{
    administration::Users,
    fields::{Failure, Fields, Refusal},
    user_record::write,
};

/// Default number of users in a response.
const DEFAULT_LIMIT: usize = 1000;
/// Maximum number of users in a response.
const MAX_LIMIT: usize = 5000;
/// Maximum size of the lines as a JSON string, in bytes. Lambda limits a response to 6 MB.
const MAX_BYTES: usize = 4_500_000;
/// Items per scan. Half of them are `UID#` items.
const PAGE: i32 = 500;

impl Users {
    pub(super) async fn export(&self, mut fields: Fields) -> Result<Value, Failure> {
        let limit = fields.number("limit")?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Refusal::invalid("limit", format!("must be from 1 to {MAX_LIMIT}")).into());
        }
        let mut after = fields.text("after")?;
        if after.as_ref().is_some_and(|key| {
            !["USER#", "UID#"]
                .iter()
                .any(|prefix| key.starts_with(prefix))
        }) {
            return Err(
                Refusal::invalid("after", "must be the `next` of an earlier export").into(),
            );
        }
        fields.finish()?;
        let mut lines = String::new();
        let mut count = 0;
        let mut bytes = 0;
        loop {
            let (page, next) = self
                .administration
                .scan_users(after.as_deref(), PAGE)
                .await?;
            for stored in page {
                let line = write(&stored).map_err(Error::internal)? + "\n";
                bytes += serde_json::to_string(&line).map_err(Error::internal)?.len();
                if count == limit || (count > 0 && bytes > MAX_BYTES) {
                    return Ok(json!({ "lines": lines, "count": count, "next": after }));
                }
                lines += &line;
                count += 1;
                after = Some(stored.key);
            }
            let Some(next) = next else {
                return Ok(json!({ "lines": lines, "count": count, "next": null }));
            };
            after = Some(next);
        }
    }
}
