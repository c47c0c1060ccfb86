//! `export`: `limit`, `after`. Answers with `lines`, their `count`, and `next`: what the call for
//! the next lines gives as `after`, or null.

use serde_json::{Value, json};
use shared::Error;

use super::{
    administration::Users,
    fields::{Failure, Fields, Refusal},
    user_record::write,
};

/// Users in an answer, unless told otherwise, and at the most.
const USUAL: usize = 1000;
const MOST: usize = 5000;
/// Bytes of the lines in an answer, as they are written in it: Lambda's limit is 6 MB.
const BYTES: usize = 4_500_000;
/// Items read at once. Half of them only lead to users.
const PAGE: i32 = 500;

impl Users {
    pub(super) async fn export(&self, mut fields: Fields) -> Result<Value, Failure> {
        let limit = fields.number("limit")?.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Refusal::invalid("limit", format!("not from 1 to {MOST}")).into());
        }
        let mut after = fields.text("after")?;
        if after.as_ref().is_some_and(|key| {
            !["USER#", "UID#"]
                .iter()
                .any(|prefix| key.starts_with(prefix))
        }) {
            return Err(Refusal::invalid("after", "not what an export gave as `next`").into());
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
                if count == limit || (count > 0 && bytes > BYTES) {
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
