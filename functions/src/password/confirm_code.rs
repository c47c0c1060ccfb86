//! `POST /identity/users/password/confirm_code`: sets a new password by the token of a mail.

use shared::{
    Error, FieldFault,
    activity::{Action, Recorder},
    clock::Timestamp,
    code::{self, Code},
    config::Config,
    http::{Body, Form, Request, Response, StatusCode, client, empty},
    keys::Keys,
    language::Language,
    mail::{Kind, QueuedMail},
    password::{Hasher, Password, PasswordPolicy},
    store::{PasswordChange, Store},
    telemetry::metrics::{self, PasswordReset},
    token::Purpose,
    user::{State, User},
};

/// What it works with.
pub struct ConfirmCode {
    /// The configuration.
    pub config: Config,
    /// The tables.
    pub store: Store,
    /// The keys that tokens are verified by.
    pub keys: Keys,
    /// Hashes the new password.
    pub hasher: Hasher,
    /// Which passwords are accepted.
    pub policy: PasswordPolicy,
}

struct Input {
    token: String,
    password: Password,
    language: Option<String>,
}

impl ConfirmCode {
    /// Changes the password, ends every session and queues a notice; the code is used up by it. Of any number of confirmations
    /// at once one wins, by the condition on the code.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let Input { token, password, language } = read(request).await?;
        let recorder = Recorder { client: &client, life: self.config.activity_life, now };
        let (user, code) = self.find(&token, now).await?;
        if let Err(fault) = self.policy.accept(&password).await {
            let error = Error::Fields(vec![FieldFault::from(fault)]);
            self.store.record(&recorder.failed(&user.uid, Action::PasswordReset, &error)).await?;
            return Err(error);
        }
        let hash = self.hasher.hash(&password).await?;
        let language = Language::choose(language.as_deref(), user.data.as_deref(), self.config.default_language);
        let notice = QueuedMail::notice(Kind::PasswordChanged, (&user.uid, &user.email), language, now);
        let activity = recorder.succeeded(&user.uid, Action::PasswordReset);
        match self.store.reset_password(&user, &hash, &code, &notice, &activity).await? {
            PasswordChange::Done => {
                metrics::password_reset(PasswordReset::Used);
                Ok(empty(StatusCode::CREATED))
            }
            PasswordChange::CodeUsed => Err(Error::TokenUtilized),
            PasswordChange::UserGone => Err(Error::RecordNotFound),
        }
    }

    /// The user of a token, and the code that it names.
    async fn find(&self, token: &str, now: Timestamp) -> Result<(User, Code), Error> {
        let claims = self.keys.verify(Purpose::Reset, token, now).await?.ok_or(Error::TokenInvalid)?;
        let (user, code) = self.store.find_code(&claims, code::Kind::Reset).await?;
        let user = user.filter(|user| user.uid == claims.uid && user.state != State::Deleted).ok_or(Error::RecordNotFound)?;
        let code = code.filter(|code| code.is_named_by(&claims, now)).ok_or(Error::TokenUtilized)?;
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
    Ok(Input { token, password, language })
}
