//! The OTP secrets of users in the actions of `manage-users`: sealed when a user is stored, and
//! opened only for an export that requests them.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::{
    Error,
    domain::user::{OtpField, OtpSecret, StoredOtpSecret, Uid, User},
    platform::{
        clock::Timestamp,
        sealing::{DataKeys, OpenError, Sealed},
    },
};

use super::{
    administration::Users,
    fields::{Failure, Refusal},
};

/// A stored value that does not open, as responses report it.
pub(super) fn unopened(uid: &Uid, field: OtpField, error: &OpenError) -> Value {
    json!({ "uid": uid, "field": field.name(), "reason": error.to_string() })
}

/// Seals a secret for a field of a user.
pub(super) fn seal(
    keys: &DataKeys,
    uid: &Uid,
    field: OtpField,
    secret: &OtpSecret,
) -> Result<Sealed, Error> {
    keys.seal(secret.reveal(), field.place(uid))
        .map_err(Error::internal)
}

/// The value in a field of a user.
pub(super) const fn value_of(user: &mut User, field: OtpField) -> &mut Option<StoredOtpSecret> {
    match field {
        OtpField::Secret => &mut user.credentials.otp_secret,
        OtpField::Pending => &mut user.credentials.otp_pending_secret,
    }
}

impl Users {
    /// Seals the plain OTP secrets of a new user, and checks that the sealed ones open: they do only
    /// for the same uid, and under a key of this stack.
    pub(super) async fn with_sealed_secrets(
        &self,
        mut user: User,
        now: Timestamp,
    ) -> Result<User, Failure> {
        let mut keys: Option<Arc<DataKeys>> = None;
        for field in OtpField::ALL {
            let Some(stored) = value_of(&mut user, field).take() else {
                continue;
            };
            let keys = match &keys {
                Some(keys) => Arc::clone(keys),
                None => Arc::clone(keys.insert(self.otp_secrets.keys(now).await?)),
            };
            let sealed = match stored {
                StoredOtpSecret::Plain(secret) => seal(&keys, &user.uid, field, &secret)?,
                StoredOtpSecret::Sealed(sealed) => {
                    keys.open(&sealed, field.place(&user.uid))
                        .map_err(|error| Refusal::invalid(field.name(), error.to_string()))?;
                    sealed
                }
            };
            *value_of(&mut user, field) = Some(StoredOtpSecret::Sealed(sealed));
        }
        Ok(user)
    }
}
