//! Use of a code of the second factor, alone or together with another change of the user.

use std::slice;

use super::{
    Store,
    items::number,
    transaction::{Value, Write},
    writes::{
        FailureAttributes, otp_secret_as_read, recovery_set, sign_in_notice_unsent, step_change,
        unused,
    },
};
use crate::{
    Error,
    domain::{mail::QueuedMail, otp::SecondFactor, user::User},
};

/// What a write that uses a code changes besides the code.
#[derive(Default)]
pub(super) struct FurtherChange {
    /// Continues the `SET` clause.
    pub(super) set: &'static str,
    /// Other clauses.
    pub(super) other: &'static str,
    /// Continues the condition.
    pub(super) condition: String,
    pub(super) values: Vec<Value>,
}

impl Store {
    /// Marks a code of the second factor as used, on condition that it is unused and that the
    /// secret is the one with which it was checked.
    pub(super) fn factor_write(&self, user: &User, factor: &SecondFactor) -> Result<Write, Error> {
        self.factor_update(user, factor, FurtherChange::default())
    }

    /// The same at a sign-in: also clears the wrong codes of the kind, or of both kinds if it is a
    /// recovery code, on condition that none was counted since the user was read.
    pub(super) fn sign_in_factor_write(
        &self,
        user: &User,
        factor: &SecondFactor,
        notice: Option<&QueuedMail>,
    ) -> Result<Write, Error> {
        let attributes = FailureAttributes::of(factor.kind());
        let (unchanged, before) = attributes.unchanged(user);
        let removed = match factor {
            SecondFactor::TimeStep(_) => " REMOVE totp_failures, totp_retry_at",
            SecondFactor::RecoveryCode(_) => {
                " REMOVE totp_failures, totp_retry_at, recovery_failures, recovery_retry_at"
            }
        };
        let mut change = FurtherChange {
            condition: format!(" AND {unchanged}"),
            values: before.into_iter().collect(),
            other: removed,
            ..FurtherChange::default()
        };
        if let Some(notice) = notice {
            let (unsent, sent_at) = sign_in_notice_unsent(user);
            change.set = ", sign_in_notice_at = :sent";
            change.condition = format!("{} AND {unsent}", change.condition);
            change.values.extend(sent_at);
            change
                .values
                .push((":sent", number(notice.queued_at.seconds())));
        }
        self.factor_update(user, factor, change)
    }

    /// As [`Store::factor_write`], together with a further change of the user.
    pub(super) fn factor_update(
        &self,
        user: &User,
        factor: &SecondFactor,
        further: FurtherChange,
    ) -> Result<Write, Error> {
        let (unused, code) = unused(factor);
        let (set, delete, own) = match factor {
            SecondFactor::TimeStep(accepted) => {
                let (set, _, sealed) = step_change(accepted);
                (set, "", sealed)
            }
            // An imported user may have no last step, by which functions that cannot read the secret
            // know that OTP is on.
            SecondFactor::RecoveryCode(hash) => (
                "SET otp_last_step = if_not_exists(otp_last_step, :zero)",
                " DELETE otp_recovery_codes :used",
                Some((":used", recovery_set(slice::from_ref(hash)))),
            ),
        };
        let zero = matches!(factor, SecondFactor::RecoveryCode(_)).then(|| (":zero", number(0)));
        self.user_write(
            user,
            &format!("{set}{}{delete}{}", further.set, further.other),
            Some(&format!(
                "otp_secret = :secret AND {unused}{}",
                further.condition
            )),
            [otp_secret_as_read(user), (":code", code)]
                .into_iter()
                .chain(own)
                .chain(zero)
                .chain(further.values),
        )
    }
}
