//! The second factor: codes of an authenticator, and the recovery codes that stand in for them.

mod recovery;
mod totp;

pub use recovery::{RecoveryCode, hash_recovery_codes};
pub use totp::accepted_step;

use crate::{
    Error,
    clock::Timestamp,
    password::{Hasher, PasswordHash},
    user::{OtpSecret, User},
};

/// A code of the second factor that is right, and what uses it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondFactor {
    /// The time step whose code was given. It and those before it are used up by it.
    TimeStep(u64),
    /// The recovery code that was given, as it is stored. It alone is used up by it.
    RecoveryCode(PasswordHash),
}

/// What a code uses up, of the authenticator that shares this secret with the user or a recovery code; `None` when it is neither, or
/// was used before. Only what has the form of a recovery code costs a hash.
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
        return Ok(recovery::find(&user.otp_recovery_codes, &code, hasher).await?.map(SecondFactor::RecoveryCode));
    }
    let step = accepted_step(secret, code, user.otp_last_step, now).map_err(Error::internal)?;
    Ok(step.map(SecondFactor::TimeStep))
}
