//! The outbox. A stream may deliver a record twice, and twice at once; a lease lets one delivery at
//! a time send the mail.

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
    domain::mail::QueuedMail,
    platform::{clock::Timestamp, random},
};

/// Seconds after which a delivery that did not say what became of it is taken for lost. Longer than
/// the function may run.
const LEASE: i64 = 60;

/// What a delivery finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The mail is this delivery's to send.
    Claimed(QueuedMail),
    /// The mail was sent or given up, or is gone.
    Settled,
    /// Another delivery is about to send it.
    Busy,
    /// What is stored is no mail that could be sent, now or ever.
    Unreadable,
}

impl Store {
    /// Takes a mail to send it.
    pub async fn claim_mail(&self, uid: &str, id: &str, now: Timestamp) -> Result<Claim, Error> {
        // Tells this claim from others, also when its answer was lost and it finds itself.
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

    /// Notes that nothing is left to do for a mail: it was sent, or never will be.
    pub async fn settle_mail(&self, uid: &str, id: &str, now: Timestamp) -> Result<(), Error> {
        self.update_mail(uid, id, "SET settled_at = :now REMOVE leased_until", now)
            .await
    }

    /// Gives a mail back that could not be sent, so that the next delivery need not wait.
    pub async fn release_mail(&self, uid: &str, id: &str, now: Timestamp) -> Result<(), Error> {
        self.update_mail(uid, id, "SET released_at = :now REMOVE leased_until", now)
            .await
    }

    async fn update_mail(
        &self,
        uid: &str,
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
        // Deleted meanwhile, with its user or by its expiry.
        conditional(request).await.map(drop)
    }
}
