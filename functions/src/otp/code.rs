//! The parameter `code` of the operations of the second factor, and its verification as a counted
//! attempt.

use shared::{
    Error,
    domain::{password::Password, rate_limit::Limits},
    http::{
        Form, Request,
        authentication::{AuthenticatedSession, Authenticator},
    },
    platform::clock::Timestamp,
};

/// Reads the required code. It is a secret and has the type of a password.
pub(super) async fn read(request: Request) -> Result<Password, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.otp");
    let code = parameters.password("code");
    parameters.finish().map(|()| code)
}

/// Counts an attempt, together with those at the user's password, and performs the check. The
/// attempt is refunded if the code is correct, so it does not count and does not clear earlier
/// failures.
///
/// # Errors
/// [`Error::OtpRefused`] if the check returns `None`.
pub(super) async fn checked<T>(
    authenticator: &Authenticator,
    limits: &Limits,
    signed_in: &AuthenticatedSession,
    now: Timestamp,
    check: impl Future<Output = Result<Option<T>, Error>>,
) -> Result<T, Error> {
    let attempt = authenticator
        .store
        .count_attempt(&signed_in.user.email.account_keys(), limits, now)
        .await?;
    let found = check.await;
    if !matches!(found, Ok(None)) {
        authenticator.store.refund(&attempt).await?;
    }
    found?.ok_or(Error::OtpRefused)
}
