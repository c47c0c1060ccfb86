//! The second factor: codes of an authenticator, and the recovery codes that stand in for them.

mod recovery;
mod totp;

pub use recovery::{RecoveryCode, hash_recovery_codes};
pub use totp::accepted_step;

use crate::{
    Error,
    domain::{
        password::{Hasher, PasswordHash},
        user::{OtpSecret, User},
    },
    platform::clock::Timestamp,
};

/// A code of the second factor that is right, and what uses it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondFactor {
    /// The time step whose code was given. It and those before it are used up by it.
    TimeStep(u64),
    /// The recovery code that was given, as it is stored. It alone is used up by it.
    RecoveryCode(PasswordHash),
}

/// What a code uses up, of the authenticator that shares this secret with the user or a recovery
/// code; `None` when it is neither, or was used before. Only what has the form of a recovery code
/// costs a hash.
///
/// The caller must use it up under the condition that nobody did in between.
pub async fn accepted(
    user: &User,
    secret: &OtpSecret,
    code: &str,
    hasher: &Hasher,
    now: Timestamp,
) -> Result<Option<SecondFactor>, Error> {
    if let Some(code) = RecoveryCode::parse(code) {
        return Ok(recovery::find(&user.otp_recovery_codes, &code, hasher)
            .await?
            .map(SecondFactor::RecoveryCode));
    }
    let step = accepted_step(secret, code, user.otp_last_step, now).map_err(Error::internal)?;
    Ok(step.map(SecondFactor::TimeStep))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::password::parse_params;

    /// Somebody with the secret of RFC 6238's test vectors, and a recovery code whose hash nobody
    /// can read.
    fn user() -> User {
        serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": "john@example.com", "password_hash": "x", "state": "active", "role": "member",
            "level": 0, "session_epoch": 0, "created_at": 0, "updated_at": 60,
            "otp_secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "otp_recovery_codes": ["unreadable"],
        }))
        .expect("a user")
    }

    #[tokio::test]
    async fn only_what_has_the_form_of_a_recovery_code_is_hashed() {
        let user = user();
        let hasher =
            Hasher::new(parse_params("m=8192,t=1,p=1").expect("parameters")).expect("a hasher");
        let secret = user.otp_secret.as_ref().expect("a secret");
        let accepted =
            async |code| accepted(&user, secret, code, &hasher, Timestamp::from_seconds(59)).await;
        assert_eq!(
            accepted("287082").await.expect("no hash"),
            Some(SecondFactor::TimeStep(1))
        );
        for wrong in ["287083", "", "nonsense", "2870820000"] {
            assert_eq!(accepted(wrong).await.expect("no hash"), None, "{wrong}");
        }
        assert!(accepted("ABCDE-FGH23").await.is_err());
    }
}
