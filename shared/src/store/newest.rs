//! Bounded lists. Failed sign-ins of a stranger write activities, and each sign-in stores a session,
//! so what a user has stored is not bounded.

use super::{Item, Store, failure, items::text};
use crate::{Error, domain::user::Uid};

/// Maximum number of items that a list reads: what a person can review, and at most about a
/// megabyte, which takes a fraction of a second.
pub(super) const MAX_LISTED: usize = 1000;

impl Store {
    /// The newest [`MAX_LISTED`] grant items of a user whose sort key begins with this prefix,
    /// followed by a time. No further items are read.
    pub(super) async fn newest(&self, uid: &Uid, prefix: &str) -> Result<Vec<Item>, Error> {
        let mut newest = Vec::new();
        let mut start = None;
        loop {
            let remaining = MAX_LISTED.saturating_sub(newest.len());
            let request = self
                .client
                .query()
                .table_name(&self.grants)
                .consistent_read(true)
                .scan_index_forward(false)
                .limit(i32::try_from(remaining).map_err(Error::internal)?)
                .set_exclusive_start_key(start)
                .key_condition_expression("pk = :uid AND begins_with(sk, :prefix)")
                .expression_attribute_values(":uid", text(uid.as_str()))
                .expression_attribute_values(":prefix", text(prefix));
            let output = request.send().await.map_err(failure)?;
            newest.extend(output.items.unwrap_or_default());
            // A page ends early at a megabyte.
            start = output.last_evaluated_key;
            if start.is_none() || newest.len() >= MAX_LISTED {
                return Ok(newest);
            }
        }
    }
}
