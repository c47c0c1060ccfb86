//! `POST /resource/otp/disable`: disables the second factor.

use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        mail::{Kind, QueuedMail},
        otp::RecoveryCodeReport,
        password::{Hasher, Password},
        session::SessionSecret,
        user::{Credentials, Withheld},
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

pub struct Disable {
    pub authenticator: Authenticator,
    pub otp_secrets: OtpSecrets,
    pub hasher: Hasher,
    pub accounts: Accounts,
    pub application: Application,
    /// Seconds, see [`AuthenticatedSession::require_recent_authentication`].
    pub reauthentication_time: i64,
}

impl Disable {
    /// Deletes the secret and the recovery codes, with a code of either kind, ends every other
    /// session and sends a notice.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .authenticator
            .authenticate_with_credentials(&request, now)
            .await?;
        signed_in.require_recent_authentication(self.reauthentication_time, now)?;
        let code = code::read(request).await?;
        let outcome = self.disable(&signed_in, &code, now).await;
        if let Err(error @ (Error::OtpRefused | Error::OtpNotEnabled)) = &outcome {
            let failed = signed_in
                .recorder(self.accounts.activity_retention, now)
                .failed(&signed_in.user.uid, Action::DisableOtp, error);
            self.authenticator.store.record(&failed).await?;
        }
        outcome.map(|()| empty(StatusCode::OK))
    }

    async fn disable(
        &self,
        signed_in: &AuthenticatedSession<Credentials>,
        code: &Password,
        now: Timestamp,
    ) -> Result<(), Error> {
        let store = &self.authenticator.store;
        let AuthenticatedSession { user, session, .. } = signed_in;
        if !user.has_otp() {
            return Err(Error::OtpNotEnabled);
        }
        let code = code::parse(code)?;
        let verify = async {
            let factor = self
                .otp_secrets
                .accepted(user, &code, &self.hasher, now)
                .await?;
            Ok(Verified::right_or(factor, Error::OtpRefused))
        };
        let factor = self
            .authenticator
            .verify_in_session(session, SessionSecret::Code, verify)
            .await?;
        let language = user.mail_language(None, self.application.default_language);
        let notice = QueuedMail::notice(Kind::OtpDisabled, user, language, now);
        let recorder = signed_in.recorder(self.accounts.activity_retention, now);
        let activity = recorder.succeeded(&user.uid, Action::DisableOtp);
        let report =
            RecoveryCodeReport::of(&factor, user, &recorder, self.application.default_language);
        let disabled = store
            .disable_otp(
                user,
                session,
                &factor,
                report.as_ref(),
                notice.as_ref(),
                &activity,
            )
            .await?;
        if disabled == Outcome::Written {
            return Ok(());
        }
        // A concurrent request used the code, or disabled the second factor.
        let is_on = store
            .find_user_by_uid::<Withheld>(&user.uid, now)
            .await?
            .is_some_and(|user| user.has_otp());
        Err(if is_on {
            Error::OtpRefused
        } else {
            Error::OtpNotEnabled
        })
    }
}
