//! `POST /resource/sessions/current`: re-authenticates the user, for operations that change how they
//! sign in.

use shared::{
    Error,
    config::{Accounts, Application, Sessions},
    domain::{
        activity::Action,
        otp::{RecoveryCodeReport, SecondFactor, SecondFactorCode},
        password::{Hasher, Password, Verdict},
        session::{NewSession, SessionSecret},
        user::{Credentials, User},
    },
    http::{
        Body, DeviceTokens, Form, KnownDevices, Request, Response, SessionCookies,
        authentication::{AuthenticatedSession, Authenticator, Verified},
    },
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, SecurityEvent},
    },
    store::{Outcome, Signer},
    tokens::otp_secrets::OtpSecrets,
};

pub struct Reauthenticate {
    pub keys: Signer,
    pub authenticator: Authenticator,
    pub otp_secrets: OtpSecrets,
    pub hasher: Hasher,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub application: Application,
}

struct Input {
    password: Password,
    otp_code: Option<String>,
}

impl Reauthenticate {
    /// Verifies the password, and a code of the second factor if it is enabled. A new session
    /// replaces this one, so a stolen copy of the old token ends.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .authenticator
            .authenticate_with_credentials(&request, now)
            .await?;
        let devices = DeviceTokens::of(request.headers(), &self.sessions.cookie_name)
            .verify(self.keys.key_provider(), now)
            .await?;
        let input = read(request).await?;
        let outcome = self.reauthenticate(&input, &signed_in, &devices, now).await;
        if let Err(error @ (Error::InvalidCredentials | Error::OtpInvalid)) = &outcome {
            metrics::security_event(SecurityEvent::StepUpFailed);
            let failed = signed_in
                .recorder(self.accounts.activity_retention, now)
                .failed(&signed_in.user.uid, Action::Reauthenticate, error);
            self.authenticator.store.record(&failed).await?;
        }
        outcome
    }

    async fn reauthenticate(
        &self,
        input: &Input,
        signed_in: &AuthenticatedSession<Credentials>,
        devices: &KnownDevices,
        now: Timestamp,
    ) -> Result<Response<Body>, Error> {
        let AuthenticatedSession {
            session,
            user,
            client,
        } = signed_in;
        self.authenticator
            .verify_in_session(
                session,
                SessionSecret::Password,
                self.verify_password(&input.password, user),
            )
            .await?;
        let factor = if user.has_otp() {
            let code = input.otp_code.as_deref().ok_or(Error::OtpMissing)?;
            let code = SecondFactorCode::parse(code).ok_or(Error::OtpInvalid)?;
            let verify = self.verify_code(&code, user, now);
            let factor = self
                .authenticator
                .verify_in_session(session, SessionSecret::Code, verify)
                .await?;
            Some(factor)
        } else {
            None
        };
        let renewed = NewSession::renew(session, client.clone(), now);
        let signing_keys = self.keys.signing_keys(now).await?;
        let cookies = SessionCookies::sign(
            &self.sessions.cookie_name,
            &renewed,
            user,
            devices,
            factor.is_some(),
            &signing_keys,
        )?;
        let recorder = signed_in.recorder(self.accounts.activity_retention, now);
        let report = factor.as_ref().and_then(|factor| {
            RecoveryCodeReport::of(factor, user, &recorder, self.application.default_language)
        });
        let replaced = self
            .authenticator
            .store
            .replace_session(
                user,
                session,
                &renewed.session,
                factor.as_ref(),
                report.as_ref(),
                &recorder.succeeded(&user.uid, Action::Reauthenticate),
            )
            .await?;
        match replaced {
            Outcome::Written => cookies.response(user, &renewed),
            // A concurrent request used the code or replaced the session.
            Outcome::Conflict if factor.is_some() => Err(Error::OtpInvalid),
            Outcome::Conflict => Err(Error::NotSignedIn),
        }
    }

    async fn verify_password(
        &self,
        password: &Password,
        user: &User,
    ) -> Result<Verified<()>, Error> {
        let hash = Some(&user.credentials.password_hash);
        Ok(match self.hasher.verify(password, hash).await? {
            Verdict::Wrong => Verified::Wrong(Error::InvalidCredentials),
            Verdict::Right | Verdict::RightButOutdated => Verified::Right(()),
        })
    }

    async fn verify_code(
        &self,
        code: &SecondFactorCode,
        user: &User,
        now: Timestamp,
    ) -> Result<Verified<SecondFactor>, Error> {
        let factor = self
            .otp_secrets
            .accepted(user, code, &self.hasher, now)
            .await?;
        Ok(Verified::right_or(factor, Error::OtpInvalid))
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.session");
    let password = parameters.password("password");
    let otp_code = parameters.optional("otp_code");
    parameters.finish().map(|()| Input { password, otp_code })
}
