//! The code that is given to the operations of the second factor: read, and checked as one attempt.

use shared::{
    Error,
    domain::{password::Password, rate_limit::Limits},
    http::{
        Form, Request,
        authentication::{AuthenticatedSession, Authenticator},
    },
    platform::clock::Timestamp,
};

/// The code that must be given: a secret, treated as a password is.
pub(super) async fn read(request: Request) -> Result<Password, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.otp");
    let code = parameters.password("code");
    parameters.finish().map(|()| code)
}

/// What a check finds in a code that is right. Each check counts among the attempts at the user's
/// password before it is made; that of a code that is right is taken back, so that it neither
/// counts nor clears what was counted before.
pub(super) async fn checked<T>(
    authenticator: &Authenticator,
    limits: &Limits,
    signed_in: &AuthenticatedSession,
    now: Timestamp,
    check: impl Future<Output = Result<Option<T>, Error>>,
) -> Result<T, Error> {
    let attempt = authenticator
        .store
        .count_attempt(&signed_in.user.email.key(), limits, now)
        .await?;
    let found = check.await;
    if !matches!(found, Ok(None)) {
        authenticator.store.refund(&attempt).await?;
    }
    found?.ok_or(Error::OtpRefused)
}
