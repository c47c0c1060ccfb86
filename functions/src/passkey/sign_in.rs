//! `POST /identity/sessions/passkey`: signs in with a passkey, which satisfies the second factor.

use shared::{
    Error,
    config::{Accounts, Application, Sessions},
    domain::{
        activity::{Action, Recorder},
        email_address::AccountKey,
        mail::QueuedMail,
        passkey::{Passkey, PasskeyUse},
        rate_limit::Limits,
        session::NewSession,
        user::{Uid, User, Withheld},
        webauthn::{Refusal, RelyingParty},
    },
    http::{
        Body, DeviceTokens, Form, KnownDevices, OriginCheck, Request, Response, SessionCookies,
        client,
    },
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, SignIn as Outcome},
    },
    store::{CeremonyOutcome, Signer, Store},
    tokens::ceremony::Ceremony,
};

use super::check::{PresentedPasskey, TRIES, report_clone};

pub struct SignIn {
    pub origins: OriginCheck,
    pub store: Store,
    pub keys: Signer,
    pub limits: Limits,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub application: Application,
    pub relying_party: RelyingParty,
    /// Whether sign-ins from new devices are mailed.
    pub sign_in_notice: bool,
}

struct Input {
    presented: PresentedPasskey,
    remember: bool,
}

/// What is verified and read before the credential is verified.
struct Lookup {
    ceremony: Ceremony,
    devices: KnownDevices,
    found: Option<(Passkey, User<Withheld>)>,
}

/// An admitted attempt to sign in.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    presented: &'a PresentedPasskey,
    ceremony: &'a Ceremony,
    devices: &'a KnownDevices,
    remember: bool,
    recorder: Recorder<'a>,
}

impl SignIn {
    /// Opens a session. An unknown credential, a wrong signature and the passkey of a closed account
    /// cause the same work and the same response. Wrong attempts do not count for the password.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        self.origins.check(&request)?;
        let outcome = Box::pin(self.attempt(request, now)).await;
        metrics::sign_in(Outcome::of(&outcome));
        outcome
    }

    async fn attempt(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let tokens = DeviceTokens::of(request.headers(), &self.sessions.cookie_name);
        let Input {
            presented,
            remember,
        } = read(request).await?;
        let network = client.network();
        let (admitted, lookup) = tokio::join!(
            self.store.count_request(&network, &self.limits, now),
            self.look_up(&presented, tokens, now),
        );
        admitted?;
        let Lookup {
            ceremony,
            devices,
            mut found,
        } = lookup?;
        let attempt = Attempt {
            presented: &presented,
            ceremony: &ceremony,
            devices: &devices,
            remember,
            recorder: Recorder {
                client: &client,
                life: self.accounts.activity_retention,
                now,
            },
        };
        for _ in 0..TRIES {
            if let Some(response) = self.decide(&attempt, found).await? {
                return Ok(response);
            }
            // This request is processed as if it came after the one that changed the passkey.
            found = presented.find(&self.store, now).await?;
        }
        Err(Error::Unavailable(
            "the passkey was used by other requests at every attempt".into(),
        ))
    }

    /// Verifies the credential with the passkey that was found, and opens a session. Returns `None`,
    /// without writing, if a concurrent request used or removed the passkey.
    async fn decide(
        &self,
        attempt: &Attempt<'_>,
        found: Option<(Passkey, User<Withheld>)>,
    ) -> Result<Option<Response<Body>>, Error> {
        let Attempt {
            presented,
            ceremony,
            recorder,
            ..
        } = *attempt;
        let (passkey, user) = found.unzip();
        let verified = presented.verify(&self.relying_party, ceremony, passkey.as_ref())?;
        match (verified, &user) {
            (Ok(passkey_use), Some(user)) => self.open(user, &passkey_use, attempt).await,
            (Err(Refusal::SignCount), Some(user)) => {
                let action = Action::LoginWithPasskey;
                let language = self.application.default_language;
                report_clone(&self.store, ceremony, user, language, action, recorder).await?;
                Err(Error::InvalidCredentials)
            }
            (_, user) => {
                self.record_refusal(presented, user.as_ref(), recorder)
                    .await?;
                Err(Error::InvalidCredentials)
            }
        }
    }

    async fn look_up(
        &self,
        presented: &PresentedPasskey,
        tokens: DeviceTokens,
        now: Timestamp,
    ) -> Result<Lookup, Error> {
        let keys = self.keys.key_provider();
        // Concurrently, because a cold start has to fetch the secret first.
        let (ceremony, devices, found) = tokio::join!(
            presented.ceremony(keys, now),
            tokens.verify(keys, now),
            presented.find(&self.store, now),
        );
        Ok(Lookup {
            ceremony: ceremony?,
            devices: devices?,
            found: found?,
        })
    }

    /// Records a refusal for the user or, so that it takes as long, a decoy.
    async fn record_refusal(
        &self,
        presented: &PresentedPasskey,
        user: Option<&User<Withheld>>,
        recorder: Recorder<'_>,
    ) -> Result<(), Error> {
        let failed =
            |uid: &Uid| recorder.failed(uid, Action::LoginWithPasskey, &Error::InvalidCredentials);
        match (user, presented.hash()) {
            (Some(user), _) => self.store.record(&failed(&user.uid)).await,
            (None, Some(hash)) => {
                let account = AccountKey::stored(hash.as_str());
                let decoy = failed(&Uid::decoy(&account));
                self.store
                    .record_decoy(&account, &decoy, recorder.now)
                    .await
            }
            (None, None) => Ok(()),
        }
    }

    async fn open(
        &self,
        user: &User<Withheld>,
        passkey_use: &PasskeyUse,
        attempt: &Attempt<'_>,
    ) -> Result<Option<Response<Body>>, Error> {
        let Attempt {
            ceremony,
            devices,
            remember,
            recorder,
            ..
        } = *attempt;
        if let Err(error) = user.may_sign_in() {
            self.store
                .record(&recorder.failed(&user.uid, Action::LoginWithPasskey, &error))
                .await?;
            return Err(error);
        }
        let new = NewSession::begin(
            user,
            recorder.client.clone(),
            self.sessions.lifetime,
            remember,
            recorder.now,
        );
        let signing_keys = self.keys.signing_keys(recorder.now).await?;
        let cookies = SessionCookies::sign(
            &self.sessions.cookie_name,
            &new,
            user,
            devices,
            true,
            &signing_keys,
        )?;
        let activity = recorder.succeeded(&user.uid, Action::LoginWithPasskey);
        let open = async |notice: Option<&QueuedMail>| {
            self.store
                .open_session_with_passkey(
                    user,
                    &new.session,
                    passkey_use,
                    ceremony,
                    notice,
                    &activity,
                )
                .await
        };
        let notice = self.new_device_notice(user, devices, recorder);
        let mut outcome = open(notice.as_ref()).await?;
        if outcome == CeremonyOutcome::Conflict && notice.is_some() {
            // A concurrent sign-in may have queued a notice.
            outcome = open(None).await?;
        }
        match outcome {
            CeremonyOutcome::Written => cookies.response(user, &new).map(Some),
            CeremonyOutcome::Used => Err(Error::TokenUtilized),
            CeremonyOutcome::PasskeyChanged | CeremonyOutcome::Conflict => Ok(None),
        }
    }

    /// The notice of a sign-in without a valid device token, if one is due.
    fn new_device_notice(
        &self,
        user: &User<Withheld>,
        devices: &KnownDevices,
        recorder: Recorder<'_>,
    ) -> Option<QueuedMail> {
        let is_known = devices
            .of_account(&user.email.account_keys())
            .is_some_and(|device| device.belongs_to(user));
        if !self.sign_in_notice || is_known || !user.sign_in_notice_is_due(recorder.now) {
            return None;
        }
        let language = user.mail_language(None, self.application.default_language);
        QueuedMail::sign_in_notice(user, recorder.client, language, recorder.now)
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.session");
    let presented = PresentedPasskey::read(&mut parameters);
    let remember = parameters.flag("remember").unwrap_or(true);
    parameters.finish().map(|()| Input {
        presented,
        remember,
    })
}
