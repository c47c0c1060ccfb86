//! `POST /resource/otp/enable`: enables the second factor.

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
        user::State,
    },
    http::{
        Body, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator, Verified},
        json,
    },
    platform::clock::Timestamp,
    store::{OtpActivation, Outcome},
};

use super::code;

pub struct Enable {
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

impl Enable {
    /// Verifies a code of the pending secret, enables the second factor, and ends every other
    /// session, because they were opened without a second factor. Only this response contains the
    /// recovery codes.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        signed_in.require_recent_authentication(self.reauthentication_time, now)?;
        let code = code::read(request).await?;
        let outcome = self.enable(&signed_in, &code, now).await;
        if let Err(
            error @ (Error::OtpRefused | Error::OtpAlreadyEnabled | Error::OtpEmailNotConfirmed),
        ) = &outcome
        {
            let failed = signed_in
                .recorder(self.accounts.activity_retention, now)
                .failed(&signed_in.user.uid, Action::EnableOtp, error);
            self.authenticator.store.record(&failed).await?;
        }
        json(StatusCode::CREATED, &outcome?)
    }

    async fn enable(
        &self,
        signed_in: &AuthenticatedSession,
        code: &Password,
        now: Timestamp,
    ) -> Result<Output, Error> {
        let store = &self.authenticator.store;
        let AuthenticatedSession { user, session, .. } = signed_in;
        if user.otp_secret.is_some() {
            return Err(Error::OtpAlreadyEnabled);
        }
        if user.state == State::Pending {
            return Err(Error::OtpEmailNotConfirmed);
        }
        let code = code::parse(code)?;
        let verify = async {
            let Some(secret) = &user.otp_pending_secret else {
                return Ok(Verified::Wrong(Error::OtpRefused));
            };
            Ok(match code::verify_totp(secret, &code, None, now)? {
                Verified::Right(step) => Verified::Right((secret, step)),
                Verified::Wrong(error) => Verified::Wrong(error),
            })
        };
        let (secret, step) = self
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
        let notice = QueuedMail::notice(Kind::OtpEnabled, user, language, now);
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&user.uid, Action::EnableOtp);
        let activation = OtpActivation {
            secret,
            step,
            recovery_codes: &hashes,
            notice: notice.as_ref(),
            activity: &activity,
        };
        if store.enable_otp(user, session, &activation).await? == Outcome::Written {
            return Ok(Output {
                recovery_codes: codes.iter().map(RecoveryCode::formatted).collect(),
            });
        }
        // A concurrent request enabled the second factor, or replaced the pending secret.
        let is_on = store
            .find_user_by_uid(&user.uid, now)
            .await?
            .is_some_and(|user| user.otp_secret.is_some());
        Err(if is_on {
            Error::OtpAlreadyEnabled
        } else {
            Error::OtpRefused
        })
    }
}
