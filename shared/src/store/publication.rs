//! Publication of public keys in the Users table.

use std::sync::Arc;

use aws_sdk_dynamodb::operation::put_item::PutItemError;

use super::{
    Item, Outcome, Store, failure,
    items::{keyed, number, read},
};
use crate::{
    Error,
    platform::clock::Timestamp,
    tokens::published_keys::{Publishable, PublishedKeys},
};

/// Maximum number of attempts to publish, if other instances publish at the same time.
const ATTEMPTS: usize = 5;

impl Store {
    /// Publishes the keys of this secret, or those of a newer version of it. `keys_of` derives the
    /// keys from the secret, given those that are published.
    ///
    /// Replaces published keys only if the secret, fetched *after* they were read, is still the
    /// same, and the item has not changed since. So each publication shows a later state of the
    /// secret than the one before, and no instance revives a key that a rotation voided. It also
    /// shows no mixture of two states, because the versions are fetched twice.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database or Secrets Manager does not respond, or if the keys
    /// changed at every attempt.
    pub(super) async fn publish<S, K: Publishable, F>(
        &self,
        item: fn() -> Item,
        mut secret: Arc<S>,
        keys_of: impl Fn(&S, Option<&PublishedKeys>) -> K,
        fetch_again: impl Fn() -> F,
        now: Timestamp,
    ) -> Result<(Arc<S>, PublishedKeys), Error>
    where
        F: Future<Output = Result<Arc<S>, Error>>,
    {
        for _ in 0..ATTEMPTS {
            let before = self.published(item).await?;
            let keys = keys_of(&secret, before.as_ref());
            if let Some(published) = &before
                && published.are_those_of(&keys)
            {
                return Ok((secret, published.clone()));
            }
            secret = fetch_again().await?;
            let again = keys_of(&secret, before.as_ref());
            if again.key_set() != keys.key_set() {
                continue;
            }
            let after = PublishedKeys::replacing(before.as_ref(), &again, now);
            if self
                .replace_published(item, before.as_ref(), &after)
                .await?
                .is_written()
            {
                return Ok((secret, after));
            }
        }
        Err(Error::Unavailable(
            "the public keys or their secret were changed at every attempt to publish".into(),
        ))
    }

    /// The published keys in this item; `None` if there are none.
    pub(super) async fn published(
        &self,
        item: fn() -> Item,
    ) -> Result<Option<PublishedKeys>, Error> {
        let request = self
            .client
            .get_item()
            .table_name(&self.users)
            .set_key(Some(item()))
            .consistent_read(true);
        let output = request.send().await.map_err(failure)?;
        output.item.map(read).transpose()
    }

    /// Replaces the published keys. Returns [`Outcome::Conflict`], without writing, if they are no
    /// longer `before`.
    async fn replace_published(
        &self,
        item: fn() -> Item,
        before: Option<&PublishedKeys>,
        after: &PublishedKeys,
    ) -> Result<Outcome, Error> {
        let request = self
            .client
            .put_item()
            .table_name(&self.users)
            .set_item(Some(keyed(item(), after)?));
        let request = match before {
            None => request.condition_expression("attribute_not_exists(pk)"),
            Some(before) => request
                .condition_expression("revision = :revision")
                .expression_attribute_values(":revision", number(before.revision)),
        };
        match request.send().await {
            Ok(_) => Ok(Outcome::Written),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(Outcome::Conflict),
                _ => Err(failure(error)),
            },
        }
    }
}
