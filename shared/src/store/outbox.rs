//! The outbox. A stream may deliver a record more than once, even concurrently; a lease ensures
//! that one delivery at a time sends the mail.

use aws_sdk_dynamodb::types::ReturnValue;
use data_encoding::HEXLOWER;

use super::{
    Store,
    conditional::{Conditional, conditional},
    items::{number, read, text},
    keys::mail_key,
};
use crate::{
    Error,
    domain::{
        mail::QueuedMail,
        user::{Uid, User},
    },
    platform::{clock::Timestamp, random},
};

/// Seconds after which a delivery without an outcome is considered failed. Longer than the timeout
/// of the function.
const LEASE: i64 = 60;

/// The outcome of a claim of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The caller must send the mail.
    Claimed(QueuedMail),
    /// The mail was sent, will never be sent, or does not exist.
    Settled,
    /// Another delivery has the lease.
    Busy,
    /// The item is not a mail; a retry cannot help.
    Unreadable,
}

impl Store {
    /// Takes the lease of a mail, in order to send it.
    pub async fn claim_mail(&self, uid: &Uid, id: &str, now: Timestamp) -> Result<Claim, Error> {
        // Identifies this claim: if its response is lost, the SDK's retry finds its own lease.
        let claim = HEXLOWER.encode(&random::bytes::<16>());
        let request = self
            .client
            .update_item()
            .table_name(&self.grants)
            .set_key(Some(mail_key(uid, id)))
            .update_expression("SET leased_until = :until, leased_by = :claim")
            .condition_expression(
                "attribute_exists(pk) AND attribute_not_exists(settled_at) AND (attribute_not_exists(leased_until) OR leased_until <= :now)",
            )
            .expression_attribute_values(":until", number((now + LEASE).seconds()))
            .expression_attribute_values(":now", number(now.seconds()))
            .expression_attribute_values(":claim", text(&claim))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld);
        Ok(match conditional(request).await? {
            Conditional::Written(item) => read(item).map_or(Claim::Unreadable, Claim::Claimed),
            Conditional::Lost(None) => Claim::Settled,
            Conditional::Lost(Some(item)) if item.contains_key("settled_at") => Claim::Settled,
            Conditional::Lost(Some(item)) if item.get("leased_by") == Some(&text(&claim)) => {
                read(item).map_or(Claim::Unreadable, Claim::Claimed)
            }
            Conditional::Lost(Some(_)) => Claim::Busy,
        })
    }

    /// The user to whom a mail is addressed, in one round trip unless the user moved to another
    /// account key; `None` if the account was erased or replaced, or has expired.
    pub async fn find_recipient(
        &self,
        mail: &QueuedMail,
        now: Timestamp,
    ) -> Result<Option<User>, Error> {
        let read = self.find_user(&mail.email.account_keys(), now).await?;
        self.user_of(&mail.uid, read, now).await
    }

    /// Marks a mail as settled: it was sent, or will never be sent.
    pub async fn settle_mail(&self, uid: &Uid, id: &str, now: Timestamp) -> Result<(), Error> {
        self.update_mail(uid, id, "SET settled_at = :now REMOVE leased_until", now)
            .await
    }

    /// Releases the lease of a mail that could not be sent, so that the next delivery need not wait
    /// until it expires.
    pub async fn release_mail(&self, uid: &Uid, id: &str, now: Timestamp) -> Result<(), Error> {
        self.update_mail(uid, id, "SET released_at = :now REMOVE leased_until", now)
            .await
    }

    async fn update_mail(
        &self,
        uid: &Uid,
        id: &str,
        change: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let request = self
            .client
            .update_item()
            .table_name(&self.grants)
            .set_key(Some(mail_key(uid, id)))
            .update_expression(change)
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", number(now.seconds()));
        // A conflict means that the mail was deleted, with its user or because it expired.
        conditional(request).await.map(drop)
    }
}
