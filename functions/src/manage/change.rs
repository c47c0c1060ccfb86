//! `set-state`, `set-role`, `set-label`, `remove-label`, `verify-email`, `end-sessions`,
//! `disable-otp`: `email` or `uid`, and the new values.

use serde_json::Value;
use shared::{
    domain::{
        activity::{Action, Recorder},
        mail::{Kind, QueuedMail},
        session::Client,
        user::{State, User},
    },
    platform::{clock::Timestamp, retry::Backoff},
    store::{Change, Outcome},
};

use super::{
    administration::{UserSelector, Users, profile_response},
    fields::{Failure, Fields, Refusal},
    user_record::role_of,
};

/// A new role, a new level, or both.
pub struct Role {
    role: Option<String>,
    level: Option<u32>,
}

impl Role {
    pub fn of(&self, user: &User) -> Change {
        Change::Role(
            self.role.clone().unwrap_or_else(|| user.role.clone()),
            self.level.unwrap_or(user.level),
        )
    }
}

/// `state`
pub fn state(fields: &mut Fields) -> Result<State, Refusal> {
    match fields.required("state")?.as_str() {
        "pending" => Ok(State::Pending),
        "active" => Ok(State::Active),
        "banned" => Ok(State::Banned),
        "deleted" => Ok(State::Deleted),
        _ => Err(Refusal::invalid(
            "state",
            "must be pending, active, banned or deleted",
        )),
    }
}

/// `role`, `level`, or both
pub fn role(fields: &mut Fields) -> Result<Role, Refusal> {
    let role = role_of(fields)?;
    let level = fields.number("level")?;
    if role.is_none() && level.is_none() {
        return Err(Refusal::of(
            "role",
            "missing",
            "required, unless level is given",
        ));
    }
    Ok(Role { role, level })
}

pub fn disable_otp(user: &User) -> Result<Change, Refusal> {
    if !user.has_otp() {
        return Err(Refusal::without_field(
            "not_enabled",
            "The user has no second factor.",
        ));
    }
    Ok(Change::DisableOtp)
}

/// The client of an operator's activities. An invocation has no client address and no user agent.
fn operator() -> Client {
    Client {
        address: String::new(),
        user_agent: "manage-users".to_owned(),
    }
}

const fn recorded_as(change: &Change) -> Action {
    match change {
        Change::State(_) => Action::SetState,
        Change::Role(..) => Action::SetRole,
        Change::EndSessions => Action::EndSessions,
        Change::DisableOtp => Action::DisableOtp,
        Change::Labels { action, .. } => *action,
    }
}

fn conflict() -> Failure {
    Refusal::without_field(
        "conflict",
        "The user was changed by other requests at every attempt. Try again.",
    )
    .into()
}

impl Users {
    /// Applies a change that may depend on the current user, and records it as an activity of the
    /// user. If the user changes at the same time, the change is computed again.
    pub(super) async fn change(
        &self,
        mut fields: Fields,
        action: &str,
        change: impl Fn(&User) -> Result<Change, Refusal>,
        now: Timestamp,
    ) -> Result<Value, Failure> {
        let selector = UserSelector::read(&mut fields)?;
        fields.finish()?;
        let operator = operator();
        let recorder = Recorder {
            client: &operator,
            life: self.accounts.activity_retention,
            now,
        };
        let mut backoff = Backoff::start();
        loop {
            let user = self.find(&selector, now).await?;
            let change = change(&user)?;
            let activity = recorder.succeeded(&user.uid, recorded_as(&change));
            let notice = self.notice(&user, &change, now);
            if self
                .administration
                .change_user(&user, &change, &activity, notice.as_ref())
                .await?
                == Outcome::Written
            {
                tracing::info!(action, uid = %user.uid, "done");
                return profile_response(&self.find(&selector, now).await?);
            }
            if !backoff.wait().await {
                return Err(conflict());
            }
        }
    }

    /// The mail that reports a change to the user: their second factor is off.
    fn notice(&self, user: &User, change: &Change, now: Timestamp) -> Option<QueuedMail> {
        if *change != Change::DisableOtp {
            return None;
        }
        let language = user.mail_language(None, self.default_language);
        QueuedMail::notice(Kind::OtpDisabled, user, language, now)
    }

    /// Sets the label `email: verified`, which replaces `email: bounced` and
    /// `email: complained`.
    pub(super) async fn verify_email(
        &self,
        mut fields: Fields,
        now: Timestamp,
    ) -> Result<Value, Failure> {
        let selector = UserSelector::read(&mut fields)?;
        fields.finish()?;
        let mut backoff = Backoff::start();
        loop {
            let user = self.find(&selector, now).await?;
            if self
                .administration
                .set_labels(&user, &user.verified(now))
                .await?
                == Outcome::Written
            {
                tracing::info!(action = "verify-email", uid = %user.uid, "done");
                return profile_response(&self.find(&selector, now).await?);
            }
            if !backoff.wait().await {
                return Err(conflict());
            }
        }
    }
}
