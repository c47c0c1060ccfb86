//! `POST /resource/sessions/current`: re-authenticates the user, for operations that change how they
//! sign in.

use shared::{
    Error,
    config::{Accounts, Application, Sessions},
    domain::{activity::Action, otp::RecoveryCodeReport, session::NewSession, user},
    http::{
        Body, DeviceTokens, Form, KnownDevices, Request, Response, SessionCookies,
        authentication::{AuthenticatedSession, Authenticator},
    },
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, SecurityEvent},
    },
    store::{Outcome, Signer},
};

use crate::user::credentials::{CredentialCheck, Credentials};

pub struct Reauthenticate {
    pub keys: Signer,
    pub authenticator: Authenticator,
    pub credentials: CredentialCheck,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub application: Application,
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
        let credentials = read(request).await?;
        let outcome = self
            .reauthenticate(&credentials, &signed_in, &devices, now)
            .await;
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
        credentials: &Credentials,
        signed_in: &AuthenticatedSession<user::Credentials>,
        devices: &KnownDevices,
        now: Timestamp,
    ) -> Result<Response<Body>, Error> {
        let AuthenticatedSession {
            session,
            user,
            client,
        } = signed_in;
        let factor = self
            .credentials
            .verify(credentials, &self.authenticator, signed_in, now)
            .await?;
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
}

async fn read(request: Request) -> Result<Credentials, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.session");
    let credentials = Credentials::read_as_at_sign_in(&mut parameters);
    parameters.finish().map(|()| credentials)
}
