//! Updates of one item under a condition.

use aws_sdk_dynamodb::operation::update_item::{
    UpdateItemError, builders::UpdateItemFluentBuilder,
};

use super::{Item, failure};
use crate::Error;

/// The outcome of a conditional update.
#[derive(Debug)]
pub(super) enum Conditional {
    /// The item was updated. Holds the attributes that the request asked for.
    Written(Item),
    /// The condition does not hold, and nothing was written. Holds the stored item if the request
    /// asked for it and there is one.
    Lost(Option<Item>),
}

/// Sends a conditional update.
pub(super) async fn conditional(request: UpdateItemFluentBuilder) -> Result<Conditional, Error> {
    match request.send().await {
        Ok(output) => Ok(Conditional::Written(output.attributes.unwrap_or_default())),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(lost)) => {
                Ok(Conditional::Lost(lost.item.clone()))
            }
            _ => Err(failure(error)),
        },
    }
}
