//! `POST /identity/users/email/generate_code`: asks for another mail that lets one confirm the address.

use shared::{
    Error,
    captcha::{Captcha, CaptchaResponse},
    clock::Timestamp,
    code::{self, Code},
    config::Config,
    email::{EmailAddress, lookup_key},
    http::{Body, Form, Request, Response, StatusCode, client, empty},
    language::Language,
    limits::MailLog,
    mail::{Kind, QueuedMail},
    store::{Asked, Asking, Store},
    user::{State, User},
};

/// What it works with.
pub struct GenerateCode {
    /// The configuration.
    pub config: Config,
    /// The tables.
    pub store: Store,
    /// Lets people pass.
    pub captcha: Captcha,
}

struct Input {
    email: String,
    language: Option<String>,
    captcha_response: Option<CaptchaResponse>,
}

impl GenerateCode {
    /// Stores a code and queues the mail that brings it, for a user who waits for one. Whoever asks gets the same answer in the
    /// same time.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let Input { email, language, captcha_response } = read(request).await?;
        let (key, network) = (lookup_key(&email), client.network());
        let (admitted, found) = tokio::join!(
            self.store.count_request(&network, &self.config.limits, now),
            self.store.find_user_and_mail_log(&key, code::Kind::Confirmation),
        );
        admitted?;
        let mut found = found?;
        MailLog::check(found.1.as_ref(), &self.config.limits, now)?;
        self.captcha.check(captcha_response.as_ref(), &client, now).await?;
        let Ok(email) = EmailAddress::parse(&email) else { return Ok(empty(StatusCode::CREATED)) };
        while self.ask((&email, language.as_deref()), &key, found, now).await? == Asked::Overtaken {
            found = self.store.find_user_and_mail_log(&key, code::Kind::Confirmation).await?;
        }
        Ok(empty(StatusCode::CREATED))
    }

    async fn ask(
        &self,
        (email, language): (&EmailAddress, Option<&str>),
        key: &str,
        (user, log): (Option<User>, Option<MailLog>),
        now: Timestamp,
    ) -> Result<Asked, Error> {
        let log_after = log.clone().unwrap_or_default().with_one_more(&self.config.limits, now)?;
        let data = user.as_ref().and_then(|user| user.data.as_deref());
        let language = Language::choose(language, data, self.config.default_language);
        let waiting = user.as_ref().filter(|user| user.state == State::Pending);
        let (uid, email) = waiting.map_or(("", email), |user| (&*user.uid, &user.email));
        let code = Code::new(self.config.code_expire_time, now);
        let mail = QueuedMail::with_code(Kind::Confirmation, (uid, email), language, &code, now);
        let asking = Asking {
            kind: code::Kind::Confirmation,
            address: key,
            log: (log.as_ref(), &log_after),
            code: &code,
            mail: &mail,
            activity: None,
        };
        match waiting {
            Some(_) => self.store.store_code(uid, &asking).await,
            None => self.store.store_decoy_code(&asking).await,
        }
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.user");
    let email = parameters.email();
    let language = parameters.optional("lang");
    let captcha_response = parameters.captcha_response();
    parameters.finish().map(|()| Input { email, language, captcha_response })
}
