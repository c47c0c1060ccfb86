//! `POST /identity/users/password/confirm_code`: sets a new password with the token of a mail.

use shared::{
    Error, FieldFault,
    config::{Accounts, Application, Sessions},
    domain::{
        activity::{Action, Recorder},
        device::Device,
        mail::{Kind, QueuedMail},
        one_time_code::{self, OneTimeCode},
        passkey::Passkey,
        password::{Hasher, Password, PasswordHash},
        user::User,
    },
    http::{
        Body, DeviceTokens, Form, KnownDevices, OriginCheck, Request, Response, StatusCode, client,
        empty, with_cookie,
    },
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, PasswordReset},
    },
    providers::breached_passwords::PasswordCheck,
    store::{PasswordChange, Store},
    tokens::{key_provider::KeyProvider, signed_token::Purpose},
};

/// Maximum number of attempts if concurrent requests change the same user.
const ATTEMPTS: usize = 3;

pub struct ConfirmCode {
    pub origins: OriginCheck,
    pub store: Store,
    pub keys: KeyProvider,
    pub hasher: Hasher,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub application: Application,
    pub passwords: PasswordCheck,
}

struct Input {
    token: String,
    password: Password,
    language: Option<String>,
}

impl ConfirmCode {
    /// Changes the password, ends every session, deletes the code and sends a notice. Of concurrent
    /// requests with one code, exactly one succeeds. A rejected password leaves the code usable.
    /// Reopens an account that its owner closed. Sets the device cookie, so that failures of
    /// strangers do not delay the first sign-in.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        self.origins.check(&request)?;
        let client = client(&request);
        let devices = DeviceTokens::of(request.headers(), &self.sessions.cookie_name)
            .verify(&self.keys, now)
            .await?;
        let Input {
            token,
            password,
            language,
        } = read(request).await?;
        let recorder = Recorder {
            client: &client,
            life: self.accounts.activity_retention,
            now,
        };
        let (mut user, mut code) = self.find(&token, now).await?;
        let accepted = self.passwords.accept(&password, Some(&user.email)).await;
        if let Err(fault) = accepted {
            let error = Error::Fields(vec![FieldFault::from(fault)]);
            self.store
                .record(&recorder.failed(&user.uid, Action::PasswordReset, &error))
                .await?;
            return Err(error);
        }
        let hash = self.hasher.hash(&password).await?;
        for _ in 0..ATTEMPTS {
            let cookie = self.device_cookie(&devices, &user, now).await?;
            match self
                .reset(&user, &code, &hash, language.as_deref(), recorder)
                .await?
            {
                PasswordChange::Done => {
                    metrics::password_reset(PasswordReset::Used);
                    return with_cookie(empty(StatusCode::CREATED), &cookie);
                }
                PasswordChange::CodeUsed => return Err(Error::TokenUtilized),
                PasswordChange::UserChanged => (user, code) = self.find(&token, now).await?,
            }
        }
        Err(Error::Unavailable(
            "the user was changed by other requests at every attempt".into(),
        ))
    }

    async fn reset(
        &self,
        user: &User,
        code: &OneTimeCode,
        hash: &PasswordHash,
        language: Option<&str>,
        recorder: Recorder<'_>,
    ) -> Result<PasswordChange, Error> {
        let now = recorder.now;
        let language = user.mail_language(language, self.application.default_language);
        let mut passkeys = self.store.passkeys(user).await?;
        passkeys.retain(|passkey| passkey.is_recent(now));
        let recent_passkeys: Vec<_> = passkeys.iter().map(Passkey::hash).collect();
        let kind = match (user.has_recent_otp(now), recent_passkeys.is_empty()) {
            (false, true) => Kind::PasswordChanged,
            (true, true) => Kind::PasswordChangedOtpRemoved,
            (false, false) => Kind::PasswordChangedPasskeysRemoved,
            (true, false) => Kind::PasswordChangedOtpAndPasskeysRemoved,
        };
        let notice = QueuedMail::reset_notice(kind, user, language, now);
        let activity = recorder.succeeded(&user.uid, Action::PasswordReset);
        self.store
            .reset_password(user, hash, code, &recent_passkeys, &notice, &activity)
            .await
    }

    async fn device_cookie(
        &self,
        devices: &KnownDevices,
        user: &User,
        now: Timestamp,
    ) -> Result<String, Error> {
        let signing_keys = self.keys.signing_keys(now).await?;
        let device = Device::begin(user, user.next_device_epoch()?, false, now);
        devices.cookie_with(&device, &signing_keys)
    }

    /// The user and the code that the token names.
    async fn find(&self, token: &str, now: Timestamp) -> Result<(User, OneTimeCode), Error> {
        let claims = self
            .keys
            .verify(Purpose::Reset, token, now)
            .await?
            .ok_or(Error::TokenInvalid)?;
        let (user, code) = self
            .store
            .find_code(&claims, one_time_code::Kind::Reset, now)
            .await?;
        let user = user
            .filter(|user| user.uid == claims.uid && user.may_reset_password())
            .ok_or(Error::RecordNotFound)?;
        let code = code
            .filter(|code| code.is_valid(&claims.token_id, now))
            .ok_or(Error::TokenUtilized)?;
        Ok((user, code))
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.user");
    let token = parameters.token("reset_password_token");
    let password = parameters.password("password");
    let repeated = parameters.password("confirm_password");
    let language = parameters.optional("lang");
    parameters.finish()?;
    if password != repeated {
        return Err(Error::PasswordsDontMatch);
    }
    Ok(Input {
        token,
        password,
        language,
    })
}
