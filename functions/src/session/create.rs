//! `POST /identity/sessions`: signs in with a password and, if OTP is on, a code.

use shared::{
    Error,
    config::{Accounts, Application, Sessions},
    domain::{
        activity::{Action, Activity, Recorder},
        captcha::CaptchaResponse,
        device::{Device, DeviceCodes},
        email_address::{AccountKey, AccountKeys},
        mail::QueuedMail,
        otp::RecoveryCodeReport,
        password::{Hasher, Password, Verdict},
        rate_limit::Limits,
        session::{NewSession, Session},
        user::{Uid, User},
    },
    http::{
        Body, DeviceTokens, Form, KnownDevices, OriginCheck, Request, Response, SessionCookies,
        client,
    },
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, SecurityEvent, SignIn},
    },
    providers::captcha::Captcha,
    store::{AcceptedCode, Attempt, Outcome, SignInReport, Signer, Store},
    tokens::otp_secrets::OtpSecrets,
};

pub struct Create {
    pub origins: OriginCheck,
    pub store: Store,
    pub keys: Signer,
    pub otp_secrets: OtpSecrets,
    pub hasher: Hasher,
    pub captcha: Captcha,
    pub limits: Limits,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub application: Application,
    /// Whether sign-ins from new devices are mailed.
    pub sign_in_notice: bool,
}

struct Input {
    email: String,
    password: Password,
    otp_code: Option<String>,
    remember: bool,
    captcha_response: Option<CaptchaResponse>,
}

/// What is counted and read before the password is verified.
struct Lookup {
    /// The devices that the request names.
    devices: KnownDevices,
    attempt: Attempt,
    found: Result<Found, Error>,
}

struct Found {
    user: Option<User>,
    /// The wrong codes of the device of the account, if a second factor was used on it.
    codes: Option<DeviceCodes>,
}

/// An admitted attempt to sign in.
struct SignInAttempt<'a> {
    account: &'a AccountKey,
    devices: &'a KnownDevices,
    attempt: &'a Attempt,
    /// Whether the request presents a valid device token of the account.
    is_known_device: bool,
    /// The wrong codes of the device that decide whether a code may be verified; `None` if those of
    /// the account decide.
    codes: Option<DeviceCodes>,
    recorder: Recorder<'a>,
}

impl Create {
    /// Opens a session. The attempt is counted before the password is verified, and refunded after
    /// every error except a wrong password. Wrong codes have their own count.
    ///
    /// With a device token of the account, the attempt is counted on the device.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        self.origins.check(&request)?;
        let outcome = Box::pin(self.attempt(request, now)).await;
        metrics::sign_in(SignIn::of(&outcome));
        outcome
    }

    async fn attempt(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let tokens = DeviceTokens::of(request.headers(), &self.sessions.cookie_name);
        let input = read(request).await?;
        let accounts = AccountKeys::of(&input.email);
        let network = client.network();
        let (admitted, lookup, ()) = tokio::join!(
            self.store.count_request(&network, &self.limits, now),
            self.look_up(&accounts, tokens, now),
            self.hasher.warm_up(),
        );
        let Lookup {
            devices,
            mut attempt,
            found,
        } = lookup?;
        let Found { user, codes } = match admitted.and(found) {
            Ok(found) => found,
            Err(error) => {
                self.store.refund(&attempt).await?;
                return Err(error);
            }
        };
        let device = devices.of_account(&accounts);
        let is_valid = |device: &&Device| user.as_ref().is_some_and(|user| device.belongs_to(user));
        let valid = device.filter(is_valid);
        if device.is_some() && valid.is_none() && !attempt.is_of_address() {
            // The token is of an earlier user or epoch, so it is treated as absent.
            metrics::security_event(SecurityEvent::DeviceRefused);
            attempt = self
                .store
                .count_attempt(&accounts, None, &self.limits, now)
                .await?;
        }
        let is_by_device = valid.is_some() && !attempt.is_of_address();
        let by_device = codes.filter(|_| is_by_device);
        if by_device
            .as_ref()
            .is_some_and(|codes| !codes.permit_another())
        {
            metrics::security_event(SecurityEvent::DeviceRefused);
        }
        let sign_in = SignInAttempt {
            account: accounts.account(),
            devices: &devices,
            attempt: &attempt,
            is_known_device: is_by_device,
            codes: by_device.filter(DeviceCodes::permit_another),
            recorder: Recorder {
                client: &client,
                life: self.accounts.activity_retention,
                now,
            },
        };
        let outcome = self.sign_in(&input, user, &sign_in).await;
        if let Err(error) = &outcome
            && !matches!(error, Error::InvalidCredentials)
        {
            self.store.refund(&attempt).await?;
        }
        outcome
    }

    /// Counts the attempt and reads the user. The counter is chosen by the signature of the device
    /// token, because the user is read at the same time.
    async fn look_up(
        &self,
        accounts: &AccountKeys,
        tokens: DeviceTokens,
        now: Timestamp,
    ) -> Result<Lookup, Error> {
        let devices = tokens.verify(self.keys.key_provider(), now).await?;
        let device = devices.of_account(accounts);
        let (attempt, user, codes) = tokio::join!(
            self.store
                .count_attempt(accounts, device, &self.limits, now),
            self.store.find_user(accounts, now),
            self.wrong_codes(device.filter(|device| device.second_factor)),
        );
        let found = match (user, codes) {
            (Ok(user), Ok(codes)) => Ok(Found { user, codes }),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        Ok(Lookup {
            attempt: attempt?,
            devices,
            found,
        })
    }

    async fn wrong_codes(&self, device: Option<&Device>) -> Result<Option<DeviceCodes>, Error> {
        match device {
            Some(device) => self.store.device_codes(device).await.map(Some),
            None => Ok(None),
        }
    }

    async fn sign_in(
        &self,
        input: &Input,
        user: Option<User>,
        sign_in: &SignInAttempt<'_>,
    ) -> Result<Response<Body>, Error> {
        let SignInAttempt {
            account,
            devices,
            attempt,
            codes,
            recorder,
            ..
        } = sign_in;
        self.captcha
            .check(
                input.captcha_response.as_ref(),
                recorder.client,
                recorder.now,
            )
            .await?;
        let user = self
            .authenticate(&input.password, account, user, *recorder)
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
            input.remember,
            recorder.now,
        );
        let signing_keys = self.keys.signing_keys(recorder.now).await?;
        let factor = self
            .second_factor(&user, input.otp_code.as_deref(), codes.as_ref(), *recorder)
            .await?;
        let cookies = SessionCookies::sign(
            &self.sessions.cookie_name,
            &new,
            &user,
            devices,
            factor.is_some(),
            &signing_keys,
        )?;
        let notice = self.new_device_notice(&user, sign_in);
        match &factor {
            None => {
                let activity = recorder.succeeded(&user.uid, Action::Login);
                self.open(&user, &new.session, notice.as_ref(), attempt, &activity)
                    .await?;
            }
            Some(factor) => {
                let activity = recorder.succeeded(&user.uid, Action::LoginWithOtp);
                let language = self.application.default_language;
                let report = SignInReport {
                    recovery_code: RecoveryCodeReport::of(factor, &user, recorder, language),
                    new_device: notice,
                };
                let code = AcceptedCode {
                    factor,
                    device: codes.as_ref(),
                };
                let opened = self
                    .store
                    .open_session_with_otp(&user, &new.session, code, &report, attempt, &activity)
                    .await?;
                if opened == Outcome::Conflict {
                    // Another request used the code, or a wrong one was counted.
                    return Err(Error::TooManyAttempts { retry_after: 1 });
                }
            }
        }
        cookies.response(&user, &new)
    }

    /// Stores the session. The notice is dropped if a concurrent sign-in queued one.
    async fn open(
        &self,
        user: &User,
        session: &Session,
        notice: Option<&QueuedMail>,
        attempt: &Attempt,
        activity: &Activity,
    ) -> Result<(), Error> {
        if let Some(notice) = notice {
            let opened = self
                .store
                .open_session_with_notice(user, session, notice, attempt, activity)
                .await?;
            if opened == Outcome::Written {
                return Ok(());
            }
        }
        self.store.open_session(session, attempt, activity).await
    }

    /// The notice of a sign-in without a valid device token, if one is due.
    fn new_device_notice(&self, user: &User, sign_in: &SignInAttempt<'_>) -> Option<QueuedMail> {
        let SignInAttempt { recorder, .. } = sign_in;
        let is_due = self.sign_in_notice
            && !sign_in.is_known_device
            && user.sign_in_notice_is_due(recorder.now);
        let language = user.mail_language(None, self.application.default_language);
        is_due
            .then(|| QueuedMail::sign_in_notice(user, recorder.client, language, recorder.now))
            .flatten()
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
            .verify(
                password,
                user.as_ref().map(|user| &user.credentials.password_hash),
            )
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
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.session");
    let email = parameters.email();
    let password = parameters.password("password");
    let captcha_response = parameters.captcha_response();
    let otp_code = parameters.optional("otp_code");
    let remember = parameters.flag("remember").unwrap_or(true);
    parameters.finish().map(|()| Input {
        email,
        password,
        otp_code,
        remember,
        captcha_response,
    })
}
