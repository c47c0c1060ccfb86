//! The OTP secrets of users, which are stored encrypted under the data keys.

use std::sync::Arc;

use crate::{
    Error,
    domain::{
        otp::{self, AcceptedStep, SecondFactor, SecondFactorCode},
        password::Hasher,
        user::{OtpField, OtpSecret, StoredOtpSecret, Uid, User},
    },
    platform::{
        aws::SecretsManager,
        clock::Timestamp,
        sealing::{DataKeys, OpenError, Sealed},
        secrets::{CachedSecret, Stages},
    },
};

/// Maximum age of the data secret, in seconds, when an endpoint seals. Until then it seals under the
/// key that was current before a rotation, so `reseal` is complete only if it begins later.
const SEALING_AGE: i64 = 300;

/// Opens and seals OTP secrets with the data keys in Secrets Manager.
#[derive(Clone)]
pub struct OtpSecrets(CachedSecret<DataKeys>);

impl OtpSecrets {
    /// Starts to fetch the data secret of this name or ARN. Must be called within a tokio runtime. A
    /// fetch that fails is repeated when a key is needed.
    #[must_use]
    pub fn fetch(client: SecretsManager, secret: &str) -> Self {
        let secrets = Self::on_demand(client, secret);
        secrets.0.prefetch();
        secrets
    }

    /// As [`OtpSecrets::fetch`], but fetches the data secret on first use.
    #[must_use]
    pub fn on_demand(client: SecretsManager, secret: &str) -> Self {
        Self(CachedSecret::new(
            client,
            secret,
            Stages::Current,
            |versions| DataKeys::parse(&versions.current.value).map_err(Error::internal),
        ))
    }

    /// The newest data keys; fetches the data secret at most once a minute.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no data secret is cached and Secrets Manager does not respond.
    /// [`Error::Internal`] if the data secret is invalid.
    pub async fn keys(&self, now: Timestamp) -> Result<Arc<DataKeys>, Error> {
        self.0.recent(now, 0).await
    }

    /// The secret in a field of a user. If it does not open, as after a rotation or after the
    /// operator restored keys, the data secret is refreshed. A plain secret needs no key.
    ///
    /// # Errors
    /// [`Error::Internal`], which names the key version, if the secret cannot be opened, and if the
    /// field is empty. Otherwise as [`OtpSecrets::keys`].
    pub async fn open(
        &self,
        user: &User,
        field: OtpField,
        now: Timestamp,
    ) -> Result<OtpSecret, Error> {
        let sealed = match user.stored_otp_secret(field) {
            None => return Err(Error::internal("the user has no OTP secret")),
            Some(StoredOtpSecret::Plain(secret)) => return Ok(secret.clone()),
            Some(StoredOtpSecret::Sealed(sealed)) => sealed,
        };
        let place = field.place(&user.uid);
        let opened = match self.0.cached(now).await?.open(sealed, place) {
            Err(OpenError::UnknownVersion(_) | OpenError::Rejected(_)) => {
                self.keys(now).await?.open(sealed, place)
            }
            opened => opened,
        };
        opened
            .map(OtpSecret::opened)
            .map_err(|error| Error::internal(format!("{} of {}: {error}", field.name(), user.uid)))
    }

    /// Seals a secret for a field of a user, under the current key.
    ///
    /// # Errors
    /// As [`OtpSecrets::keys`].
    pub async fn seal(
        &self,
        uid: &Uid,
        field: OtpField,
        secret: &OtpSecret,
        now: Timestamp,
    ) -> Result<Sealed, Error> {
        let keys = self.0.recent(now, SEALING_AGE).await?;
        keys.seal(secret.reveal(), field.place(uid))
            .map_err(Error::internal)
    }

    /// Verifies a code of either kind, see [`otp::accepted`].
    ///
    /// # Errors
    /// As [`otp::accepted`] and [`OtpSecrets::open`].
    pub async fn accepted(
        &self,
        user: &User,
        code: &SecondFactorCode,
        hasher: &Hasher,
        now: Timestamp,
    ) -> Result<Option<SecondFactor>, Error> {
        let secret = self.open(user, OtpField::Secret, now);
        // Boxed, because the future with both kinds of codes is large.
        let factor = Box::pin(otp::accepted(user, secret, code, hasher, now)).await?;
        Ok(match factor {
            Some(SecondFactor::TimeStep(accepted)) => Some(SecondFactor::TimeStep(
                self.sealing(user, accepted, now).await,
            )),
            other => other,
        })
    }

    /// Verifies a TOTP code. Recovery codes are wrong here.
    ///
    /// # Errors
    /// As [`OtpSecrets::open`].
    pub async fn accepted_step(
        &self,
        user: &User,
        code: &SecondFactorCode,
        now: Timestamp,
    ) -> Result<Option<AcceptedStep>, Error> {
        let SecondFactorCode::Totp(code) = code else {
            return Ok(None);
        };
        let secret = self.open(user, OtpField::Secret, now).await?;
        let step = otp::accepted_step(&secret, code.reveal(), user.otp_last_step, now)
            .map_err(Error::internal)?;
        Ok(match step {
            None => None,
            Some(step) => Some(self.sealing(user, step.into(), now).await),
        })
    }

    /// Adds the sealed secret if the stored one is plain. Uses the cached keys of any age, so that a
    /// sign-in needs no further round trip. Without a key the secret stays plain, because the code
    /// is valid anyway.
    async fn sealing(&self, user: &User, accepted: AcceptedStep, now: Timestamp) -> AcceptedStep {
        let Some(StoredOtpSecret::Plain(secret)) = &user.credentials.otp_secret else {
            return accepted;
        };
        let sealed = self.0.cached(now).await.and_then(|keys| {
            let place = OtpField::Secret.place(&user.uid);
            keys.seal(secret.reveal(), place).map_err(Error::internal)
        });
        if let Err(error) = &sealed {
            tracing::warn!(%error, uid = %user.uid, "an OTP secret stays in plain text");
        }
        AcceptedStep {
            sealed_secret: sealed.ok(),
            ..accepted
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::user::Credentials, platform::secrets_manager::Manager};

    const NOW: Timestamp = Timestamp::from_seconds(59);
    /// The secret of RFC 6238's test vectors, and its code at [`NOW`].
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    const CODE: &str = "287082";
    const FIRST: &str =
        r#"{"current": "1", "1": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
    const SECOND: &str = r#"{"current": "2", "1": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "2": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}"#;

    fn secrets(manager: &Manager) -> OtpSecrets {
        OtpSecrets::on_demand(manager.client(), "DataSecret")
    }

    fn user(otp_secret: StoredOtpSecret) -> User {
        let user: User = serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "john@example.com", "password_hash": "x", "state": "active", "role": "member",
            "level": 0, "session_epoch": 0, "created_at": 0, "updated_at": 60,
        }))
        .expect("a user");
        User {
            credentials: Credentials {
                otp_secret: Some(otp_secret),
                ..user.credentials
            },
            ..user
        }
    }

    fn plain() -> OtpSecret {
        OtpSecret::import(SECRET).expect("a secret")
    }

    async fn sealed(secrets: &OtpSecrets, now: Timestamp) -> Sealed {
        let uid = user(StoredOtpSecret::Plain(plain())).uid;
        secrets
            .seal(&uid, OtpField::Secret, &plain(), now)
            .await
            .expect("a value")
    }

    async fn accepted(secrets: &OtpSecrets, user: &User) -> Result<Option<AcceptedStep>, Error> {
        let code = SecondFactorCode::parse(CODE).expect("a code");
        secrets.accepted_step(user, &code, NOW).await
    }

    #[tokio::test]
    async fn a_code_of_a_plain_secret_is_accepted_with_the_sealed_secret() {
        let secrets = secrets(&Manager::with(&[FIRST]));
        let before = user(StoredOtpSecret::Plain(plain()));
        let step = accepted(&secrets, &before).await.expect("an answer");
        let sealed = step.and_then(|step| step.sealed_secret).expect("a value");
        let after = user(StoredOtpSecret::Sealed(sealed));
        let opened = secrets.open(&after, OtpField::Secret, NOW).await;
        assert_eq!(opened.expect("a secret"), plain());
        assert_eq!(
            accepted(&secrets, &after).await.expect("an answer"),
            Some(1.into()),
            "a sealed secret is not sealed again"
        );
    }

    #[tokio::test]
    async fn without_a_key_a_plain_secret_is_served_and_a_sealed_one_is_unavailable() {
        let manager = Manager::with(&[FIRST]);
        let sealed = user(StoredOtpSecret::Sealed(
            sealed(&secrets(&manager), NOW).await,
        ));
        manager.stop();
        let secrets = secrets(&manager);
        let plain = user(StoredOtpSecret::Plain(plain()));
        assert_eq!(
            accepted(&secrets, &plain).await.expect("an answer"),
            Some(1.into())
        );
        assert!(matches!(
            accepted(&secrets, &sealed).await,
            Err(Error::Unavailable(_))
        ));
    }

    #[tokio::test]
    async fn a_recovery_code_needs_no_key() {
        let manager = Manager::default();
        let code = SecondFactorCode::parse("ABCDE-FGH23").expect("a code");
        let user = user(StoredOtpSecret::Sealed(Sealed::stored("v1.1.".to_owned())));
        let step = secrets(&manager).accepted_step(&user, &code, NOW).await;
        assert_eq!((step.expect("an answer"), manager.calls()), (None, 0));
    }

    #[tokio::test]
    async fn an_unknown_key_version_refreshes_the_data_secret_once_a_minute() {
        let manager = Manager::with(&[SECOND]);
        let value = user(StoredOtpSecret::Sealed(
            sealed(&secrets(&manager), NOW).await,
        ));
        manager.set_versions(&[FIRST]);
        let instance = secrets(&manager);
        let calls = manager.calls();
        let open = async |seconds: i64| {
            let opened = instance.open(&value, OtpField::Secret, NOW + seconds).await;
            (
                opened.map_err(|error| format!("{error:?}")),
                manager.calls() - calls,
            )
        };
        // The first fetch and a refresh, then a refresh a minute.
        for (seconds, requests) in [(0, 2), (59, 2), (60, 3), (119, 3)] {
            let (opened, made) = open(seconds).await;
            let error = opened.expect_err("an unknown version");
            assert!(error.contains("otp_secret of ID0123456789"), "{error}");
            assert!(error.contains(r#"no key version "2""#) || error.contains(r#"\"2\""#));
            assert_eq!(made, requests, "{seconds}");
        }
        manager.set_versions(&[SECOND]);
        assert_eq!(open(120).await, (Ok(plain()), 4));
        // A known version needs no refresh, however old the secret is.
        assert_eq!(open(1_000_000).await, (Ok(plain()), 4));
    }

    #[tokio::test]
    async fn the_current_version_is_refreshed_every_five_minutes_for_sealing() {
        let manager = Manager::with(&[FIRST]);
        let secrets = secrets(&manager);
        let version = async |seconds: i64| {
            sealed(&secrets, NOW + seconds)
                .await
                .key_version()
                .map(str::to_owned)
        };
        assert_eq!(version(0).await.as_deref(), Some("1"));
        manager.set_versions(&[SECOND]);
        assert_eq!(version(299).await.as_deref(), Some("1"));
        assert_eq!(version(300).await.as_deref(), Some("2"));
    }

    #[tokio::test]
    async fn an_invalid_data_secret_is_an_internal_error_without_its_text() {
        let secrets = secrets(&Manager::with(&["kkkkkkkkkkkkkkkk"]));
        let error = secrets.keys(NOW).await.expect_err("an error");
        let text = format!("{error:?} {error}");
        assert!(matches!(error, Error::Internal(_)) && !text.contains("kkk"));
    }
}
