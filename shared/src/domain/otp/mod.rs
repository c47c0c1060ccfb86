//! The second factor: TOTP codes, and recovery codes to use in their place.

mod failures;
mod recovery;
mod report;
mod totp;
mod typed;

pub use failures::{CodeFailures, CodeKind, password_known_notice_is_due};
pub use recovery::{NewRecoveryCodes, RecoveryCode};
pub use report::RecoveryCodeReport;
pub use totp::accepted_step;
pub use typed::SecondFactorCode;

use crate::{
    Error,
    domain::{
        password::{Hasher, PasswordHash},
        user::{OtpSecret, User},
    },
    platform::{clock::Timestamp, sealing::Sealed},
};

/// The time step of a valid TOTP code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedStep {
    /// The time step. Using it invalidates this and all earlier time steps.
    pub step: u64,
    /// The sealed secret. It replaces a plain one in the write that uses the code.
    pub sealed_secret: Option<Sealed>,
}

impl From<u64> for AcceptedStep {
    fn from(step: u64) -> Self {
        Self {
            step,
            sealed_secret: None,
        }
    }
}

/// A valid code of the second factor, and what to store so that it cannot be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondFactor {
    /// A TOTP code of this time step.
    TimeStep(AcceptedStep),
    /// A recovery code with this stored hash. Using it invalidates only this code.
    RecoveryCode(PasswordHash),
}

impl SecondFactor {
    /// The kind of the code.
    #[must_use]
    pub const fn kind(&self) -> CodeKind {
        match self {
            Self::TimeStep(_) => CodeKind::Totp,
            Self::RecoveryCode(_) => CodeKind::Recovery,
        }
    }
}

/// Verifies a TOTP code or recovery code of the user. Returns `None` if the code is wrong or was
/// used before. Only a recovery code costs a hash computation, and only a TOTP code awaits the secret.
///
/// The caller must store the use of the code, on condition that the code is still unused.
///
/// # Errors
/// [`Error::Internal`] if the secret or the stored hash of a recovery code cannot be parsed, and the
/// errors of `secret`.
pub async fn accepted(
    user: &User,
    secret: impl Future<Output = Result<OtpSecret, Error>>,
    code: &SecondFactorCode,
    hasher: &Hasher,
    now: Timestamp,
) -> Result<Option<SecondFactor>, Error> {
    match code {
        SecondFactorCode::Recovery(code) => {
            let hash = recovery::find(&user.credentials.otp_recovery_codes, code, hasher).await?;
            Ok(hash.map(SecondFactor::RecoveryCode))
        }
        SecondFactorCode::Totp(code) => {
            let step = accepted_step(&secret.await?, code.reveal(), user.otp_last_step, now)
                .map_err(Error::internal)?;
            Ok(step.map(|step| SecondFactor::TimeStep(step.into())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::password::parse_params;

    /// A user with a recovery code whose hash cannot be parsed.
    fn user() -> User {
        serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "john@example.com", "password_hash": "x", "state": "active", "role": "member",
            "level": 0, "session_epoch": 0, "created_at": 0, "updated_at": 60,
            "otp_recovery_codes": ["unreadable"],
        }))
        .expect("a user")
    }

    #[tokio::test]
    async fn only_a_recovery_code_is_hashed() {
        let user = user();
        let hasher =
            Hasher::new(parse_params("m=8192,t=1,p=1").expect("parameters")).expect("a hasher");
        let accepted = async |text| {
            // The secret of RFC 6238's test vectors.
            let secret = OtpSecret::import("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").expect("a secret");
            let code = SecondFactorCode::parse(text).expect("a code");
            accepted(
                &user,
                async { Ok(secret) },
                &code,
                &hasher,
                Timestamp::from_seconds(59),
            )
            .await
        };
        assert_eq!(
            accepted("287082").await.expect("no hash"),
            Some(SecondFactor::TimeStep(1.into()))
        );
        assert_eq!(accepted("287083").await.expect("no hash"), None);
        assert!(accepted("ABCDE-FGH23").await.is_err());
    }
}
