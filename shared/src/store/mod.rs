//! What is kept, in two tables. README.md of the project shows the keys.
//!
//! Every read that decides something is strongly consistent, and what decides is a condition on a
//! write: losing it is an outcome, not a failure.

mod activities;
mod administration;
mod batches;
mod cancellation;
mod codes;
mod conditional;
mod items;
mod keys;
mod limits;
mod otp;
mod outbox;
mod sessions;
#[cfg(test)]
mod tests;
mod transaction;
mod users;
mod writes;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

pub use activities::{ActivityPage, PageRequest};
pub use administration::{Administration, Change, StoredUser};
pub use codes::{CodeRequest, CodeRequestOutcome, Confirmation, PasswordChange};
pub use limits::Attempt;
pub use otp::Enabling;
pub use outbox::Claim;
pub use users::{SignUp, Taken};

use crate::{
    Error,
    platform::{
        aws::DynamoDb,
        aws_error::{AwsError, Kind},
    },
};

type Item = HashMap<String, AttributeValue>;

/// The outcome of a write that relies on what was read before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Everything was written.
    Written,
    /// Nothing was written: what the write relies on was changed by another request, or is gone.
    Conflict,
}

impl Outcome {
    /// Whether everything was written.
    #[must_use]
    pub const fn is_written(self) -> bool {
        matches!(self, Self::Written)
    }
}

impl From<transaction::Transaction> for Outcome {
    fn from(transaction: transaction::Transaction) -> Self {
        match transaction {
            transaction::Transaction::Written => Self::Written,
            transaction::Transaction::Refused(_) => Self::Conflict,
        }
    }
}

impl From<conditional::Conditional> for Outcome {
    fn from(conditional: conditional::Conditional) -> Self {
        match conditional {
            conditional::Conditional::Written(_) => Self::Written,
            conditional::Conditional::Lost(_) => Self::Conflict,
        }
    }
}

/// The two tables.
#[derive(Clone, Debug)]
pub struct Store {
    client: DynamoDb,
    users: String,
    grants: String,
}

impl Store {
    /// The tables of these names.
    #[must_use]
    pub const fn new(client: DynamoDb, users: String, grants: String) -> Self {
        Self {
            client,
            users,
            grants,
        }
    }
}

/// A database that is throttled, fails or does not answer may answer later; any other failure is a
/// bug or a missing permission.
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
            error.status().is_some_and(|status| status >= 500)
                || error.code().is_some_and(|code| TRANSIENT.contains(&code))
        }
    };
    if is_transient {
        Error::Unavailable(error.into())
    } else {
        Error::internal(error)
    }
}
