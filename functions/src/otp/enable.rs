//! `POST /resource/otp/enable`: enables the second factor.

use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        mail::{Kind, QueuedMail},
        otp::{NewRecoveryCodes, SecondFactorCode, accepted_step},
        password::{Hasher, Password},
        session::SessionSecret,
        user::{Credentials, OtpField, OtpSecret, State, StoredOtpSecret, User, Withheld},
    },
    http::{
        Body, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator, Verified},
        json,
    },
    platform::clock::Timestamp,
    store::{OtpActivation, Outcome},
    tokens::otp_secrets::OtpSecrets,
};

use super::code::{self, RecoveryCodesOutput};

pub struct Enable {
    pub authenticator: Authenticator,
    pub otp_secrets: OtpSecrets,
    pub hasher: Hasher,
    pub accounts: Accounts,
    pub application: Application,
    /// Seconds, see [`AuthenticatedSession::require_recent_authentication`].
    pub reauthentication_time: i64,
}

/// A pending secret, and the time step of a valid code of it.
struct Enrolment<'a> {
    stored: &'a StoredOtpSecret,
    secret: OtpSecret,
    step: u64,
}

impl Enable {
    /// Verifies a code of the pending secret, enables the second factor, and ends every other
    /// session, because they were opened without a second factor. Only this response contains the
    /// recovery codes.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .authenticator
            .authenticate_with_credentials(&request, now)
            .await?;
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
        signed_in: &AuthenticatedSession<Credentials>,
        code: &Password,
        now: Timestamp,
    ) -> Result<RecoveryCodesOutput, Error> {
        let store = &self.authenticator.store;
        let AuthenticatedSession { user, session, .. } = signed_in;
        if user.has_otp() {
            return Err(Error::OtpAlreadyEnabled);
        }
        if user.state == State::Pending {
            return Err(Error::OtpEmailNotConfirmed);
        }
        let code = code::parse(code)?;
        let enrolment = self
            .authenticator
            .verify_in_session(session, SessionSecret::Code, self.verify(user, &code, now))
            .await?;
        let secret = self
            .otp_secrets
            .seal(&user.uid, OtpField::Secret, &enrolment.secret, now)
            .await?;
        let codes = NewRecoveryCodes::generate(&self.hasher).await?;
        let language = user.mail_language(None, self.application.default_language);
        let notice = QueuedMail::notice(Kind::OtpEnabled, user, language, now);
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&user.uid, Action::EnableOtp);
        let activation = OtpActivation {
            pending: enrolment.stored,
            secret: &secret,
            step: enrolment.step,
            recovery_codes: &codes.hashes,
            notice: notice.as_ref(),
            activity: &activity,
        };
        if store.enable_otp(user, session, &activation).await? == Outcome::Written {
            return Ok(RecoveryCodesOutput::from(&codes));
        }
        // A concurrent request enabled the second factor, or replaced the pending secret.
        let is_on = store
            .find_user_by_uid::<Withheld>(&user.uid, now)
            .await?
            .is_some_and(|user| user.has_otp());
        Err(if is_on {
            Error::OtpAlreadyEnabled
        } else {
            Error::OtpRefused
        })
    }

    /// Verifies a TOTP code of the pending secret. Recovery codes are wrong here.
    async fn verify<'a>(
        &self,
        user: &'a User,
        code: &SecondFactorCode,
        now: Timestamp,
    ) -> Result<Verified<Enrolment<'a>>, Error> {
        let (Some(stored), SecondFactorCode::Totp(code)) =
            (&user.credentials.otp_pending_secret, code)
        else {
            return Ok(Verified::Wrong(Error::OtpRefused));
        };
        let secret = self.otp_secrets.open(user, OtpField::Pending, now).await?;
        let step = accepted_step(&secret, code.reveal(), None, now).map_err(Error::internal)?;
        let enrolment = step.map(|step| Enrolment {
            stored,
            secret,
            step,
        });
        Ok(Verified::right_or(enrolment, Error::OtpRefused))
    }
}
