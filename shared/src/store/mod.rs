//! What is kept, in two tables. README.md of the project shows the keys.
//!
//! Every read that decides something is strongly consistent, and what decides is a condition on a write: losing it is an
//! outcome, not a failure.

mod activities;
mod administration;
mod codes;
mod items;
mod limits;
mod otp;
mod outbox;
mod sessions;
#[cfg(test)]
mod tests;
mod transaction;
mod users;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};

pub use activities::ActivityPage;
pub use administration::{Change, StoredUser};
pub use codes::{Asked, Asking, Confirmation, PasswordChange};
pub use limits::Attempt;
pub use otp::Enabling;
pub use outbox::Claim;
pub use users::SignUp;

use crate::{BoxError, Error, aws::DynamoDb, config::Config};

type Item = HashMap<String, AttributeValue>;

/// The two tables.
#[derive(Clone, Debug)]
pub struct Store {
    client: DynamoDb,
    users: String,
    grants: String,
}

impl Store {
    /// The tables that the configuration names.
    #[must_use]
    pub fn new(client: DynamoDb, config: &Config) -> Self {
        Self { client, users: config.users_table.clone(), grants: config.grants_table.clone() }
    }
}

/// A database that throttles, does not answer, or whose answer is not its own (it has no code) may answer later; any other failure is
/// a bug.
fn failure<E, R>(error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    const TRANSIENT: [&str; 7] = [
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "InternalServerError",
        "ServiceUnavailable",
        "TransactionInProgressException",
        "TransactionConflictException",
    ];
    let answered = matches!(error, SdkError::ServiceError(_) | SdkError::ConstructionFailure(_));
    let transient = !answered || error.code().is_none_or(|code| TRANSIENT.contains(&code));
    let cause = BoxError::from(DisplayErrorContext(error).to_string());
    if transient { Error::Unavailable(cause) } else { Error::Internal(cause) }
}
