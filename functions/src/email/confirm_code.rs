//! `POST /identity/users/email/confirm_code`: confirms an address with the token of a mail.

use shared::{
    Error, ParameterFault,
    config::{Accounts, Sessions},
    domain::{
        activity::{Action, Recorder},
        one_time_code::OneTimeCode,
        password::{Hasher, Password, Verdict},
        rate_limit::Limits,
        session::{NewSession, Session},
        user::{State, User},
    },
    http::{
        Body, Credential, DeviceTokens, Form, KnownDevices, OriginCheck, Request, Response,
        SessionCookies, StatusCode, client, json,
    },
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, SecurityEvent},
    },
    store::{Attempt, Confirmation, SessionReplacement, Signer, Store, StoredConfirmation},
    tokens::signed_token::{Claims, Purpose},
};

pub struct ConfirmCode {
    pub origins: OriginCheck,
    pub store: Store,
    pub keys: Signer,
    pub hasher: Hasher,
    pub limits: Limits,
    pub accounts: Accounts,
    pub sessions: Sessions,
}

struct Input {
    token: String,
    password: Result<Password, ParameterFault>,
}

/// A user with a valid code, and the live session of that user that the request presents.
struct Found {
    user: User,
    code: OneTimeCode,
    session: Option<Session>,
}

impl ConfirmCode {
    /// Activates the user. The request must come from the person who chose the password: it
    /// presents a session of the account, which a new one replaces, or the password. Otherwise the
    /// owner of the address would confirm an account of which a stranger knows the password. Of
    /// concurrent confirmations with one code, exactly one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        self.origins.check(&request)?;
        let client = client(&request);
        let session_claims = self.session_claims(&request, now).await?;
        let devices = DeviceTokens::of(request.headers(), &self.sessions.cookie_name)
            .verify(self.keys.key_provider(), now)
            .await?;
        let input = read(request).await?;
        let claims = self
            .keys
            .verify(Purpose::Confirmation, &input.token, now)
            .await?
            .ok_or(Error::TokenInvalid)?;
        let found = self.find(&claims, &session_claims, now).await?;
        let attempt = if found.session.is_some() || self.accounts.link_confirms {
            Attempt::default()
        } else {
            self.verify_password(input.password, &found.user, &devices, now)
                .await?
        };
        let recorder = Recorder {
            client: &client,
            life: self.accounts.activity_retention,
            now,
        };
        let outcome = self.confirm(&found, &devices, &attempt, recorder).await;
        if outcome.is_err() {
            // The password was right: another request was faster, or a service failed.
            self.store.refund(&attempt).await?;
        }
        outcome
    }

    /// The claims of the genuine session tokens that the request presents.
    async fn session_claims(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Vec<Claims>, Error> {
        let mut claims = Vec::new();
        if let Some(credential) = Credential::of(request.headers(), &self.sessions.cookie_name) {
            for token in credential.tokens() {
                claims.extend(self.keys.verify(Purpose::Session, token, now).await?);
            }
        }
        Ok(claims)
    }

    async fn find(
        &self,
        claims: &Claims,
        session_claims: &[Claims],
        now: Timestamp,
    ) -> Result<Found, Error> {
        let StoredConfirmation {
            user,
            code,
            sessions,
        } = self
            .store
            .find_confirmation(claims, session_claims, now)
            .await?;
        let code = code
            .filter(|code| code.is_valid(&claims.token_id, now))
            .ok_or(Error::TokenUtilized)?;
        let user = user
            .filter(|user| user.uid == claims.uid && user.state == State::Pending)
            .ok_or(Error::NothingToConfirm)?;
        let session = sessions
            .into_iter()
            .filter(|session| session.is_live(&user, self.sessions.lifetime, now))
            .max_by_key(|session| session.began_at);
        Ok(Found {
            user,
            code,
            session,
        })
    }

    /// Verifies the password as one attempt to sign in.
    async fn verify_password(
        &self,
        password: Result<Password, ParameterFault>,
        user: &User,
        devices: &KnownDevices,
        now: Timestamp,
    ) -> Result<Attempt, Error> {
        let password = password.map_err(|fault| Error::Parameters(vec![fault]))?;
        let accounts = user.email.account_keys();
        let named = devices.of_account(&accounts);
        let device = named.filter(|device| device.belongs_to(user));
        if named.is_some() && device.is_none() {
            metrics::security_event(SecurityEvent::DeviceRefused);
        }
        let attempt = self
            .store
            .count_attempt(&accounts, device, &self.limits, now)
            .await?;
        match self
            .hasher
            .verify(&password, Some(&user.credentials.password_hash))
            .await
        {
            Ok(Verdict::Right | Verdict::RightButOutdated) => Ok(attempt),
            Ok(Verdict::Wrong) => Err(Error::ConfirmationPasswordWrong),
            Err(error) => {
                self.store.refund(&attempt).await?;
                Err(error.into())
            }
        }
    }

    async fn confirm(
        &self,
        Found {
            user,
            code,
            session,
        }: &Found,
        devices: &KnownDevices,
        attempt: &Attempt,
        recorder: Recorder<'_>,
    ) -> Result<Response<Body>, Error> {
        let now = recorder.now;
        let confirmed = user.confirmed(now)?;
        let new = session.as_ref().map(|old| {
            let client = recorder.client.clone();
            NewSession::begin(
                &confirmed,
                client,
                self.sessions.lifetime,
                old.remember,
                now,
            )
        });
        let cookies = match &new {
            Some(new) => Some(self.cookies(new, &confirmed, devices, now).await?),
            None => None,
        };
        let replacement = session.as_ref().zip(new.as_ref());
        let outcome = self
            .store
            .confirm_email(
                user,
                &confirmed,
                code,
                replacement.map(|(old, new)| SessionReplacement {
                    old,
                    new: &new.session,
                }),
                attempt,
                &recorder.succeeded(&user.uid, Action::ConfirmEmail),
            )
            .await?;
        match outcome {
            Confirmation::Done => {}
            Confirmation::CodeUsed => return Err(Error::TokenUtilized),
            Confirmation::NothingToConfirm => return Err(Error::NothingToConfirm),
        }
        match new.as_ref().zip(cookies) {
            Some((new, cookies)) => cookies.response(&confirmed, new),
            None => json(StatusCode::CREATED, &confirmed.profile(None)),
        }
    }

    async fn cookies(
        &self,
        new: &NewSession,
        confirmed: &User,
        devices: &KnownDevices,
        now: Timestamp,
    ) -> Result<SessionCookies, Error> {
        let signing_keys = self.keys.signing_keys(now).await?;
        let name = &self.sessions.cookie_name;
        SessionCookies::sign(name, new, confirmed, devices, false, &signing_keys)
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.user");
    let token = parameters.token("token");
    let password = parameters.conditional_password("password");
    parameters.optional("lang");
    parameters.finish().map(|()| Input { token, password })
}
