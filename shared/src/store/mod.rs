//! All access to DynamoDB. docs/ARCHITECTURE.md describes the tables and their keys.
//!
//! Every read on which a decision depends is strongly consistent. What may happen only once is
//! decided by a condition on a write, and a condition that does not hold is an outcome, not a
//! failure.

mod access_keys;
mod account_keys;
mod activities;
mod administration;
mod batches;
mod cancellation;
mod closure;
mod codes;
mod conditional;
mod confirmation;
mod devices;
mod email_change;
mod erasure;
mod factor;
mod items;
mod keys;
mod limits;
mod moving;
mod newest;
mod otp;
mod outbox;
mod passkey_list;
mod passkeys;
mod presence;
mod publication;
mod rekey;
mod reseal;
mod session_counters;
mod sessions;
mod sign_in;
mod signer;
#[cfg(test)]
mod tests;
mod transaction;
mod users;
mod writes;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

pub use access_keys::AccessKeys;
pub use activities::{ActivityPage, PageRequest};
pub use administration::{Administration, Change, Creation, StoredUser};
pub use closure::{AccountClosing, Closure};
pub use codes::{CodeRequest, CodeRequestOutcome, PasswordChange, PasswordChangeLog};
pub use confirmation::{Confirmation, SessionReplacement, StoredConfirmation};
pub use email_change::{
    EmailChangeConfirmation, EmailChangeLookup, EmailChangeMails, EmailChangeOutcome,
    EmailChangeRequest, EmailChangeRequestOutcome, NewAddressLookup, StoredEmailChange,
};
pub use erasure::{Erasure, Erasures};
pub use items::UnreadableItem;
pub use limits::Attempt;
pub use otp::{OtpActivation, RecoveryCodeReplacement};
pub use outbox::Claim;
pub use passkey_list::{PasskeyAddition, PasskeyAdditionOutcome};
pub use passkeys::CeremonyOutcome;
pub use presence::ExpiredAccount;
pub use rekey::Rekey;
pub use reseal::SealedFields;
pub use session_counters::SessionAttempt;
pub use sign_in::{AcceptedCode, SignInReport};
pub use signer::Signer;
pub use users::{NewAccount, SignUp, SignUpLookup};

use crate::{
    Error,
    domain::user::PendingLifetime,
    platform::{
        aws::DynamoDb,
        aws_error::{AwsError, Kind},
    },
};

type Item = HashMap<String, AttributeValue>;

/// The outcome of a write that depends on an earlier read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Everything was written.
    Written,
    /// Nothing was written, because another request changed or deleted an item since it was read.
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
            transaction::Transaction::ConditionFailed(_) => Self::Conflict,
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

/// The Users and Grants tables.
#[derive(Clone, Debug)]
pub struct Store {
    client: DynamoDb,
    users: String,
    grants: String,
    pending_lifetime: PendingLifetime,
}

impl Store {
    /// A store on the tables with these names, to which accounts that were not confirmed within
    /// `pending_lifetime` are absent.
    #[must_use]
    pub const fn new(
        client: DynamoDb,
        users: String,
        grants: String,
        pending_lifetime: PendingLifetime,
    ) -> Self {
        Self {
            client,
            users,
            grants,
            pending_lifetime,
        }
    }
}

/// [`Error::Unavailable`] if a retry may succeed: DynamoDB throttled, failed or did not respond.
/// Any other failure is a bug or a missing permission.
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
