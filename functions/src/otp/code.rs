//! The parameter `code` of the operations on the second factor.

use shared::{
    Error,
    domain::{
        otp::{SecondFactorCode, accepted_step},
        password::Password,
        user::OtpSecret,
    },
    http::{Form, Request, authentication::Verified},
    platform::clock::Timestamp,
};

/// Reads the code, which is a secret like a password.
pub(super) async fn read(request: Request) -> Result<Password, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.otp");
    let code = parameters.password("code");
    parameters.finish().map(|()| code)
}

/// Parses a code. Text without the form of a code is rejected without being counted.
pub(super) fn parse(code: &Password) -> Result<SecondFactorCode, Error> {
    SecondFactorCode::parse(code.reveal()).ok_or(Error::OtpRefused)
}

/// Verifies a TOTP code, and returns its time step. Recovery codes are wrong here.
pub(super) fn verify_totp(
    secret: &OtpSecret,
    code: &SecondFactorCode,
    last_step: Option<u64>,
    now: Timestamp,
) -> Result<Verified<u64>, Error> {
    let step = match code {
        SecondFactorCode::Totp(code) => {
            accepted_step(secret, code.reveal(), last_step, now).map_err(Error::internal)?
        }
        SecondFactorCode::Recovery(_) => None,
    };
    Ok(Verified::right_or(step, Error::OtpRefused))
}
