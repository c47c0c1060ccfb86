//! `POST /resource/otp/recovery_codes`: replaces the recovery codes.

use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        mail::{Kind, QueuedMail},
        otp::NewRecoveryCodes,
        password::{Hasher, Password},
        session::SessionSecret,
        user::Credentials,
    },
    http::{
        Body, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator, Verified},
        json,
    },
    platform::clock::Timestamp,
    store::{Outcome, RecoveryCodeReplacement},
    tokens::otp_secrets::OtpSecrets,
};

use super::code::{self, RecoveryCodesOutput};

pub struct RecoveryCodes {
    pub authenticator: Authenticator,
    pub otp_secrets: OtpSecrets,
    pub hasher: Hasher,
    pub accounts: Accounts,
    pub application: Application,
    /// Seconds, see [`AuthenticatedSession::require_recent_authentication`].
    pub reauthentication_time: i64,
}

impl RecoveryCodes {
    /// Generates new recovery codes, with a TOTP code, and sends a notice. The old recovery codes
    /// no longer work.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .authenticator
            .authenticate_with_credentials(&request, now)
            .await?;
        signed_in.require_recent_authentication(self.reauthentication_time, now)?;
        let code = code::read(request).await?;
        let outcome = self.replace(&signed_in, &code, now).await;
        if let Err(error @ (Error::OtpRefused | Error::OtpNotEnabled)) = &outcome {
            let failed = signed_in
                .recorder(self.accounts.activity_retention, now)
                .failed(&signed_in.user.uid, Action::ReplaceRecoveryCodes, error);
            self.authenticator.store.record(&failed).await?;
        }
        json(StatusCode::CREATED, &outcome?)
    }

    async fn replace(
        &self,
        signed_in: &AuthenticatedSession<Credentials>,
        code: &Password,
        now: Timestamp,
    ) -> Result<RecoveryCodesOutput, Error> {
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
        let codes = NewRecoveryCodes::generate(&self.hasher).await?;
        let language = user.mail_language(None, self.application.default_language);
        let notice = QueuedMail::notice(Kind::RecoveryCodesReplaced, user, language, now);
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&user.uid, Action::ReplaceRecoveryCodes);
        let replacement = RecoveryCodeReplacement {
            recovery_codes: &codes.hashes,
            notice: notice.as_ref(),
            activity: &activity,
        };
        let store = &self.authenticator.store;
        match store
            .replace_recovery_codes(user, &step, &replacement)
            .await?
        {
            Outcome::Written => Ok(RecoveryCodesOutput::from(&codes)),
            Outcome::Conflict => Err(Error::OtpRefused),
        }
    }
}
