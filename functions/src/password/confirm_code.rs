//! `POST /identity/users/password/confirm_code`: sets a new password with the token of a mail.

use shared::{
    Error, FieldFault,
    config::{Accounts, Application},
    domain::{
        activity::{Action, Recorder},
        language::Language,
        mail::{Kind, QueuedMail},
        one_time_code::{self, OneTimeCode},
        password::{Hasher, Password},
        user::{State, User},
    },
    http::{Body, Form, OriginCheck, Request, Response, StatusCode, client, empty},
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, PasswordReset},
    },
    providers::breached_passwords::PasswordCheck,
    store::{PasswordChange, Store},
    tokens::{key_provider::KeyProvider, signed_token::Purpose},
};

pub struct ConfirmCode {
    pub origins: OriginCheck,
    pub store: Store,
    pub keys: KeyProvider,
    pub hasher: Hasher,
    pub accounts: Accounts,
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
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        self.origins.check(&request)?;
        let client = client(&request);
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
        let (user, code) = self.find(&token, now).await?;
        if let Err(fault) = self.passwords.accept(&password).await {
            let error = Error::Fields(vec![FieldFault::from(fault)]);
            self.store
                .record(&recorder.failed(&user.uid, Action::PasswordReset, &error))
                .await?;
            return Err(error);
        }
        let hash = self.hasher.hash(&password).await?;
        let language = Language::choose(
            language.as_deref(),
            user.data.as_deref(),
            self.application.default_language,
        );
        let notice =
            QueuedMail::notice(Kind::PasswordChanged, &user.uid, &user.email, language, now);
        let activity = recorder.succeeded(&user.uid, Action::PasswordReset);
        match self
            .store
            .reset_password(&user, &hash, &code, &notice, &activity)
            .await?
        {
            PasswordChange::Done => {
                metrics::password_reset(PasswordReset::Used);
                Ok(empty(StatusCode::CREATED))
            }
            PasswordChange::CodeUsed => Err(Error::TokenUtilized),
            PasswordChange::UserGone => Err(Error::RecordNotFound),
        }
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
            .find_code(&claims, one_time_code::Kind::Reset)
            .await?;
        let user = user
            .filter(|user| user.uid == claims.uid && user.state != State::Deleted)
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
