//! Counters of a session, in its item: wrong secrets, and requests of a minute. Strangers and ended
//! sessions cannot raise them.

use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{
    Outcome, Store,
    conditional::{Conditional, conditional},
    items::{number, read},
    keys::session_key,
};
use crate::{
    Error,
    domain::{
        rate_limit::minute,
        session::{FAILURE_LIMIT, Session, SessionSecret},
    },
    platform::clock::Timestamp,
};

/// The outcome of counting an attempt at a secret in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionAttempt {
    /// The attempt is counted and may be verified.
    Counted {
        /// Whether the session must end if the secret is wrong.
        is_last: bool,
    },
    /// As many attempts as a session has are in progress, or were wrong.
    Exhausted,
    /// The session has ended.
    Ended,
}

/// The attribute that counts wrong secrets of a kind.
const fn count_of(secret: SessionSecret) -> &'static str {
    match secret {
        SessionSecret::Password => "failures",
        SessionSecret::Code => "code_failures",
        SessionSecret::Passkey => "passkey_failures",
    }
}

impl Store {
    /// Counts an attempt at a secret in a session, before the secret is verified. The limit applies
    /// to the secrets of all kinds together: of concurrent attempts, no more are verified than
    /// [`FAILURE_LIMIT`].
    pub async fn count_session_attempt(
        &self,
        session: &Session,
        secret: SessionSecret,
    ) -> Result<SessionAttempt, Error> {
        let count = count_of(secret);
        let request = self
            .update_session(session)
            .update_expression(format!("ADD {count} :one"))
            .condition_expression(format!(
                "attribute_exists(pk) AND (attribute_not_exists({count}) OR {count} < :limit)"
            ))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":limit", number(FAILURE_LIMIT));
        Ok(match conditional(request).await? {
            Conditional::Written(item) => {
                let total = read::<Session>(item)?.wrong_secrets();
                if total > FAILURE_LIMIT {
                    self.refund_session_attempt(session, secret).await?;
                    SessionAttempt::Exhausted
                } else {
                    SessionAttempt::Counted {
                        is_last: total == FAILURE_LIMIT,
                    }
                }
            }
            Conditional::Lost(None) => SessionAttempt::Ended,
            Conditional::Lost(Some(_)) => SessionAttempt::Exhausted,
        })
    }

    /// Reverses [`Store::count_session_attempt`] for an attempt that could not be verified.
    pub async fn refund_session_attempt(
        &self,
        session: &Session,
        secret: SessionSecret,
    ) -> Result<(), Error> {
        let count = count_of(secret);
        let request = self
            .update_session(session)
            .update_expression(format!("ADD {count} :minus_one"))
            .condition_expression(format!("{count} > :zero"))
            .expression_attribute_values(":minus_one", number(-1))
            .expression_attribute_values(":zero", number(0));
        conditional(request).await.map(drop)
    }

    /// Clears the wrong secrets of this kind, after a right one. Returns [`Outcome::Conflict`] if
    /// the session has ended.
    pub async fn clear_session_attempts(
        &self,
        session: &Session,
        secret: SessionSecret,
    ) -> Result<Outcome, Error> {
        let request = self
            .update_session(session)
            .update_expression(format!("REMOVE {}", count_of(secret)))
            .condition_expression("attribute_exists(pk)");
        Ok(conditional(request).await?.into())
    }

    /// Counts a state-changing request of a session and records the use of the session.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] with the seconds that are left of the calendar minute, if the
    /// session has sent `limit` such requests in it; [`Error::NotSignedIn`] if the session has
    /// ended.
    pub async fn count_session_request(
        &self,
        session: &Session,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (minute, left) = minute(now);
        let mut counted_minute = session.requests_minute;
        // Concurrent requests may start the minute first; then the other form applies.
        for _ in 0..3 {
            let request = self
                .update_session(session)
                .expression_attribute_values(":now", number(now.seconds()))
                .expression_attribute_values(":one", number(1));
            let request = if counted_minute.is_some_and(|counted| counted >= minute) {
                request
                    .update_expression("SET last_used_at = :now ADD requests :one")
                    .condition_expression(
                        "attribute_exists(pk) AND requests_minute >= :minute AND requests < :limit",
                    )
                    .expression_attribute_values(":limit", number(limit))
            } else {
                request
                    .update_expression(
                        "SET last_used_at = :now, requests_minute = :minute, requests = :one",
                    )
                    .condition_expression(
                        "attribute_exists(pk) AND (attribute_not_exists(requests_minute) OR requests_minute < :minute)",
                    )
            };
            let request = request.expression_attribute_values(":minute", number(minute));
            let stored: Session = match conditional(request).await? {
                Conditional::Written(_) => return Ok(()),
                Conditional::Lost(None) => return Err(Error::NotSignedIn),
                Conditional::Lost(Some(item)) => read(item)?,
            };
            counted_minute = stored.requests_minute;
            let is_current = counted_minute.is_some_and(|counted| counted >= minute);
            if is_current && stored.requests >= limit {
                break;
            }
        }
        Err(Error::TooManyAttempts { retry_after: left })
    }

    fn update_session(&self, session: &Session) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.grants)
            .set_key(Some(session_key(&session.uid, &session.id)))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}
