//! `POST /resource/otp/verify`: verifies a TOTP code, for an action of the front end that requires
//! one.

use shared::{
    Error,
    domain::{
        otp::{SecondFactor, accepted_step},
        rate_limit::Limits,
    },
    http::{Body, Request, Response, StatusCode, authentication::Authenticator, empty},
    platform::clock::Timestamp,
    store::Outcome,
};

use super::code;

pub struct Verify {
    pub authenticator: Authenticator,
    pub limits: Limits,
}

impl Verify {
    /// Verifies a TOTP code and marks it as used. Recovery codes are not accepted, because they are
    /// few and work once.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let code = code::read(request).await?;
        let user = &signed_in.user;
        let secret = user.otp_secret.as_ref().ok_or(Error::OtpNotEnabled)?;
        let check = async {
            accepted_step(secret, code.reveal(), user.otp_last_step, now).map_err(Error::internal)
        };
        let step = code::checked(&self.authenticator, &self.limits, &signed_in, now, check).await?;
        if self
            .authenticator
            .store
            .use_otp_code(user, &SecondFactor::TimeStep(step))
            .await?
            == Outcome::Conflict
        {
            return Err(Error::OtpRefused);
        }
        Ok(empty(StatusCode::CREATED))
    }
}
