//! Use of a code of the second factor, alone or together with another change of the user.

use std::slice;

use super::{
    Store,
    items::number,
    transaction::{Value, Write},
    writes::{FailureAttributes, otp_secret_as_read, recovery_set, step_change, unused},
};
use crate::{
    Error,
    domain::{otp::SecondFactor, user::User},
};

/// A change of a user in the write that marks a code of the second factor as used.
#[derive(Default)]
pub(super) struct UserChange {
    /// Assignments, such as `a = :a, b = :b`.
    pub(super) set: &'static str,
    /// A clause, such as `REMOVE a, b`.
    pub(super) remove: &'static str,
    pub(super) condition: Option<String>,
    pub(super) values: Vec<Value>,
}

impl Store {
    /// Marks a code of the second factor as used, on condition that it is unused and that the
    /// secret is the one with which it was checked.
    pub(super) fn factor_write(&self, user: &User, factor: &SecondFactor) -> Result<Write, Error> {
        self.factor_and_user_write(user, factor, UserChange::default())
    }

    /// The same at a sign-in: also clears the wrong codes of the kind, or of both kinds if it is a
    /// recovery code, on condition that none was counted since the user was read.
    pub(super) fn sign_in_factor_write(
        &self,
        user: &User,
        factor: &SecondFactor,
    ) -> Result<Write, Error> {
        let attributes = FailureAttributes::of(factor.kind());
        let (unchanged, before) = attributes.unchanged(user);
        let remove = match factor {
            SecondFactor::TimeStep(_) => "REMOVE totp_failures, totp_retry_at",
            SecondFactor::RecoveryCode(_) => {
                "REMOVE totp_failures, totp_retry_at, recovery_failures, recovery_retry_at"
            }
        };
        let further = UserChange {
            remove,
            condition: Some(unchanged),
            values: before.into_iter().collect(),
            ..UserChange::default()
        };
        self.factor_and_user_write(user, factor, further)
    }

    /// As [`Store::factor_write`], together with a further change of the user.
    pub(super) fn factor_and_user_write(
        &self,
        user: &User,
        factor: &SecondFactor,
        further: UserChange,
    ) -> Result<Write, Error> {
        let (unused, code) = unused(factor);
        let (set, delete, value) = match factor {
            SecondFactor::TimeStep(accepted) => {
                let (set, _, sealed) = step_change(accepted);
                (set, "", sealed)
            }
            // An imported user may have no last step, by which functions that cannot read the secret
            // know that OTP is on.
            SecondFactor::RecoveryCode(hash) => (
                "SET otp_last_step = if_not_exists(otp_last_step, :zero)",
                "DELETE otp_recovery_codes :used",
                Some((":used", recovery_set(slice::from_ref(hash)))),
            ),
        };
        let zero = matches!(factor, SecondFactor::RecoveryCode(_)).then(|| (":zero", number(0)));
        let set = match further.set {
            "" => set.to_owned(),
            further => format!("{set}, {further}"),
        };
        let mut condition = format!("otp_secret = :secret AND {unused}");
        if let Some(further) = &further.condition {
            condition = format!("{condition} AND {further}");
        }
        self.user_write(
            user,
            &format!("{set} {} {delete}", further.remove),
            Some(&condition),
            [otp_secret_as_read(user), (":code", code)]
                .into_iter()
                .chain(value)
                .chain(zero)
                .chain(further.values),
        )
    }
}
