//! Closing of an account by its owner.

use super::{
    Outcome, Store,
    factor::FurtherChange,
    items::{keyed, number, text},
    keys::closure_key,
    passkey_list::PasskeyListChange,
    transaction::{Value, Write},
    writes::{activity_write, notice_write, recovery_report_writes},
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        mail::QueuedMail,
        otp::{RecoveryCodeReport, SecondFactor},
        session::Session,
        user::{Day, State, Uid, User},
    },
    platform::clock::Timestamp,
};

/// An account that its owner closed, in the list of a day.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Closure {
    /// The uid of the user.
    pub uid: Uid,
    /// The time at which the account was closed.
    pub closed_at: Timestamp,
}

/// The items to store when an account is closed.
#[derive(Clone, Copy)]
pub struct AccountClosing<'a> {
    /// The code with which the user confirmed the operation; `None` while OTP is off.
    pub factor: Option<&'a SecondFactor>,
    /// The report of that code, if it is a recovery code.
    pub report: Option<&'a RecoveryCodeReport>,
    /// The notice to the user, if they may receive notices.
    pub notice: Option<&'a QueuedMail>,
    /// The activity.
    pub activity: &'a Activity,
}

impl Closure {
    pub(super) fn day(&self) -> Day {
        Day::of(self.closed_at)
    }

    pub(super) fn write(&self, table: &str) -> Result<Write, Error> {
        let key = closure_key(self.day(), &self.uid);
        Store::put(table, keyed(key, self)?, None, [])
    }
}

/// How a password reset changes the state of an account. An account that its owner closed gets back
/// the state that it had; a pending one also the whole time in which its address must be confirmed.
/// The condition fails if the account was closed or reopened since it was read.
pub(super) struct Reopening {
    pub(super) set: &'static str,
    /// Continues a `REMOVE` clause.
    pub(super) removed: &'static str,
    pub(super) condition: &'static str,
    pub(super) values: Vec<Value>,
}

impl Reopening {
    pub(super) fn of(user: &User) -> Result<Self, Error> {
        let before = user.closed_by_owner_at().zip(user.state_before_closing());
        let Some((closed_at, state)) = before else {
            return Ok(Self {
                set: "",
                removed: "",
                condition: "(attribute_not_exists(closed_at) OR #state <> :deleted)",
                values: vec![(":deleted", text("deleted"))],
            });
        };
        let set = match state {
            State::Pending => ", #state = :reopened, pending_since = :now",
            State::Active | State::Banned | State::Deleted | State::Other => ", #state = :reopened",
        };
        let state = serde_dynamo::to_attribute_value(state).map_err(Error::internal)?;
        Ok(Self {
            set,
            removed: ", closed_at, closed_state",
            condition: "closed_at = :closed_at AND #state = :deleted",
            values: vec![
                (":deleted", text("deleted")),
                (":reopened", state),
                (":closed_at", number(closed_at.seconds())),
            ],
        })
    }
}

impl Store {
    /// In one transaction, closes the account, ends every session, removes every passkey, marks the
    /// code as used, lists the account among those to erase, and adds the notice to the outbox.
    /// Returns [`Outcome::Conflict`], without writing, if the state, the password, the OTP secret,
    /// the passkeys or the session epoch changed, or the code was used, since they were read.
    pub async fn close_account(
        &self,
        user: &User,
        session: &Session,
        closing: AccountClosing<'_>,
    ) -> Result<Outcome, Error> {
        const SET: &str = ", #state = :deleted, closed_at = :now, closed_state = :state, \
                           session_epoch = :next, updated_at = :now";
        const OPEN: &str =
            " AND #state = :state AND password_hash = :hash AND session_epoch = :epoch";
        let closed_at = closing.activity.created_at;
        let state = serde_dynamo::to_attribute_value(user.state).map_err(Error::internal)?;
        let passkeys = PasskeyListChange::of(user, &[]);
        let open = format!("{OPEN} AND {}", passkeys.condition);
        let removed = passkeys.remove_clause();
        let mut values = vec![
            (":state", state),
            (":deleted", text("deleted")),
            (":hash", text(user.credentials.password_hash.as_str())),
            (":epoch", number(session.epoch)),
            (":next", number(session.next_epoch()?)),
            (":now", number(closed_at.seconds())),
        ];
        values.extend(passkeys.values);
        let close = if let Some(factor) = closing.factor {
            let change = FurtherChange {
                set: SET,
                other: removed,
                condition: open,
                values,
            };
            self.factor_update(user, factor, change)?
        } else {
            let change = format!("{}{removed}", SET.replacen(',', "SET", 1));
            let condition = format!("attribute_not_exists(otp_secret){open}");
            self.user_write(user, &change, Some(&condition), values)?
        };
        let closure = Closure {
            uid: user.uid.clone(),
            closed_at,
        };
        let writes = [
            close,
            closure.write(&self.grants)?,
            activity_write(&self.grants, closing.activity)?,
        ];
        let notice = notice_write(&self.grants, closing.notice)?;
        let report = recovery_report_writes(&self.grants, closing.report)?;
        let passkeys = self.passkey_deletions(&user.uid, &user.passkeys)?;
        let writes = writes.into_iter().chain(notice).chain(report);
        Ok(self.transact(writes.chain(passkeys)).await?.into())
    }
}
