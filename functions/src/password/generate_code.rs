//! `POST /identity/users/password/generate_code`: asks for the mail that lets one set a new password.

use shared::{
    Error, FieldFault,
    clock::Timestamp,
    code::{self, Code},
    config::Config,
    email::EmailAddress,
    http::{Body, Form, Request, Response, StatusCode, empty},
    language::Language,
    mail::{Kind, QueuedMail},
    store::Store,
    user::State,
};

/// What it works with.
pub struct GenerateCode {
    /// The configuration.
    pub config: Config,
    /// The tables.
    pub store: Store,
}

struct Input {
    email: EmailAddress,
    language: Option<String>,
}

impl GenerateCode {
    /// Stores a code and queues the mail that brings it. The request never waits for the mail to be sent.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let Input { email, language } = read(request).await?;
        let code = Code::new(self.config.code_expire_time, now);
        let choose = |data: Option<&str>| Language::choose(language.as_deref(), data, self.config.default_language);
        match self.store.find_user(&email.key()).await?.filter(|user| user.state != State::Deleted) {
            Some(user) => {
                let mail = QueuedMail::with_code(
                    Kind::PasswordReset,
                    (&user.uid, &user.email),
                    choose(user.data.as_deref()),
                    &code,
                    now,
                );
                self.store.store_code(&user.uid, code::Kind::Reset, &code, &mail).await?;
            }
            None if self.config.prevent_user_existence_errors => {
                let mail = QueuedMail::with_code(Kind::PasswordReset, ("", &email), choose(None), &code, now);
                self.store.store_decoy_code(&email.key(), code::Kind::Reset, &code, &mail).await?;
            }
            None => return Err(Error::UserDoesntExist),
        }
        Ok(empty(StatusCode::CREATED))
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.user");
    let email = parameters.email();
    let language = parameters.optional("lang");
    parameters.captcha_response();
    parameters.finish()?;
    let email = EmailAddress::parse(&email).map_err(|_| Error::Fields(vec![FieldFault::EmailInvalid]))?;
    Ok(Input { email, language })
}
