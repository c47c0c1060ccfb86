//! Counters of attempts and requests, which all instances share.

use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{
    Item, Store,
    conditional::{Conditional, conditional},
    items::{number, read, text},
    keys::{device_failures_key, failures_key, mail_log_key, requests_key},
    transaction::Write,
};
use crate::{
    Error,
    domain::{
        activity::{Activity, activity_id},
        device::{DEVICE_FAILURE_LIMIT, Device},
        email_address::AccountKeys,
        one_time_code::Kind,
        rate_limit::{Failures, Limits, MailLog, minute},
        user::{Uid, User},
    },
    platform::{clock::Timestamp, retry::Backoff, telemetry::metrics},
};

/// An attempt to verify a password or a code. It is counted, and can be refunded, unless the limit
/// is disabled.
#[derive(Debug, Default)]
#[must_use]
pub struct Attempt(Option<Counted>);

#[derive(Debug)]
struct Counted {
    /// The id of the activity that records the success of the attempt.
    id: String,
    counter: Counter,
    /// The stored counter, this attempt included.
    after: Failures,
    /// The counter before this attempt, if the attempt starts a back-off.
    before_back_off: Option<Failures>,
}

/// The counter on which an attempt is counted.
#[derive(Clone, Debug)]
enum Counter {
    /// Of an address.
    Account(AccountKeys),
    /// Of a device of the account of the address.
    Device(Device),
}

impl Counter {
    fn key(&self) -> Item {
        match self {
            Self::Account(accounts) => failures_key(accounts.account()),
            Self::Device(device) => device_failures_key(&device.id),
        }
    }

    /// The limits of the counter. A device never has more free attempts than attempts.
    fn limits(&self, limits: &Limits) -> Limits {
        let free = limits.sign_in_free_attempts;
        Limits {
            sign_in_free_attempts: match self {
                Self::Account(_) => free,
                Self::Device(_) => free.min(DEVICE_FAILURE_LIMIT),
            },
            ..*limits
        }
    }

    /// The failures to store, see [`Failures::with_attempt`]. Those of a device are kept as long as
    /// its token is valid.
    fn with_attempt(
        &self,
        before: Option<&Failures>,
        attempt: &str,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Failures, Error> {
        let after = Failures::with_attempt(before, attempt, limits, now)?;
        Ok(match self {
            Self::Account(_) => after,
            Self::Device(device) => Failures {
                expires_at: device.expires_at,
                ..after
            },
        })
    }

    fn is_exhausted(&self, failures: Option<&Failures>) -> bool {
        matches!(self, Self::Device(_))
            && failures.is_some_and(|failures| failures.count >= DEVICE_FAILURE_LIMIT)
    }
}

impl Attempt {
    /// Whether the attempt is counted on the address, and not on a device.
    #[must_use]
    pub fn is_of_address(&self) -> bool {
        matches!(&self.0, Some(counted) if matches!(counted.counter, Counter::Account(_)))
    }

    /// The activity to store if the attempt succeeds, with the id by which
    /// [`Store::resolve_pending`] finds it.
    pub(super) fn success(&self, activity: &Activity) -> Activity {
        let id = self.0.as_ref().map_or(&activity.id, |counted| &counted.id);
        Activity {
            id: id.clone(),
            ..activity.clone()
        }
    }

    /// Key of the counter that must be deleted if the attempt succeeds. A counter that includes
    /// only this attempt is kept, which saves a write: [`Store::resolve_pending`] removes the
    /// attempt from it later.
    pub(super) fn counter_to_delete(&self) -> Option<Item> {
        self.0
            .as_ref()
            .filter(|counted| !counted.after.counts_only(&counted.id))
            .map(|counted| counted.counter.key())
    }
}

impl Store {
    /// Counts an attempt for an account key, before the password or code is verified. The limit is
    /// the same for concurrent attempts as for sequential ones.
    ///
    /// An attempt with a device token of the account is counted on the device and ignores the back-off
    /// of the address, unless the device has [`DEVICE_FAILURE_LIMIT`] failures in a row.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] during a back-off, or if concurrent attempts keep changing the
    /// counter. The attempt is then not counted.
    pub async fn count_attempt(
        &self,
        accounts: &AccountKeys,
        device: Option<&Device>,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Attempt, Error> {
        if limits.sign_in_free_attempts == 0 {
            return Ok(Attempt(None));
        }
        if let Some(device) = device {
            let by_device = Counter::Device(device.clone());
            if let Some(attempt) = self.count_on(by_device, limits, now).await? {
                return Ok(Attempt(Some(attempt)));
            }
            metrics::security_event(metrics::SecurityEvent::DeviceRefused);
        }
        let by_address = Counter::Account(accounts.clone());
        match self.count_on(by_address, limits, now).await? {
            Some(attempt) => Ok(Attempt(Some(attempt))),
            None => Err(Error::internal("an address was counted like a device")),
        }
    }

    /// Counts an attempt on a counter. Returns `None`, without counting, if the counter is that of a
    /// device and has as many failures as its token permits.
    async fn count_on(
        &self,
        counter: Counter,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Option<Counted>, Error> {
        let limits = &counter.limits(limits);
        let id = activity_id(now);
        let first = counter.with_attempt(None, &id, limits, now)?;
        // One call is sufficient while attempts are free, as in nearly every sign-in.
        let free = self
            .update_failures(&counter)
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
            CountOutcome::Counted(after) => {
                return Ok(Some(Counted {
                    id,
                    counter,
                    after,
                    before_back_off: None,
                }));
            }
            CountOutcome::Conflict(before) => before,
        };
        let mut backoff = Backoff::start();
        loop {
            let known = self
                .resolve_pending(&counter, before.clone(), limits, now)
                .await?;
            if counter.is_exhausted(known.as_ref()) {
                return Ok(None);
            }
            let after = counter.with_attempt(known.as_ref(), &id, limits, now)?;
            match count(self.replace_failures(&counter, before.as_ref(), &after)).await? {
                CountOutcome::Counted(after) => {
                    let before_back_off = known.filter(|_| after.retry_at > now.milliseconds());
                    return Ok(Some(Counted {
                        id,
                        counter,
                        after,
                        before_back_off,
                    }));
                }
                CountOutcome::Conflict(_) if !backoff.wait().await => {
                    return Err(Error::TooManyAttempts { retry_after: 1 });
                }
                CountOutcome::Conflict(stored) => before = stored,
            }
        }
    }

    /// Returns the failures, without the pending attempt if it succeeded. That attempt is looked up
    /// only if the next one would start a back-off. The look-up takes as long for an address
    /// without an account.
    async fn resolve_pending(
        &self,
        counter: &Counter,
        failures: Option<Failures>,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Option<Failures>, Error> {
        let Some(failures) = failures else {
            return Ok(None);
        };
        let Some(attempt) = failures.pending_to_resolve(limits, now) else {
            return Ok(Some(failures));
        };
        let owner = match counter {
            Counter::Account(accounts) => self
                .find_user(accounts, now)
                .await?
                .map_or_else(|| Uid::decoy(accounts.account()), |user| user.uid),
            Counter::Device(device) => device.uid.clone(),
        };
        let succeeded = self.has_succeeded(&owner, attempt).await?;
        Ok(Some(if succeeded {
            failures.without_pending()
        } else {
            failures
        }))
    }

    /// Removes an attempt that was not wrong from the count, without clearing earlier failures. The
    /// single write is a transaction, because its idempotency token ensures that a retry does not
    /// refund the attempt twice.
    pub async fn refund(&self, attempt: &Attempt) -> Result<(), Error> {
        let Some(Counted {
            counter,
            after,
            before_back_off,
            ..
        }) = &attempt.0
        else {
            return Ok(());
        };
        let minus_one = (":minus_one", number(-1));
        let zero = (":zero", number(0));
        let write = match before_back_off {
            None => Self::update(
                &self.grants,
                counter.key(),
                "ADD #count :minus_one",
                "#count > :zero",
                [minus_one, zero],
            )?,
            // The condition does not compare the count, because the refund of a concurrent free
            // attempt may have changed it.
            Some(before) => Self::update(
                &self.grants,
                counter.key(),
                "SET retry_at = :retry_at, expires_at = :end ADD #count :minus_one",
                "retry_at = :wait AND #count > :zero",
                [
                    (":retry_at", number(before.retry_at)),
                    (":end", number(before.expires_at.seconds())),
                    (":wait", number(after.retry_at)),
                    minus_one,
                    zero,
                ],
            )?,
        };
        // A failed condition is not an error: a successful sign-in deleted the counter, or a later
        // failure replaced the back-off of this attempt.
        self.transact([Write::Update(write)]).await.map(drop)
    }

    /// Counts a request of a client network.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] if the network reached its limit in this calendar minute.
    pub async fn count_request(
        &self,
        network: &str,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), Error> {
        if limits.requests_per_minute == 0 {
            return Ok(());
        }
        let (minute, remaining) = minute(now);
        let request = self
            .client
            .update_item()
            .table_name(&self.grants)
            .set_key(Some(requests_key(network, minute)))
            .update_expression("SET expires_at = :end ADD #count :one")
            .condition_expression("attribute_not_exists(pk) OR #count < :limit")
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":limit", number(limits.requests_per_minute))
            .expression_attribute_values(":end", number((now + remaining).seconds()));
        match conditional(request).await? {
            Conditional::Written(_) => Ok(()),
            Conditional::Lost(_) => Err(Error::TooManyAttempts {
                retry_after: remaining,
            }),
        }
    }

    /// The user of an address, and the log of mails of that kind to the address.
    pub async fn find_user_and_mail_log(
        &self,
        accounts: &AccountKeys,
        kind: Kind,
        now: Timestamp,
    ) -> Result<(Option<User>, Option<MailLog>), Error> {
        let log = mail_log_key(accounts.account(), kind.into());
        self.user_and_grant(accounts.iter(), log, now).await
    }

    fn update_failures(&self, counter: &Counter) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.grants)
            .set_key(Some(counter.key()))
            .expression_attribute_names("#count", "count")
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    fn replace_failures(
        &self,
        counter: &Counter,
        before: Option<&Failures>,
        after: &Failures,
    ) -> UpdateItemFluentBuilder {
        let request = self
            .update_failures(counter)
            .update_expression(match after.pending {
                Some(_) => "SET #count = :count, retry_at = :retry_at, expires_at = :end, unsettled = :unsettled",
                None => "SET #count = :count, retry_at = :retry_at, expires_at = :end REMOVE unsettled",
            })
            .set_expression_attribute_values(after.pending.as_ref().map(|id| [(":unsettled".to_owned(), text(id))].into()))
            .expression_attribute_values(":count", number(after.count))
            .expression_attribute_values(":retry_at", number(after.retry_at))
            .expression_attribute_values(":end", number(after.expires_at.seconds()));
        match before {
            None => request.condition_expression("attribute_not_exists(pk)"),
            Some(before) => {
                let request = request
                    .expression_attribute_values(":was_count", number(before.count))
                    .expression_attribute_values(":was_retry_at", number(before.retry_at));
                // Comparing the count alone is not sufficient: it stays the same if one attempt is
                // added and another is removed because it succeeded.
                match &before.pending {
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

/// The outcome of an update of a counter, with the stored counter.
enum CountOutcome {
    Counted(Failures),
    Conflict(Option<Failures>),
}

async fn count(request: UpdateItemFluentBuilder) -> Result<CountOutcome, Error> {
    match conditional(request).await? {
        Conditional::Written(item) => read(item).map(CountOutcome::Counted),
        Conditional::Lost(item) => item.map(read).transpose().map(CountOutcome::Conflict),
    }
}
