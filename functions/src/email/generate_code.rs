//! `POST /identity/users/email/generate_code`: asks for another mail that lets one confirm the
//! address.

use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        captcha::CaptchaResponse,
        email_address::{EmailAddress, lookup_key},
        language::Language,
        mail::{Kind, QueuedMail},
        one_time_code::{self, OneTimeCode},
        rate_limit::{Limits, MailLog},
        user::{State, User},
    },
    http::{Body, Form, Request, Response, StatusCode, client, empty},
    platform::clock::Timestamp,
    providers::captcha::Captcha,
    store::{CodeRequest, CodeRequestOutcome, Store},
};

/// What it works with.
pub struct GenerateCode {
    /// The tables.
    pub store: Store,
    /// Lets people pass.
    pub captcha: Captcha,
    /// Rate limits.
    pub limits: Limits,
    /// What holds for every account.
    pub accounts: Accounts,
    /// The application, as people see it.
    pub application: Application,
}

struct Input {
    email: String,
    language: Option<String>,
    captcha_response: Option<CaptchaResponse>,
}

impl GenerateCode {
    /// Stores a code and queues the mail that brings it, for a user who waits for one. Whoever asks
    /// gets the same answer in the same time.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let Input {
            email,
            language,
            captcha_response,
        } = read(request).await?;
        let key = lookup_key(&email);
        let network = client.network();
        let (admitted, found) = tokio::join!(
            self.store.count_request(&network, &self.limits, now),
            self.store
                .find_user_and_mail_log(&key, one_time_code::Kind::Confirmation),
        );
        admitted?;
        let (mut user, mut log) = found?;
        MailLog::check(log.as_ref(), &self.limits, now)?;
        self.captcha
            .check(captcha_response.as_ref(), &client, now)
            .await?;
        let Ok(email) = EmailAddress::parse(&email) else {
            return Ok(empty(StatusCode::CREATED));
        };
        while self
            .ask(&email, language.as_deref(), &key, user, log, now)
            .await?
            == CodeRequestOutcome::Overtaken
        {
            (user, log) = self
                .store
                .find_user_and_mail_log(&key, one_time_code::Kind::Confirmation)
                .await?;
        }
        Ok(empty(StatusCode::CREATED))
    }

    async fn ask(
        &self,
        email: &EmailAddress,
        language: Option<&str>,
        key: &str,
        user: Option<User>,
        log: Option<MailLog>,
        now: Timestamp,
    ) -> Result<CodeRequestOutcome, Error> {
        let log_after = log
            .clone()
            .unwrap_or_default()
            .with_one_more(&self.limits, now)?;
        let data = user.as_ref().and_then(|user| user.data.as_deref());
        let language = Language::choose(language, data, self.application.default_language);
        let waiting = user.as_ref().filter(|user| user.state == State::Pending);
        let (uid, email) = waiting.map_or(("", email), |user| (&*user.uid, &user.email));
        let code = OneTimeCode::new(self.accounts.code_lifetime, now);
        let mail = QueuedMail::with_code(Kind::Confirmation, uid, email, language, &code, now);
        let asking = CodeRequest {
            kind: one_time_code::Kind::Confirmation,
            address: key,
            log_before: log.as_ref(),
            log_after: &log_after,
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
    parameters.finish().map(|()| Input {
        email,
        language,
        captcha_response,
    })
}
