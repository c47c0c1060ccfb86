//! `POST /resource/otp/verify`: checks a code of the authenticator, before something that the front end guards by it.

use shared::{
    Error,
    clock::Timestamp,
    gate::Gate,
    http::{Body, Request, Response, StatusCode, empty},
    otp::{SecondFactor, accepted_step},
};

use super::code;

/// What it works with.
pub struct Verify {
    /// Lets in who is signed in.
    pub gate: Gate,
}

impl Verify {
    /// Takes a code of the authenticator, which is used up by it. A recovery code is worth too much for this.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.gate.admit(&request, now).await?;
        let code = code::read(request).await?;
        let user = &signed_in.user;
        let secret = user.otp_secret.as_ref().ok_or(Error::OtpNotEnabled)?;
        let check = async { accepted_step(secret, code.reveal(), user.otp_last_step, now).map_err(Error::internal) };
        let step = code::checked(&self.gate, &signed_in, now, check).await?;
        if !self.gate.store.use_up_code(user, &SecondFactor::TimeStep(step)).await? {
            return Err(Error::OtpRefused);
        }
        Ok(empty(StatusCode::CREATED))
    }
}
