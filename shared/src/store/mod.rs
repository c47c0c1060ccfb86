//! What is kept, in two tables. README.md of the project shows the keys.
//!
//! Every read that decides something is strongly consistent, and what decides is a condition on a write: losing it is an
//! outcome, not a failure.

mod activities;
mod administration;
mod batches;
mod cancellation;
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

use aws_sdk_dynamodb::types::AttributeValue;

pub use activities::ActivityPage;
pub use administration::{Change, StoredUser};
pub use codes::{Asked, Asking, Confirmation, PasswordChange};
pub use limits::Attempt;
pub use otp::Enabling;
pub use outbox::Claim;
pub use users::SignUp;

use crate::{
    Error,
    aws::DynamoDb,
    aws_error::{AwsError, Kind},
    config::Config,
};

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

/// A database that is throttled, fails or does not answer may answer later; any other failure is a bug or a missing permission.
fn failure(error: impl Into<AwsError>) -> Error {
    const TRANSIENT: [&str; 9] = [
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "InternalServerError",
        "LimitExceededException",
        "ServiceUnavailable",
        "TransactionInProgressException",
        "TransactionConflictException",
    ];
    let error = error.into();
    let is_transient = match error.kind() {
        Kind::Construction => false,
        Kind::Timeout | Kind::Connection(_) | Kind::Unreadable => true,
        Kind::Refused => {
            error.status().is_some_and(|status| status >= 500) || error.code().is_some_and(|code| TRANSIENT.contains(&code))
        }
    };
    if is_transient { Error::Unavailable(error.into()) } else { Error::internal(error) }
}
