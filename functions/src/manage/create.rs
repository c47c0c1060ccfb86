//! `create`: `email`, and `password` or `password_hash`; optionally `uid`, `state` (default
//! `active`), `role` (default `member`), `level`, `data`, and every other field of an import.
//!
//! An active user is created like one who confirmed the address: `level` is 1 by default, and the
//! user has the label `email: verified`.

use serde_json::Value;
use shared::{
    domain::{
        email_address::EmailAddress,
        password::{Password, PasswordFault},
        user::{CONFIRMED_LEVEL, State},
    },
    platform::clock::Timestamp,
    store::Creation,
};

use super::{
    administration::{Users, profile_response},
    fields::{Failure, Fields, Refusal},
    user_record::UserRecord,
};

impl Users {
    /// Stores a user, without a mail or a session.
    pub(super) async fn create(
        &self,
        mut fields: Fields,
        now: Timestamp,
    ) -> Result<Value, Failure> {
        if let Some(password) = fields.text("password")? {
            if fields.has("password_hash") || fields.has("password_digest") {
                return Err(Refusal::invalid(
                    "password",
                    "cannot be combined with password_hash or password_digest",
                )
                .into());
            }
            let password = Password::new(password);
            let address = fields
                .peek("email")
                .and_then(|email| EmailAddress::parse(email).ok());
            self.passwords
                .accept(&password, address.as_ref())
                .await
                .map_err(fault)?;
            fields.put("password_hash", self.hasher.hash(&password).await?.as_str());
        } else if !fields.has("password_hash") && !fields.has("password_digest") {
            return Err(Refusal::of(
                "password",
                "missing",
                "required, unless password_hash is given",
            )
            .into());
        }
        if !fields.has("state") {
            fields.put("state", "active");
        }
        let has_level = fields.has("level");
        let mut record = UserRecord::read(fields, &self.accounts.uid_prefix, now)?;
        if record.user.state == State::Active {
            record.user = record.user.verified(now);
            if !has_level {
                record.user.level = CONFIRMED_LEVEL;
            }
        }
        let user = self.with_sealed_secrets(record.user, now).await?;
        match self
            .administration
            .create_user(&user, &record.state, now)
            .await?
        {
            Creation::Done => {
                tracing::info!(action = "create", uid = %user.uid, "done");
                profile_response(&user)
            }
            Creation::EmailTaken => {
                Err(Refusal::of("email", "taken", "another user has this e-mail address").into())
            }
            Creation::UidTaken => {
                Err(Refusal::of("uid", "taken", "another user has this uid").into())
            }
        }
    }
}

fn fault(fault: PasswordFault) -> Refusal {
    let message = match fault {
        PasswordFault::Requirements => "must match PasswordRegexp",
        PasswordFault::Weak => "too easy to guess: its entropy is less than PasswordMinEntropy",
        PasswordFault::Breached => "known from a breach of another service; choose another one",
    };
    Refusal::invalid("password", message)
}
