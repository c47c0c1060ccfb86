//! `POST /identity/users`: creates an account and its first session.

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
        rate_limit::{Limits, MailLog},
        session::NewSession,
        user::{NewUser, Uid, User},
    },
    http::{
        Body, DeviceTokens, Form, KnownDevices, OriginCheck, Request, Response, SessionCookies,
        client,
    },
    platform::clock::Timestamp,
    providers::{breached_passwords::PasswordCheck, captcha::Captcha},
    store::{NewAccount, SignUp, SignUpLookup, Signer, Store},
};

/// Maximum number of generated uids. A generated uid equals a given one with probability 2^-40.
const UID_ATTEMPTS: usize = 3;

pub struct Create {
    pub origins: OriginCheck,
    pub store: Store,
    pub keys: Signer,
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
        let tokens = DeviceTokens::of(request.headers(), &self.sessions.cookie_name);
        let input = read(request).await?;
        let network = client.network();
        let email = EmailAddress::parse(&input.email).ok();
        let referral_uid = input
            .referral_uid
            .as_deref()
            .and_then(|text| Uid::parse_with_prefix(text, &self.accounts.uid_prefix));
        let accounts = email.as_ref().map(EmailAddress::account_keys);
        let (admitted, lookup) = tokio::join!(
            self.store.count_request(&network, &self.limits, now),
            self.store
                .look_up_sign_up(accounts.as_ref(), referral_uid.as_ref(), now),
        );
        admitted?;
        self.captcha
            .check(input.captcha_response.as_ref(), &client, now)
            .await?;
        let lookup = lookup?;
        if input.referral_uid.is_some() && !lookup.has_referral {
            return Err(match referral_uid {
                Some(_) => Error::ReferralUnknown,
                None => Error::ReferralInvalid,
            });
        }
        let email = self.check(&input, email, &lookup).await?;
        MailLog::check(lookup.mail_log.as_ref(), &self.limits, now)?;
        let recorder = Recorder {
            client: &client,
            life: self.accounts.activity_retention,
            now,
        };
        let Input {
            password,
            language,
            data,
            ..
        } = input;
        let new_user = NewUser {
            email,
            password_hash: self.hasher.hash(&password).await?,
            referral_uid,
            data,
            language: Language::requested(language.as_deref()),
        };
        let devices = tokens.verify(self.keys.key_provider(), now).await?;
        self.sign_up(new_user, lookup, &devices, recorder).await
    }

    /// Stores the account in place of expired ones of the address, with another uid if the
    /// generated one is taken.
    async fn sign_up(
        &self,
        new_user: NewUser,
        mut lookup: SignUpLookup,
        devices: &KnownDevices,
        recorder: Recorder<'_>,
    ) -> Result<Response<Body>, Error> {
        let now = recorder.now;
        let code = OneTimeCode::new(self.accounts.code_lifetime, now);
        let signing_keys = self.keys.signing_keys(now).await?;
        let mut uids_taken = 0;
        while uids_taken < UID_ATTEMPTS {
            let log_after = lookup
                .mail_log
                .clone()
                .unwrap_or_default()
                .with_request(&self.limits, now)?;
            let user = User::new(new_user.clone(), &self.accounts.uid_prefix, now);
            let client = recorder.client.clone();
            let new = NewSession::begin(&user, client, self.sessions.lifetime, true, now);
            let name = &self.sessions.cookie_name;
            let cookies = SessionCookies::sign(name, &new, &user, devices, false, &signing_keys)?;
            let requested = user.language.map(Language::as_str);
            let mail = QueuedMail::with_code(
                Kind::Confirmation,
                &user.uid,
                &user.email,
                user.mail_language(requested, self.application.default_language),
                &code,
                now,
            );
            let account = NewAccount {
                user: &user,
                replaced: &lookup.expired,
                session: &new.session,
                log_before: lookup.mail_log.as_ref(),
                log_after: &log_after,
                code: &code,
                mail: &mail,
                activity: &recorder.succeeded(&user.uid, Action::SignUp),
            };
            match self.store.sign_up(&account).await? {
                SignUp::Done => return cookies.response(&user, &new),
                SignUp::EmailTaken => return Err(Error::Fields(vec![FieldFault::EmailTaken])),
                SignUp::UidTaken => uids_taken += 1,
                // A concurrent sign-up with another tagged address of the mailbox was counted, or
                // the expired account of the address was confirmed, replaced or changed.
                SignUp::Conflict => {
                    let accounts = user.email.account_keys();
                    lookup = self
                        .store
                        .look_up_sign_up(Some(&accounts), None, now)
                        .await?;
                    if lookup.is_email_taken {
                        return Err(Error::Fields(vec![FieldFault::EmailTaken]));
                    }
                }
            }
        }
        Err(Error::internal(format!(
            "{UID_ATTEMPTS} generated uids in a row were taken"
        )))
    }

    /// Returns the faults of address, password and data together, or the valid address.
    async fn check(
        &self,
        Input { password, data, .. }: &Input,
        email: Option<EmailAddress>,
        lookup: &SignUpLookup,
    ) -> Result<EmailAddress, Error> {
        let password = self.passwords.accept(password, email.as_ref()).await;
        let faults: Vec<FieldFault> = [
            email.is_none().then_some(FieldFault::EmailInvalid),
            lookup.is_email_taken.then_some(FieldFault::EmailTaken),
            password.err().map(FieldFault::from),
            data.as_deref().and_then(FieldFault::of_data),
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
