//! `POST /resource/otp/verify`: checks a code of the authenticator, before something that the front
//! end guards by it.

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

/// What it works with.
pub struct Verify {
    /// Lets in who is signed in.
    pub authenticator: Authenticator,
    /// Rate limits.
    pub limits: Limits,
}

impl Verify {
    /// Takes a code of the authenticator, which is used up by it. A recovery code is worth too much
    /// for this.
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
            .use_up_code(user, &SecondFactor::TimeStep(step))
            .await?
            == Outcome::Conflict
        {
            return Err(Error::OtpRefused);
        }
        Ok(empty(StatusCode::CREATED))
    }
}
