//! `create`: `email`, and `password` or `password_hash`; `uid`, `state` (active), `role` (member),
//! `level` (0), `data` and what else a line of an import may hold.

use serde_json::Value;
use shared::{
    domain::password::{Password, PasswordFault},
    platform::clock::Timestamp,
    store::SignUp,
};

use super::{
    administration::{Users, told},
    fields::{Failure, Fields, Refusal},
    user_record::UserRecord,
};

impl Users {
    /// Stores a user. No mail is sent, and no session opened.
    pub(super) async fn create(
        &self,
        mut fields: Fields,
        now: Timestamp,
    ) -> Result<Value, Failure> {
        if let Some(password) = fields.text("password")? {
            if fields.has("password_hash") || fields.has("password_digest") {
                return Err(Refusal::invalid("password", "not together with a hash").into());
            }
            let password = Password::new(password);
            self.passwords.accept(&password).await.map_err(fault)?;
            fields.put("password_hash", self.hasher.hash(&password).await?.as_str());
        } else if !fields.has("password_hash") && !fields.has("password_digest") {
            return Err(Refusal::of("password", "missing", "required, or password_hash").into());
        }
        if !fields.has("state") {
            fields.put("state", "active");
        }
        let line = UserRecord::read(fields, &self.accounts.uid_prefix, now)?;
        match self
            .administration
            .create_user(&line.user, &line.state)
            .await?
        {
            SignUp::Done => {
                tracing::info!(action = "create", uid = line.user.uid, "done");
                told(&line.user)
            }
            SignUp::EmailTaken => {
                Err(Refusal::of("email", "taken", "somebody has this address").into())
            }
            SignUp::UidTaken => Err(Refusal::of("uid", "taken", "somebody has this uid").into()),
        }
    }
}

fn fault(fault: PasswordFault) -> Refusal {
    let message = match fault {
        PasswordFault::Requirements => "does not match the rule (PasswordRegexp)",
        PasswordFault::Weak => "too easy to guess (PasswordMinEntropy)",
        PasswordFault::Breached => "known from a breach of another service",
    };
    Refusal::invalid("password", message)
}
