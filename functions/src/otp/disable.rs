//! `POST /resource/otp/disable`: disables the second factor.

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

pub struct Disable {
    pub authenticator: Authenticator,
    pub limits: Limits,
    pub hasher: Hasher,
    pub accounts: Accounts,
    pub application: Application,
}

impl Disable {
    /// Verifies a TOTP code or a recovery code, deletes the secret and all recovery codes, and
    /// sends a notice. Sessions do not end, because they met stricter requirements.
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
        // A concurrent request used the code, or disabled the second factor.
        let is_on = store
            .find_user_by_uid(&user.uid)
            .await?
            .is_some_and(|user| user.otp_secret.is_some());
        Err(if is_on {
            Error::OtpRefused
        } else {
            Error::OtpNotEnabled
        })
    }
}
