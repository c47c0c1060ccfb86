//! `POST /identity/users`: signs up.

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
        user::{NewUser, User, is_uid},
    },
    http::{Body, Form, Request, Response, StatusCode, client, json, session_cookie, with_cookie},
    platform::clock::Timestamp,
    providers::{breached_passwords::PasswordCheck, captcha::Captcha},
    store::{SignUp, Store, Taken},
    tokens::key_provider::KeyProvider,
};

/// Uids that are drawn before a sign-up is given up: one in 2^40 is somebody's for each that is
/// taken.
const DRAWS: usize = 3;

/// What it works with.
pub struct Create {
    /// The tables.
    pub store: Store,
    /// The keys that tokens are signed with.
    pub keys: KeyProvider,
    /// Hashes the password.
    pub hasher: Hasher,
    /// Lets people pass.
    pub captcha: Captcha,
    /// Rate limits.
    pub limits: Limits,
    /// What holds for every account.
    pub accounts: Accounts,
    /// How sessions are kept.
    pub sessions: Sessions,
    /// The application, as people see it.
    pub application: Application,
    /// Which passwords are accepted.
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
    /// Stores a user in state `pending`, with a session, and queues the mail that lets her confirm
    /// the address. Of any number of sign-ups of one address one wins.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let input = read(request).await?;
        let network = client.network();
        let email = EmailAddress::parse(&input.email).ok();
        let (admitted, taken) = tokio::join!(
            self.store.count_request(&network, &self.limits, now),
            self.look_up(email.as_ref(), input.referral_uid.as_deref()),
        );
        admitted?;
        self.captcha
            .check(input.captcha_response.as_ref(), &client, now)
            .await?;
        let email = self.check(&input, email, taken?).await?;
        let Input {
            password,
            referral_uid,
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
        for _ in 0..DRAWS {
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
        Err(Error::internal("no free uid was drawn"))
    }

    /// Whether the address has an account, and whether the referral is somebody's. What is not
    /// well-formed is nobody's.
    async fn look_up(
        &self,
        email: Option<&EmailAddress>,
        referral: Option<&str>,
    ) -> Result<Taken, Error> {
        let key = email.map(EmailAddress::key);
        self.store
            .is_taken(
                key.as_deref(),
                referral.filter(|uid| is_uid(uid, &self.accounts.uid_prefix)),
            )
            .await
    }

    /// What is wrong with the referral comes first and alone; the rest is told together.
    async fn check(
        &self,
        Input {
            password,
            referral_uid,
            data,
            ..
        }: &Input,
        email: Option<EmailAddress>,
        taken: Taken,
    ) -> Result<EmailAddress, Error> {
        if let Some(uid) = referral_uid
            && !taken.uid
        {
            return Err(if is_uid(uid, &self.accounts.uid_prefix) {
                Error::ReferralUnknown
            } else {
                Error::ReferralInvalid
            });
        }
        let password = self.passwords.accept(password).await;
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
