//! Transactions: either every write takes effect or none does.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        AttributeValue, CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem, Update,
    },
};
use data_encoding::HEXLOWER;

use super::{
    Item, Store,
    cancellation::{Verdict, verdict},
    failure,
};
use crate::{
    Error,
    platform::{
        aws_error::{self, AwsError},
        random,
        retry::Backoff,
    },
};

/// A write of a transaction, with its condition.
pub(super) enum Write {
    Put(Put),
    Update(Update),
    Delete(Delete),
    Check(ConditionCheck),
}

/// The outcome of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Transaction {
    Written,
    /// Nothing was written. Contains the index of the first write whose condition does not hold.
    ConditionFailed(usize),
}

/// A placeholder of an expression with its value.
pub(super) type Value = (&'static str, AttributeValue);

fn owned(values: impl IntoIterator<Item = Value>) -> Option<Item> {
    let values: Item = values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    (!values.is_empty()).then_some(values)
}

/// The placeholders `#name` of an expression, each with the attribute name that it stands for.
/// DynamoDB rejects expressions that contain reserved words as attribute names.
fn names(expressions: [&str; 2]) -> Option<HashMap<String, String>> {
    let words = expressions
        .into_iter()
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '#'));
    let names: HashMap<String, String> = words
        .filter_map(|word| Some((word.to_owned(), word.strip_prefix('#')?.to_owned())))
        .collect();
    (!names.is_empty()).then_some(names)
}

impl Store {
    pub(super) fn put(
        table: &str,
        item: Item,
        condition: Option<&str>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Write, Error> {
        let put = Put::builder()
            .table_name(table)
            .set_item(Some(item))
            .set_condition_expression(condition.map(ToOwned::to_owned))
            .set_expression_attribute_names(condition.and_then(|text| names([text, ""])));
        put.set_expression_attribute_values(owned(values))
            .build()
            .map(Write::Put)
            .map_err(Error::internal)
    }

    pub(super) fn update(
        table: &str,
        key: Item,
        change: &str,
        condition: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Update, Error> {
        let update = Update::builder()
            .table_name(table)
            .set_key(Some(key))
            .update_expression(change)
            .condition_expression(condition);
        let update = update.set_expression_attribute_names(names([change, condition]));
        let values = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        update
            .set_expression_attribute_values(Some(values))
            .build()
            .map_err(Error::internal)
    }

    pub(super) fn delete(
        table: &str,
        key: Item,
        condition: Option<&str>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Write, Error> {
        let delete = Delete::builder()
            .table_name(table)
            .set_key(Some(key))
            .set_condition_expression(condition.map(ToOwned::to_owned))
            .set_expression_attribute_names(condition.and_then(|text| names([text, ""])));
        delete
            .set_expression_attribute_values(owned(values))
            .build()
            .map(Write::Delete)
            .map_err(Error::internal)
    }

    /// Writes nothing, and requires that the condition holds.
    pub(super) fn check(
        table: &str,
        key: Item,
        condition: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Write, Error> {
        ConditionCheck::builder()
            .table_name(table)
            .set_key(Some(key))
            .condition_expression(condition)
            .set_expression_attribute_names(names([condition, ""]))
            .set_expression_attribute_values(owned(values))
            .build()
            .map(Write::Check)
            .map_err(Error::internal)
    }

    /// Writes nothing, and requires that the item does not exist.
    pub(super) fn absent(table: &str, key: Item) -> Result<Write, Error> {
        Self::check(table, key, "attribute_not_exists(pk)", [])
    }

    /// Sends a transaction, and retries it if a conflict or throttling cancelled it. All attempts
    /// have one idempotency token, so a success whose response was lost remains a success. DynamoDB
    /// remembers only the tokens of successful transactions, so a cancelled transaction can be sent
    /// again with its token.
    pub(super) async fn transact(
        &self,
        writes: impl IntoIterator<Item = Write>,
    ) -> Result<Transaction, Error> {
        let writes: Vec<TransactWriteItem> = writes.into_iter().map(item).collect();
        let token = HEXLOWER.encode(&random::bytes::<16>());
        let mut backoff = Backoff::start();
        loop {
            let request = self
                .client
                .transact_write_items()
                .client_request_token(&token);
            let request = request.set_transact_items(Some(writes.clone()));
            let Err(error) = request.send().await else {
                return Ok(Transaction::Written);
            };
            let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
                error.as_service_error()
            else {
                return Err(failure(error));
            };
            match verdict(
                cancelled
                    .cancellation_reasons()
                    .iter()
                    .map(CancellationReason::code),
            ) {
                Verdict::ConditionFailed(index) => {
                    return Ok(Transaction::ConditionFailed(index));
                }
                Verdict::Retry if backoff.wait().await => {}
                Verdict::Retry => return Err(Error::Unavailable(AwsError::from(error).into())),
                Verdict::Failed => {
                    let reasons = reasons(cancelled.cancellation_reasons());
                    let error = AwsError::from(error);
                    return Err(Error::internal(Cancelled { error, reasons }));
                }
            }
        }
    }
}

/// A cancelled transaction that a retry cannot save, with the reason codes in the order of its
/// writes.
#[derive(Debug, thiserror::Error)]
#[error("{error}, reasons {reasons}")]
struct Cancelled {
    error: AwsError,
    reasons: String,
}

fn reasons(reasons: &[CancellationReason]) -> String {
    let codes: Vec<String> = reasons
        .iter()
        .map(|reason| {
            let code = reason.code().unwrap_or("None");
            aws_error::code(code).unwrap_or_else(|| "unreadable".to_owned())
        })
        .collect();
    codes.join(",")
}

fn item(write: Write) -> TransactWriteItem {
    let item = TransactWriteItem::builder();
    match write {
        Write::Put(put) => item.put(put),
        Write::Update(update) => item.update(update),
        Write::Delete(delete) => item.delete(delete),
        Write::Check(check) => item.condition_check(check),
    }
    .build()
}
