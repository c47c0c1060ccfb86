//! Conditional updates of one item.

use aws_sdk_dynamodb::operation::update_item::{
    UpdateItemError, builders::UpdateItemFluentBuilder,
};

use super::{Item, failure};
use crate::Error;

/// The outcome of a conditional update.
#[derive(Debug)]
pub(super) enum Conditional {
    /// The item was updated. Contains the attributes that the request returns.
    Written(Item),
    /// The condition does not hold, and nothing was written. Contains the stored item if it exists
    /// and the request returns it.
    Lost(Option<Item>),
}

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
