//! `POST /resource/sessions/current`: re-authenticates the user, for operations that change how they
//! sign in.

use shared::{
    Error,
    config::{Accounts, Application, Sessions},
    domain::{
        activity::{Action, Activity},
        otp::RecoveryCodeReport,
        passkey::PasskeyUse,
        session::{NewSession, SessionSecret},
        user::{self, Withheld},
        webauthn::{Refusal, RelyingParty},
    },
    http::{
        Body, DeviceTokens, Form, KnownDevices, Request, Response, SessionCookies,
        authentication::{AuthenticatedSession, Authenticator, Verified},
    },
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, SecurityEvent},
    },
    store::{CeremonyOutcome, Outcome, Signer},
    tokens::ceremony::Ceremony,
};

use crate::{
    passkey::check::{PresentedPasskey, TRIES, report_clone},
    user::credentials::{CredentialCheck, Credentials},
};

pub struct Reauthenticate {
    pub keys: Signer,
    pub authenticator: Authenticator,
    pub credentials: CredentialCheck,
    pub relying_party: RelyingParty,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub application: Application,
}

/// What the user proves their identity with.
enum Input {
    Password(Credentials),
    Passkey(PresentedPasskey),
}

impl Reauthenticate {
    /// Verifies the password, and a code of the second factor if it is enabled, or a passkey. A new
    /// session replaces this one, so a stolen copy of the old token ends.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .authenticator
            .authenticate_with_credentials(&request, now)
            .await?;
        let devices = DeviceTokens::of(request.headers(), &self.sessions.cookie_name)
            .verify(self.keys.key_provider(), now)
            .await?;
        let outcome = match read(request).await? {
            Input::Password(credentials) => {
                let outcome = self
                    .by_password(&credentials, &signed_in, &devices, now)
                    .await;
                if let Err(error @ (Error::InvalidCredentials | Error::OtpInvalid)) = &outcome {
                    let failed = self.failed(&signed_in, error, now);
                    self.authenticator.store.record(&failed).await?;
                }
                outcome
            }
            Input::Passkey(presented) => {
                Box::pin(self.by_passkey(&presented, &signed_in, &devices, now)).await
            }
        };
        if let Err(Error::InvalidCredentials | Error::OtpInvalid) = &outcome {
            metrics::security_event(SecurityEvent::StepUpFailed);
        }
        outcome
    }

    fn failed(
        &self,
        signed_in: &AuthenticatedSession<user::Credentials>,
        error: &Error,
        now: Timestamp,
    ) -> Activity {
        signed_in
            .recorder(self.accounts.activity_retention, now)
            .failed(&signed_in.user.uid, Action::Reauthenticate, error)
    }

    async fn by_password(
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

    /// A refused passkey is recorded, and counts on the session. One of another account is refused
    /// like an unknown one.
    async fn by_passkey(
        &self,
        presented: &PresentedPasskey,
        signed_in: &AuthenticatedSession<user::Credentials>,
        devices: &KnownDevices,
        now: Timestamp,
    ) -> Result<Response<Body>, Error> {
        let AuthenticatedSession {
            session,
            user,
            client,
        } = signed_in;
        let ceremony = presented.ceremony(self.keys.key_provider(), now).await?;
        let renewed = NewSession::renew(session, client.clone(), now);
        let signing_keys = self.keys.signing_keys(now).await?;
        let cookies = SessionCookies::sign(
            &self.sessions.cookie_name,
            &renewed,
            user,
            devices,
            true,
            &signing_keys,
        )?;
        let recorder = signed_in.recorder(self.accounts.activity_retention, now);
        let activity = recorder.succeeded(&user.uid, Action::Reauthenticate);
        for _ in 0..TRIES {
            let verdict = Box::pin(self.verdict(presented, &ceremony, signed_in, now));
            let passkey_use = self
                .authenticator
                .verify_in_session(session, SessionSecret::Passkey, verdict)
                .await?;
            let replaced = self
                .authenticator
                .store
                .replace_session_with_passkey(
                    session,
                    &renewed.session,
                    &passkey_use,
                    &ceremony,
                    &activity,
                )
                .await?;
            match replaced {
                CeremonyOutcome::Written => return cookies.response(user, &renewed),
                CeremonyOutcome::Used => return Err(Error::TokenUtilized),
                // A concurrent request replaced the session.
                CeremonyOutcome::Conflict => return Err(Error::NotSignedIn),
                // This request is processed as if it came after the one that changed the passkey.
                CeremonyOutcome::PasskeyChanged => {}
            }
        }
        Err(Error::Unavailable(
            "the passkey was used by other requests at every attempt".into(),
        ))
    }

    async fn verdict(
        &self,
        presented: &PresentedPasskey,
        ceremony: &Ceremony,
        signed_in: &AuthenticatedSession<user::Credentials>,
        now: Timestamp,
    ) -> Result<Verified<PasskeyUse>, Error> {
        let user = &signed_in.user;
        let store = &self.authenticator.store;
        let found = presented.find::<Withheld>(store, now).await?;
        let passkey = found
            .map(|(passkey, _)| passkey)
            .filter(|passkey| passkey.uid == user.uid);
        let refusal = match presented.verify(&self.relying_party, ceremony, passkey.as_ref())? {
            Ok(passkey_use) => return Ok(Verified::Right(passkey_use)),
            Err(refusal) => refusal,
        };
        if refusal == Refusal::SignCount {
            let recorder = signed_in.recorder(self.accounts.activity_retention, now);
            let language = self.application.default_language;
            let action = Action::Reauthenticate;
            report_clone(store, ceremony, user, language, action, recorder).await?;
        } else {
            let failed = self.failed(signed_in, &Error::InvalidCredentials, now);
            store.record(&failed).await?;
        }
        Ok(Verified::Wrong(Error::InvalidCredentials))
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.session");
    let input = if parameters.has_credential() {
        Input::Passkey(PresentedPasskey::read(&mut parameters))
    } else {
        Input::Password(Credentials::read_as_at_sign_in(&mut parameters))
    };
    parameters.finish().map(|()| input)
}
