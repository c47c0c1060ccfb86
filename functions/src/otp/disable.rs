//! `POST /resource/otp/disable`: turns the second factor off.

use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        language::Language,
        mail::{Kind, QueuedMail},
        otp,
        password::{Hasher, Password},
        rate_limit::Limits,
        user::OtpSecret,
    },
    http::{
        Body, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator},
        empty,
    },
    platform::clock::Timestamp,
    store::Outcome,
};

use super::code;

/// What it works with.
pub struct Disable {
    /// Lets in who is signed in.
    pub authenticator: Authenticator,
    /// Rate limits.
    pub limits: Limits,
    /// Checks recovery codes.
    pub hasher: Hasher,
    /// What holds for every account.
    pub accounts: Accounts,
    /// The application, as people see it.
    pub application: Application,
}

impl Disable {
    /// Deletes the secret and the recovery codes for who has a code of either, and queues a notice.
    /// Sessions go on: they were begun with more than is asked for from now on.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let code = code::read(request).await?;
        let secret = signed_in
            .user
            .otp_secret
            .as_ref()
            .ok_or(Error::OtpNotEnabled)?;
        let outcome = self.disable(&signed_in, secret, &code, now).await;
        if let Err(error @ Error::OtpRefused) = &outcome {
            let failed = signed_in
                .recorder(self.accounts.activity_retention, now)
                .failed(&signed_in.user.uid, Action::DisableOtp, error);
            self.authenticator.store.record(&failed).await?;
        }
        outcome.map(|()| empty(StatusCode::OK))
    }

    async fn disable(
        &self,
        signed_in: &AuthenticatedSession,
        secret: &OtpSecret,
        code: &Password,
        now: Timestamp,
    ) -> Result<(), Error> {
        let store = &self.authenticator.store;
        let user = &signed_in.user;
        let check = otp::accepted(user, secret, code.reveal(), &self.hasher, now);
        let factor =
            code::checked(&self.authenticator, &self.limits, signed_in, now, check).await?;
        let language = Language::choose(
            None,
            user.data.as_deref(),
            self.application.default_language,
        );
        let notice = QueuedMail::notice(Kind::OtpDisabled, &user.uid, &user.email, language, now);
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&user.uid, Action::DisableOtp);
        if store.disable_otp(user, &factor, &notice, &activity).await? == Outcome::Written {
            return Ok(());
        }
        // Somebody was faster, with this code or with the same wish.
        let is_on = store
            .find_user(&user.email.key())
            .await?
            .is_some_and(|user| user.otp_secret.is_some());
        Err(if is_on {
            Error::OtpRefused
        } else {
            Error::OtpNotEnabled
        })
    }
}
