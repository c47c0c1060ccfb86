//! `POST /identity/sessions`: signs in with a password and, if OTP is on, a code.

use shared::{
    Error,
    config::{Accounts, Application, Sessions},
    domain::{
        activity::{Action, Recorder},
        captcha::CaptchaResponse,
        email_address::{AccountKey, AccountKeys},
        language::Language,
        mail::{Kind, QueuedMail},
        otp::{
            self, CodeFailures, RecoveryCodeReport, SecondFactor, SecondFactorCode,
            password_known_notice_is_due,
        },
        password::{Hasher, Password, Verdict},
        rate_limit::Limits,
        session::NewSession,
        user::{Uid, User},
    },
    http::{
        Body, Form, OriginCheck, Request, Response, StatusCode, client, json, session_cookie,
        with_cookie,
    },
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, SignIn},
    },
    providers::captcha::Captcha,
    store::{Attempt, Outcome, Store},
    tokens::key_provider::KeyProvider,
};

pub struct Create {
    pub origins: OriginCheck,
    pub store: Store,
    pub keys: KeyProvider,
    pub hasher: Hasher,
    pub captcha: Captcha,
    pub limits: Limits,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub application: Application,
}

struct Input {
    email: String,
    password: Password,
    otp_code: Option<String>,
    captcha_response: Option<CaptchaResponse>,
}

impl Create {
    /// Opens a session. The attempt is counted before the password is verified, and refunded after
    /// every error except a wrong password. Wrong codes have their own count.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        self.origins.check(&request)?;
        let outcome = Box::pin(self.attempt(request, now)).await;
        metrics::sign_in(SignIn::of(&outcome));
        outcome
    }

    async fn attempt(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let input = read(request).await?;
        let recorder = Recorder {
            client: &client,
            life: self.accounts.activity_retention,
            now,
        };
        let accounts = AccountKeys::of(&input.email);
        let network = client.network();
        let (admitted, attempt, user, ()) = tokio::join!(
            self.store.count_request(&network, &self.limits, now),
            self.store.count_attempt(&accounts, &self.limits, now),
            self.store.find_user(&accounts, now),
            self.hasher.warm_up(),
        );
        let attempt = attempt?;
        let outcome = match admitted.and(user) {
            Ok(user) => {
                self.sign_in(&input, accounts.account(), user, &attempt, recorder)
                    .await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome
            && !matches!(error, Error::InvalidCredentials)
        {
            self.store.refund(&attempt).await?;
        }
        outcome
    }

    async fn sign_in(
        &self,
        input: &Input,
        account: &AccountKey,
        user: Option<User>,
        attempt: &Attempt,
        recorder: Recorder<'_>,
    ) -> Result<Response<Body>, Error> {
        self.captcha
            .check(
                input.captcha_response.as_ref(),
                recorder.client,
                recorder.now,
            )
            .await?;
        let user = self
            .authenticate(&input.password, account, user, recorder)
            .await?;
        if let Err(error) = user.may_sign_in() {
            self.store
                .record(&recorder.failed(&user.uid, Action::Login, &error))
                .await?;
            return Err(error);
        }
        let new = NewSession::begin(
            &user,
            recorder.client.clone(),
            self.sessions.lifetime,
            recorder.now,
        );
        let signing_keys = self.keys.signing_keys(recorder.now).await?;
        let cookie = session_cookie(
            &self.sessions.cookie_name,
            &new,
            &user.account_key(),
            &signing_keys,
        )
        .map_err(Error::internal)?;
        match self
            .second_factor(&user, input.otp_code.as_deref(), recorder)
            .await?
        {
            None => {
                let activity = recorder.succeeded(&user.uid, Action::Login);
                self.store
                    .open_session(&new.session, attempt, &activity)
                    .await?;
            }
            Some(factor) => {
                let activity = recorder.succeeded(&user.uid, Action::LoginWithOtp);
                let report = RecoveryCodeReport::of(
                    &factor,
                    &user,
                    &recorder,
                    self.application.default_language,
                );
                let opened = self
                    .store
                    .open_session_with_otp(
                        &user,
                        &new.session,
                        &factor,
                        report.as_ref(),
                        attempt,
                        &activity,
                    )
                    .await?;
                require_uncontended(opened)?;
            }
        }
        with_cookie(
            json(StatusCode::CREATED, &user.profile(Some(&new.csrf_token)))?,
            &cookie,
        )
    }

    /// Verifies the password. An unknown address and a wrong password cause the same work and the
    /// same response.
    async fn authenticate(
        &self,
        password: &Password,
        account: &AccountKey,
        user: Option<User>,
        recorder: Recorder<'_>,
    ) -> Result<User, Error> {
        let verdict = self
            .hasher
            .verify(password, user.as_ref().map(|user| &user.password_hash))
            .await?;
        match user {
            Some(user) if verdict != Verdict::Wrong => {
                if verdict == Verdict::RightButOutdated {
                    self.store
                        .replace_hash(&user, &self.hasher.hash(password).await?)
                        .await?;
                }
                return Ok(user);
            }
            Some(user) => {
                self.store
                    .record(&recorder.failed(&user.uid, Action::Login, &Error::InvalidCredentials))
                    .await?;
            }
            None => {
                self.store
                    .record_decoy(
                        account,
                        &recorder.failed(
                            &Uid::decoy(account),
                            Action::Login,
                            &Error::InvalidCredentials,
                        ),
                        recorder.now,
                    )
                    .await?;
            }
        }
        Err(Error::InvalidCredentials)
    }

    /// Verifies the code of the second factor. Returns `None` if no second factor is enabled.
    async fn second_factor(
        &self,
        user: &User,
        code: Option<&str>,
        recorder: Recorder<'_>,
    ) -> Result<Option<SecondFactor>, Error> {
        let Some(secret) = &user.otp_secret else {
            return Ok(None);
        };
        let code = code.ok_or(Error::OtpMissing)?;
        let rejected = || recorder.failed(&user.uid, Action::LoginWithOtp, &Error::OtpInvalid);
        let Some(code) = SecondFactorCode::parse(code) else {
            self.store.record(&rejected()).await?;
            return Err(Error::OtpInvalid);
        };
        CodeFailures::of(user, code.kind()).check(code.kind(), recorder.now)?;
        let factor = otp::accepted(user, secret, &code, &self.hasher, recorder.now).await?;
        if factor.is_none() {
            let notice = self.password_known_notice(user, recorder.now);
            let counted = self
                .store
                .count_wrong_code(user, code.kind(), &rejected(), notice.as_ref())
                .await?;
            require_uncontended(counted)?;
            return Err(Error::OtpInvalid);
        }
        Ok(factor)
    }

    fn password_known_notice(&self, user: &User, now: Timestamp) -> Option<QueuedMail> {
        if !password_known_notice_is_due(user, now) {
            return None;
        }
        let language = Language::choose(
            None,
            user.data.as_deref(),
            self.application.default_language,
        );
        QueuedMail::notice(Kind::PasswordKnown, user, language, now)
    }
}

/// Requires that the code was stored as used or counted as wrong before the response is sent. If a
/// user sends codes concurrently, this succeeds for one; the others must be sent again.
fn require_uncontended(outcome: Outcome) -> Result<(), Error> {
    match outcome {
        Outcome::Written => Ok(()),
        Outcome::Conflict => Err(Error::TooManyAttempts { retry_after: 1 }),
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.session");
    let email = parameters.email();
    let password = parameters.password("password");
    let captcha_response = parameters.captcha_response();
    let otp_code = parameters.optional("otp_code");
    parameters.finish().map(|()| Input {
        email,
        password,
        otp_code,
        captcha_response,
    })
}
