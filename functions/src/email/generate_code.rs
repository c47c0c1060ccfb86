//! `POST /identity/users/email/generate_code`: requests another confirmation mail.

use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        captcha::CaptchaResponse,
        email_address::{AccountKey, AccountKeys, EmailAddress},
        language::Language,
        mail::{Kind, QueuedMail},
        one_time_code::{self, OneTimeCode},
        rate_limit::{Limits, MailLog},
        user::{State, Uid, User},
    },
    http::{Body, Form, Request, Response, StatusCode, client, empty},
    platform::clock::Timestamp,
    providers::captcha::Captcha,
    store::{CodeRequest, CodeRequestOutcome, Store},
};

pub struct GenerateCode {
    pub store: Store,
    pub captcha: Captcha,
    pub limits: Limits,
    pub accounts: Accounts,
    pub application: Application,
}

struct Input {
    email: String,
    language: Option<String>,
    captcha_response: Option<CaptchaResponse>,
}

impl GenerateCode {
    /// Stores a code and its mail for a pending user. For every other address, the response is the
    /// same after the same work.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let Input {
            email,
            language,
            captcha_response,
        } = read(request).await?;
        let accounts = AccountKeys::of(&email);
        let network = client.network();
        let (admitted, found) = tokio::join!(
            self.store.count_request(&network, &self.limits, now),
            self.store
                .find_user_and_mail_log(&accounts, one_time_code::Kind::Confirmation, now),
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
            .request_code(
                &email,
                language.as_deref(),
                accounts.account(),
                user,
                log,
                now,
            )
            .await?
            == CodeRequestOutcome::Conflict
        {
            (user, log) = self
                .store
                .find_user_and_mail_log(&accounts, one_time_code::Kind::Confirmation, now)
                .await?;
        }
        Ok(empty(StatusCode::CREATED))
    }

    async fn request_code(
        &self,
        email: &EmailAddress,
        language: Option<&str>,
        account: &AccountKey,
        user: Option<User>,
        log: Option<MailLog>,
        now: Timestamp,
    ) -> Result<CodeRequestOutcome, Error> {
        let log_after = log
            .clone()
            .unwrap_or_default()
            .with_request(&self.limits, now)?;
        let default = self.application.default_language;
        let language = user.as_ref().map_or_else(
            || Language::requested(language).unwrap_or(default),
            |user| user.mail_language(language, default),
        );
        let pending = user.as_ref().filter(|user| user.state == State::Pending);
        let uid = pending.map_or_else(|| Uid::decoy(account), |user| user.uid.clone());
        let email = pending.map_or(email, |user| &user.email);
        let code = OneTimeCode::new(self.accounts.code_lifetime, now);
        let mail = QueuedMail::with_code(Kind::Confirmation, &uid, email, language, &code, now);
        let request = CodeRequest {
            kind: one_time_code::Kind::Confirmation,
            account,
            log_before: log.as_ref(),
            log_after: &log_after,
            code: &code,
            mail: &mail,
            activity: None,
        };
        match pending {
            Some(_) => self.store.store_code(&uid, &request).await,
            None => self.store.store_decoy_code(&request).await,
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
