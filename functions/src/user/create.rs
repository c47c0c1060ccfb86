//! `POST /identity/users`: creates an account and its first session.

use serde::de::IgnoredAny;
use shared::{
    Error, FieldFault,
    config::{Accounts, Application, Sessions},
    domain::{
        activity::{Action, Recorder},
        captcha::CaptchaResponse,
        email_address::EmailAddress,
        language::Language,
        mail::{Kind, QueuedMail},
        one_time_code::OneTimeCode,
        password::{Hasher, Password},
        rate_limit::Limits,
        session::NewSession,
        user::{NewUser, Uid, User},
    },
    http::{
        Body, Form, OriginCheck, Request, Response, StatusCode, client, json, session_cookie,
        with_cookie,
    },
    platform::clock::Timestamp,
    providers::{breached_passwords::PasswordCheck, captcha::Captcha},
    store::{SignUp, Store, Taken},
    tokens::key_provider::KeyProvider,
};

/// Maximum number of generated uids. A generated uid equals a given one with probability 2^-40.
const UID_ATTEMPTS: usize = 3;

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
    pub passwords: PasswordCheck,
}

struct Input {
    email: String,
    password: Password,
    referral_uid: Option<String>,
    language: Option<String>,
    captcha_response: Option<CaptchaResponse>,
    data: Option<String>,
}

impl Create {
    /// Stores a pending user, a session, and the confirmation code with its mail. Of concurrent
    /// sign-ups with one address, exactly one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        self.origins.check(&request)?;
        let client = client(&request);
        let input = read(request).await?;
        let network = client.network();
        let email = EmailAddress::parse(&input.email).ok();
        let referral_uid = input
            .referral_uid
            .as_deref()
            .and_then(|text| Uid::parse_with_prefix(text, &self.accounts.uid_prefix));
        let (admitted, taken) = tokio::join!(
            self.store.count_request(&network, &self.limits, now),
            self.look_up(email.as_ref(), referral_uid.as_ref()),
        );
        admitted?;
        self.captcha
            .check(input.captcha_response.as_ref(), &client, now)
            .await?;
        let taken = taken?;
        if input.referral_uid.is_some() && !taken.uid {
            return Err(match referral_uid {
                Some(_) => Error::ReferralUnknown,
                None => Error::ReferralInvalid,
            });
        }
        let email = self.check(&input, email, taken).await?;
        let Input {
            password,
            language,
            data,
            ..
        } = input;
        let recorder = Recorder {
            client: &client,
            life: self.accounts.activity_retention,
            now,
        };
        let password_hash = self.hasher.hash(&password).await?;
        let language = Language::choose(
            language.as_deref(),
            data.as_deref(),
            self.application.default_language,
        );
        let code = OneTimeCode::new(self.accounts.code_lifetime, now);
        let new_user = NewUser {
            email,
            password_hash,
            referral_uid,
            data,
        };
        let signing_keys = self.keys.signing_keys(now).await?;
        for _ in 0..UID_ATTEMPTS {
            let user = User::new(new_user.clone(), &self.accounts.uid_prefix, now);
            let new = NewSession::begin(&user, client.clone(), self.sessions.lifetime, now);
            let cookie =
                session_cookie(&self.sessions.cookie_name, &new, &user.email, &signing_keys)
                    .map_err(Error::internal)?;
            let mail = QueuedMail::with_code(
                Kind::Confirmation,
                &user.uid,
                &user.email,
                language,
                &code,
                now,
            );
            let activity = recorder.succeeded(&user.uid, Action::SignUp);
            match self
                .store
                .sign_up(&user, &new.session, &code, &mail, &activity)
                .await?
            {
                SignUp::Done => {
                    return with_cookie(
                        json(StatusCode::CREATED, &user.profile(Some(&new.csrf_token)))?,
                        &cookie,
                    );
                }
                SignUp::EmailTaken => return Err(Error::Fields(vec![FieldFault::EmailTaken])),
                SignUp::UidTaken => {}
            }
        }
        Err(Error::internal(format!(
            "{UID_ATTEMPTS} generated uids in a row were taken"
        )))
    }

    /// Whether the address and the referral uid exist. A malformed one does not exist.
    async fn look_up(
        &self,
        email: Option<&EmailAddress>,
        referral: Option<&Uid>,
    ) -> Result<Taken, Error> {
        let account = email.map(EmailAddress::account_key);
        self.store.is_taken(account.as_ref(), referral).await
    }

    /// Returns the faults of address, password and data together, or the valid address.
    async fn check(
        &self,
        Input { password, data, .. }: &Input,
        email: Option<EmailAddress>,
        taken: Taken,
    ) -> Result<EmailAddress, Error> {
        let password = self.passwords.accept(password, email.as_ref()).await;
        let is_json = |text: &String| serde_json::from_str::<IgnoredAny>(text).is_ok();
        let faults: Vec<FieldFault> = [
            email.is_none().then_some(FieldFault::EmailInvalid),
            taken.email.then_some(FieldFault::EmailTaken),
            password.err().map(FieldFault::from),
            data.as_ref()
                .is_some_and(|text| !is_json(text))
                .then_some(FieldFault::DataInvalid),
        ]
        .into_iter()
        .flatten()
        .collect();
        email
            .filter(|_| faults.is_empty())
            .ok_or(Error::Fields(faults))
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.user");
    let email = parameters.email();
    let password = parameters.password("password");
    let referral_uid = parameters.optional("refid");
    let language = parameters.optional("lang");
    let captcha_response = parameters.captcha_response();
    let data = parameters.optional("data");
    parameters.finish().map(|()| Input {
        email,
        password,
        referral_uid,
        language,
        captcha_response,
        data,
    })
}
