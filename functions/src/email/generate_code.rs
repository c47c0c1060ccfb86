//! `POST /identity/users/email/generate_code`: asks for another mail that lets one confirm the address.

use shared::{
    Error,
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
    email: String,
    language: Option<String>,
}

impl GenerateCode {
    /// Stores a code and queues the mail that brings it, for a user who waits for one. Whoever asks gets the same answer in the
    /// same time.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let Input { email, language } = read(request).await?;
        let Ok(email) = EmailAddress::parse(&email) else { return Ok(empty(StatusCode::CREATED)) };
        let code = Code::new(self.config.code_expire_time, now);
        let user = self.store.find_user(&email.key()).await?;
        let data = user.as_ref().and_then(|user| user.data.as_deref());
        let language = Language::choose(language.as_deref(), data, self.config.default_language);
        let mail = |uid, email| QueuedMail::with_code(Kind::Confirmation, (uid, email), language, &code, now);
        match user.as_ref().filter(|user| user.state == State::Pending) {
            Some(user) => {
                self.store.store_code(&user.uid, code::Kind::Confirmation, &code, &mail(&user.uid, &user.email)).await?;
            }
            None => self.store.store_decoy_code(&email.key(), code::Kind::Confirmation, &code, &mail("", &email)).await?,
        }
        Ok(empty(StatusCode::CREATED))
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.user");
    let email = parameters.email();
    let language = parameters.optional("lang");
    parameters.captcha_response();
    parameters.finish().map(|()| Input { email, language })
}
