//! Counters of what is tried, over all instances.

use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{
    Item, Store,
    conditional::{Conditional, conditional},
    items::{number, read, text},
    keys::{failures_key, mail_log_key, requests_key},
};
use crate::{
    Error,
    domain::{
        activity::{Activity, activity_id},
        one_time_code::Kind,
        rate_limit::{Failures, Limits, MailLog, minute},
        user::User,
    },
    platform::{clock::Timestamp, random::sha256_hex, retry::Backoff},
};

/// An attempt at an account's secrets that may be taken back. Where there is no limit, nothing is
/// counted of it.
#[derive(Debug, Default)]
#[must_use]
pub struct Attempt(Option<Counted>);

#[derive(Debug)]
struct Counted {
    /// The id of the activity that tells of it when it succeeds.
    id: String,
    user: String,
    /// What is stored of the attempts, this one included.
    with: Failures,
    /// What was stored before, where this one starts a wait.
    without: Option<Failures>,
}

impl Attempt {
    /// What is written down when it succeeds, so that it can be found.
    pub(super) fn success(&self, activity: &Activity) -> Activity {
        let id = self.0.as_ref().map_or(&activity.id, |counted| &counted.id);
        Activity {
            id: id.clone(),
            ..activity.clone()
        }
    }

    /// The counter that its success has to delete. Where nothing but itself is counted, that is
    /// left for later.
    pub(super) fn to_be_cleared(&self) -> Option<Item> {
        self.0
            .as_ref()
            .filter(|counted| !counted.with.is_only(&counted.id))
            .map(|counted| failures_key(&counted.user))
    }
}

impl Store {
    /// Counts an attempt at the secrets of an address, before they are looked at. However many
    /// attempts there are at once, no more are let through than one after the other.
    pub async fn count_attempt(
        &self,
        user: &str,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Attempt, Error> {
        if limits.sign_in_free_attempts == 0 {
            return Ok(Attempt(None));
        }
        let id = activity_id(now);
        let first = Failures::with_one_more(None, &id, limits, now)?;
        // One call as long as the attempts are free, which is all that is needed of almost
        // everybody.
        let free = self
            .update_failures(user)
            .update_expression(
                "SET retry_at = :now, expires_at = :end, unsettled = if_not_exists(unsettled, :id) ADD #count :one",
            )
            .condition_expression("attribute_not_exists(pk) OR (#count < :free AND expires_at > :seconds)")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":free", number(limits.sign_in_free_attempts))
            .expression_attribute_values(":now", number(first.retry_at))
            .expression_attribute_values(":seconds", number(now.seconds()))
            .expression_attribute_values(":end", number(first.expires_at.seconds()))
            .expression_attribute_values(":id", text(&id));
        let mut before = match count(free).await? {
            Counting::Counted(with) => {
                return Ok(Attempt(Some(Counted {
                    id,
                    user: user.to_owned(),
                    with,
                    without: None,
                })));
            }
            Counting::Overtaken(before) => before,
        };
        let mut backoff = Backoff::start();
        loop {
            let known = self
                .resolve_pending(user, before.clone(), limits, now)
                .await?;
            let with = Failures::with_one_more(known.as_ref(), &id, limits, now)?;
            match count(self.replace_failures(user, before.as_ref(), &with)).await? {
                Counting::Counted(with) => {
                    let without = known.filter(|_| with.retry_at > now.milliseconds());
                    return Ok(Attempt(Some(Counted {
                        id,
                        user: user.to_owned(),
                        with,
                        without,
                    })));
                }
                Counting::Overtaken(_) if !backoff.wait().await => {
                    return Err(Error::TooManyAttempts { retry_after: 1 });
                }
                Counting::Overtaken(stored) => before = stored,
            }
        }
    }

    /// The failures without the attempt among them that succeeded, where it has come to matter. It
    /// takes an unknown address as long.
    async fn resolve_pending(
        &self,
        user: &str,
        failures: Option<Failures>,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Option<Failures>, Error> {
        let Some(failures) = failures else {
            return Ok(None);
        };
        let Some(attempt) = failures.to_be_settled(limits, now) else {
            return Ok(Some(failures));
        };
        let owner = self
            .find_user(user)
            .await?
            .map_or_else(|| sha256_hex(user), |user| user.uid);
        let succeeded = self.has_succeeded(&owner, attempt).await?;
        Ok(Some(if succeeded {
            failures.settled()
        } else {
            failures
        }))
    }

    /// Takes an attempt back that was no wrong one: it neither counts nor clears what was counted
    /// before. A transaction, though of one write: when its answer is lost and it is sent again,
    /// the attempt is not taken back twice.
    pub async fn refund(&self, attempt: &Attempt) -> Result<(), Error> {
        let Some(Counted {
            user,
            with,
            without,
            ..
        }) = &attempt.0
        else {
            return Ok(());
        };
        let minus_one = (":minus_one", number(-1));
        let zero = (":zero", number(0));
        let write = match without {
            None => Self::update(
                &self.grants,
                failures_key(user),
                "ADD #count :minus_one",
                "#count > :zero",
                [minus_one, zero],
            )?,
            // Free attempts that were under way may have been taken back meanwhile, so the count
            // alone may be another.
            Some(without) => Self::update(
                &self.grants,
                failures_key(user),
                "SET retry_at = :retry_at, expires_at = :end ADD #count :minus_one",
                "retry_at = :wait AND #count > :zero",
                [
                    (":retry_at", number(without.retry_at)),
                    (":end", number(without.expires_at.seconds())),
                    (":wait", number(with.retry_at)),
                    minus_one,
                    zero,
                ],
            )?,
        };
        // Who signed in meanwhile cleared the count, and who failed after a wait counted on from
        // this one.
        self.transact([write]).await.map(drop)
    }

    /// Counts a request of a client's address, or says how long it has to wait.
    pub async fn count_request(
        &self,
        address: &str,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), Error> {
        if limits.requests_per_minute == 0 {
            return Ok(());
        }
        let (minute, left) = minute(now);
        let request = self
            .client
            .update_item()
            .table_name(&self.grants)
            .set_key(Some(requests_key(address, minute)))
            .update_expression("SET expires_at = :end ADD #count :one")
            .condition_expression("attribute_not_exists(pk) OR #count < :most")
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(limits.requests_per_minute))
            .expression_attribute_values(":end", number((now + left).seconds()));
        match conditional(request).await? {
            Conditional::Written(_) => Ok(()),
            Conditional::Lost(_) => Err(Error::TooManyAttempts { retry_after: left }),
        }
    }

    /// The user of an address, and when mails of that kind were asked for to it.
    pub async fn find_user_and_mail_log(
        &self,
        user: &str,
        kind: Kind,
    ) -> Result<(Option<User>, Option<MailLog>), Error> {
        self.user_and_grant(user, mail_log_key(user, kind)).await
    }

    fn update_failures(&self, user: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.grants)
            .set_key(Some(failures_key(user)))
            .expression_attribute_names("#count", "count")
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    fn replace_failures(
        &self,
        user: &str,
        before: Option<&Failures>,
        after: &Failures,
    ) -> UpdateItemFluentBuilder {
        let request = self
            .update_failures(user)
            .update_expression(match after.unsettled {
                Some(_) => "SET #count = :count, retry_at = :retry_at, expires_at = :end, unsettled = :unsettled",
                None => "SET #count = :count, retry_at = :retry_at, expires_at = :end REMOVE unsettled",
            })
            .set_expression_attribute_values(after.unsettled.as_ref().map(|id| [(":unsettled".to_owned(), text(id))].into()))
            .expression_attribute_values(":count", number(after.count))
            .expression_attribute_values(":retry_at", number(after.retry_at))
            .expression_attribute_values(":end", number(after.expires_at.seconds()));
        match before {
            None => request.condition_expression("attribute_not_exists(pk)"),
            Some(before) => {
                let request = request
                    .expression_attribute_values(":was_count", number(before.count))
                    .expression_attribute_values(":was_retry_at", number(before.retry_at));
                // The count alone does not tell: it stays as it is when one is added and one is
                // settled.
                match &before.unsettled {
                    None => request.condition_expression(
                        "#count = :was_count AND retry_at = :was_retry_at AND attribute_not_exists(unsettled)",
                    ),
                    Some(id) => request
                        .condition_expression("#count = :was_count AND retry_at = :was_retry_at AND unsettled = :was_unsettled")
                        .expression_attribute_values(":was_unsettled", text(id)),
                }
            }
        }
    }
}

/// The failures that are stored after an update.
enum Counting {
    /// The update was made.
    Counted(Failures),
    /// Its condition does not hold. Holds what is stored, if anything.
    Overtaken(Option<Failures>),
}

async fn count(request: UpdateItemFluentBuilder) -> Result<Counting, Error> {
    match conditional(request).await? {
        Conditional::Written(item) => read(item).map(Counting::Counted),
        Conditional::Lost(item) => item.map(read).transpose().map(Counting::Overtaken),
    }
}
