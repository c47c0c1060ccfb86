//! Replaces the stored OTP secrets of a user by the same secrets under another key.

use super::{Administration, Outcome, items::text};
use crate::{
    Error,
    domain::user::{OtpField, StoredOtpSecret, User},
    platform::sealing::Sealed,
};

/// New values of the OTP secrets of a user; `None` keeps the stored value.
#[derive(Clone, Debug, Default)]
pub struct SealedFields {
    /// Replaces `otp_secret`.
    pub secret: Option<Sealed>,
    /// Replaces `otp_pending_secret`.
    pub pending: Option<Sealed>,
}

impl SealedFields {
    /// Sets the new value of a field.
    pub fn set(&mut self, field: OtpField, sealed: Sealed) {
        match field {
            OtpField::Secret => self.secret = Some(sealed),
            OtpField::Pending => self.pending = Some(sealed),
        }
    }

    const fn get(&self, field: OtpField) -> Option<&Sealed> {
        match field {
            OtpField::Secret => self.secret.as_ref(),
            OtpField::Pending => self.pending.as_ref(),
        }
    }
}

impl Administration {
    /// Replaces the stored OTP secrets of a user. Returns [`Outcome::Conflict`], without writing, if
    /// one of the replaced values changed since the user was read.
    pub async fn reseal_user(&self, user: &User, new: &SealedFields) -> Result<Outcome, Error> {
        let names = |field| match field {
            OtpField::Secret => (":secret", ":secret_before"),
            OtpField::Pending => (":pending", ":pending_before"),
        };
        let mut changes = Vec::new();
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        for field in OtpField::ALL {
            let Some(sealed) = new.get(field) else {
                continue;
            };
            let stored = user.stored_otp_secret(field);
            let before = stored.map_or("", StoredOtpSecret::as_stored);
            let (after_name, before_name) = names(field);
            changes.push(format!("{} = {after_name}", field.name()));
            conditions.push(format!("{} = {before_name}", field.name()));
            values.push((after_name, text(sealed.as_str())));
            values.push((before_name, text(before)));
        }
        if changes.is_empty() {
            return Ok(Outcome::Written);
        }
        let change = format!("SET {}", changes.join(", "));
        let condition = conditions.join(" AND ");
        self.store
            .update_user(user, &change, Some(&condition), values)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            AcceptedCode, Attempt, SignInReport, Store,
            tests::{NOW, at_once, new_user, session_of, sign_up, store, stored, succeeded},
        },
        *,
    };
    use crate::domain::{
        activity::Action,
        otp::{AcceptedStep, SecondFactor},
        user::{Credentials, OtpSecret},
    };

    fn sealed(text: &str) -> Sealed {
        Sealed::stored(format!("v1.1.{text}"))
    }

    fn both(secret: &str, pending: &str) -> SealedFields {
        SealedFields {
            secret: Some(sealed(secret)),
            pending: Some(sealed(pending)),
        }
    }

    /// A user of the previous version, with plain secrets in both fields.
    async fn with_plain_secrets(store: &Store) -> User {
        let plain = |text| OtpSecret::import(text).map(StoredOtpSecret::Plain);
        let new = new_user("jane@example.com");
        let user = User {
            credentials: Credentials {
                otp_secret: plain("GEZDGNBVGY3TQOJQ"),
                otp_pending_secret: plain("MFRGGZDFMZTWQ2LK"),
                ..new.credentials
            },
            ..new
        };
        sign_up(store, &user).await;
        stored(store, &user).await
    }

    async fn reseal(store: &Store, user: &User, new: &SealedFields) -> bool {
        Administration::new(store.clone())
            .reseal_user(user, new)
            .await
            .expect("an answer")
            .is_written()
    }

    /// A sign-in with a code of that time step that seals the plain secret.
    async fn signs_in(store: &Store, user: &User, step: u64, sealed_as: &str) -> bool {
        let factor = SecondFactor::TimeStep(AcceptedStep {
            step,
            sealed_secret: Some(sealed(sealed_as)),
        });
        store
            .open_session_with_otp(
                user,
                &session_of(user),
                AcceptedCode {
                    factor: &factor,
                    device: None,
                },
                &SignInReport::default(),
                &Attempt::default(),
                &succeeded(user, Action::LoginWithOtp, NOW),
            )
            .await
            .expect("an answer")
            .is_written()
    }

    #[tokio::test]
    async fn both_secrets_are_replaced_and_nothing_else_changes() {
        let store = store().await;
        let user = with_plain_secrets(&store).await;
        assert!(reseal(&store, &user, &both("a", "b")).await);
        let expected = User {
            credentials: Credentials {
                otp_secret: Some(StoredOtpSecret::Sealed(sealed("a"))),
                otp_pending_secret: Some(StoredOtpSecret::Sealed(sealed("b"))),
                ..user.credentials.clone()
            },
            ..user.clone()
        };
        let json = |user: &User| serde_json::to_value(user).expect("JSON");
        assert_eq!(json(&stored(&store, &user).await), json(&expected));
    }

    #[tokio::test]
    async fn a_value_that_changed_since_the_user_was_read_is_kept() {
        let store = store().await;
        let user = with_plain_secrets(&store).await;
        let only_pending = SealedFields {
            pending: Some(sealed("b")),
            ..SealedFields::default()
        };
        assert!(reseal(&store, &user, &only_pending).await);
        assert!(!reseal(&store, &user, &both("a", "c")).await);
        let after = stored(&store, &user).await;
        assert_eq!(after.credentials.otp_secret, user.credentials.otp_secret);
        assert_eq!(
            after.credentials.otp_pending_secret,
            Some(StoredOtpSecret::Sealed(sealed("b")))
        );
    }

    #[tokio::test]
    async fn a_sign_in_seals_the_secret_in_the_write_that_uses_the_code() {
        let store = store().await;
        let user = with_plain_secrets(&store).await;
        assert!(signs_in(&store, &user, 100, "a").await);
        let after = stored(&store, &user).await;
        assert_eq!(
            (&after.credentials.otp_secret, after.otp_last_step),
            (&Some(StoredOtpSecret::Sealed(sealed("a"))), Some(100))
        );
        // A used code seals nothing.
        assert!(!signs_in(&store, &after, 100, "b").await);
        assert_eq!(
            stored(&store, &user).await.credentials.otp_secret,
            after.credentials.otp_secret
        );
    }

    #[tokio::test]
    async fn one_of_sixteen_concurrent_writes_seals_a_secret_and_none_is_lost() {
        let store = store().await;
        let user = with_plain_secrets(&store).await;
        let won = at_once(16, |index| {
            let store = store.clone();
            let user = user.clone();
            async move {
                let name = format!("{index:02}");
                let written = if index % 2 == 0 {
                    signs_in(&store, &user, 100 + index as u64, &name).await
                } else {
                    reseal(&store, &user, &both(&name, &name)).await
                };
                written.then_some(name)
            }
        })
        .await;
        let winners: Vec<String> = won.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(
            stored(&store, &user).await.credentials.otp_secret,
            Some(StoredOtpSecret::Sealed(sealed(&winners[0])))
        );
    }
}
