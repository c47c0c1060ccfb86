//! `POST /resource/otp/verify`: verifies a TOTP code, for a front end that requires one before an
//! action of its own.

use shared::{
    Error,
    config::Accounts,
    domain::{
        activity::Action, otp::SecondFactor, password::Password, session::SessionSecret,
        user::Credentials,
    },
    http::{
        Body, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator, Verified},
        empty,
    },
    platform::clock::Timestamp,
    store::Outcome,
    tokens::otp_secrets::OtpSecrets,
};

use super::code;

pub struct Verify {
    pub authenticator: Authenticator,
    pub otp_secrets: OtpSecrets,
    pub accounts: Accounts,
}

impl Verify {
    /// Verifies a TOTP code and marks it as used. Recovery codes are rejected, because they are too
    /// few to spend on this.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .authenticator
            .authenticate_with_credentials(&request, now)
            .await?;
        let code = code::read(request).await?;
        let outcome = self.verify(&signed_in, &code, now).await;
        if let Err(error @ (Error::OtpRefused | Error::OtpNotEnabled)) = &outcome {
            let failed = signed_in
                .recorder(self.accounts.activity_retention, now)
                .failed(&signed_in.user.uid, Action::VerifyOtp, error);
            self.authenticator.store.record(&failed).await?;
        }
        outcome.map(|()| empty(StatusCode::CREATED))
    }

    async fn verify(
        &self,
        signed_in: &AuthenticatedSession<Credentials>,
        code: &Password,
        now: Timestamp,
    ) -> Result<(), Error> {
        let AuthenticatedSession { user, session, .. } = signed_in;
        if !user.has_otp() {
            return Err(Error::OtpNotEnabled);
        }
        let code = code::parse(code)?;
        let verify = async {
            let step = self.otp_secrets.accepted_step(user, &code, now).await?;
            Ok(Verified::right_or(step, Error::OtpRefused))
        };
        let step = self
            .authenticator
            .verify_in_session(session, SessionSecret::Code, verify)
            .await?;
        let store = &self.authenticator.store;
        match store
            .use_otp_code(user, &SecondFactor::TimeStep(step))
            .await?
        {
            Outcome::Written => Ok(()),
            Outcome::Conflict => Err(Error::OtpRefused),
        }
    }
}
