//! `POST /resource/otp/recovery_codes`: replaces the recovery codes.

use serde::Serialize;
use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        language::Language,
        mail::{Kind, QueuedMail},
        otp::{RecoveryCode, hash_recovery_codes},
        password::{Hasher, Password},
    },
    http::{
        Body, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator},
        json,
    },
    platform::clock::Timestamp,
    store::{Outcome, RecoveryCodeReplacement},
};

use super::code;

pub struct RecoveryCodes {
    pub authenticator: Authenticator,
    pub hasher: Hasher,
    pub accounts: Accounts,
    pub application: Application,
    /// Seconds, see [`AuthenticatedSession::require_recent_authentication`].
    pub reauthentication_time: i64,
}

#[derive(Serialize)]
struct Output {
    recovery_codes: Vec<String>,
}

impl RecoveryCodes {
    /// Generates new recovery codes, with a TOTP code, and sends a notice. The old recovery codes
    /// no longer work.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
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
        signed_in: &AuthenticatedSession,
        code: &Password,
        now: Timestamp,
    ) -> Result<Output, Error> {
        let AuthenticatedSession { user, session, .. } = signed_in;
        let secret = user.otp_secret.as_ref().ok_or(Error::OtpNotEnabled)?;
        let code = code::parse(code)?;
        let verify = async { code::verify_totp(secret, &code, user.otp_last_step, now) };
        let step = self
            .authenticator
            .verify_in_session(session, verify)
            .await?;
        let codes: Vec<RecoveryCode> = (0..RecoveryCode::COUNT)
            .map(|_| RecoveryCode::generate())
            .collect();
        let hashes = hash_recovery_codes(&codes, &self.hasher).await?;
        let language = Language::choose(
            None,
            user.data.as_deref(),
            self.application.default_language,
        );
        let notice = QueuedMail::notice(Kind::RecoveryCodesReplaced, user, language, now);
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&user.uid, Action::ReplaceRecoveryCodes);
        let replacement = RecoveryCodeReplacement {
            recovery_codes: &hashes,
            notice: notice.as_ref(),
            activity: &activity,
        };
        let store = &self.authenticator.store;
        match store
            .replace_recovery_codes(user, step, &replacement)
            .await?
        {
            Outcome::Written => Ok(Output {
                recovery_codes: codes.iter().map(RecoveryCode::formatted).collect(),
            }),
            Outcome::Conflict => Err(Error::OtpRefused),
        }
    }
}
