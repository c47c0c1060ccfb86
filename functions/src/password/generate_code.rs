//! `POST /identity/users/password/generate_code`: asks for the mail that lets one set a new
//! password.

use shared::{
    Error, FieldFault,
    config::{Accounts, Application},
    domain::{
        activity::{Action, Recorder},
        captcha::CaptchaResponse,
        email_address::EmailAddress,
        language::Language,
        mail::{Kind, QueuedMail},
        one_time_code::{self, OneTimeCode},
        rate_limit::{Limits, MailLog},
        user::{State, User},
    },
    http::{Body, Form, Request, Response, StatusCode, client, empty},
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, PasswordReset},
    },
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
    email: EmailAddress,
    language: Option<String>,
    captcha_response: Option<CaptchaResponse>,
}

impl GenerateCode {
    /// Stores a code and queues the mail that brings it. The request never waits for the mail to be
    /// sent.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let input = read(request).await?;
        let recorder = Recorder {
            client: &client,
            life: self.accounts.activity_retention,
            now,
        };
        let key = input.email.key();
        let network = client.network();
        let (admitted, found) = tokio::join!(
            self.store.count_request(&network, &self.limits, now),
            self.store
                .find_user_and_mail_log(&key, one_time_code::Kind::Reset),
        );
        admitted?;
        let (mut user, mut log) = found?;
        MailLog::check(log.as_ref(), &self.limits, now)?;
        self.captcha
            .check(input.captcha_response.as_ref(), &client, now)
            .await?;
        while self.ask(&input, &key, user, log, recorder).await? == CodeRequestOutcome::Overtaken {
            (user, log) = self
                .store
                .find_user_and_mail_log(&key, one_time_code::Kind::Reset)
                .await?;
        }
        Ok(empty(StatusCode::CREATED))
    }

    async fn ask(
        &self,
        Input {
            email, language, ..
        }: &Input,
        key: &str,
        user: Option<User>,
        log: Option<MailLog>,
        recorder: Recorder<'_>,
    ) -> Result<CodeRequestOutcome, Error> {
        let now = recorder.now;
        let user = user.filter(|user| user.state != State::Deleted);
        let log_after = log
            .clone()
            .unwrap_or_default()
            .with_one_more(&self.limits, now)?;
        let (uid, email, data) = user.as_ref().map_or(("", email, None), |user| {
            (&*user.uid, &user.email, user.data.as_deref())
        });
        let code = OneTimeCode::new(self.accounts.code_lifetime, now);
        let language =
            Language::choose(language.as_deref(), data, self.application.default_language);
        let mail = QueuedMail::with_code(Kind::PasswordReset, uid, email, language, &code, now);
        let activity = recorder.succeeded(uid, Action::RequestPasswordReset);
        let asking = CodeRequest {
            kind: one_time_code::Kind::Reset,
            address: key,
            log_before: log.as_ref(),
            log_after: &log_after,
            code: &code,
            mail: &mail,
            activity: Some(&activity),
        };
        match user {
            Some(_) => {
                let asked = self.store.store_code(uid, &asking).await?;
                if asked == CodeRequestOutcome::Stored {
                    metrics::password_reset(PasswordReset::Requested);
                }
                Ok(asked)
            }
            None if self.accounts.prevent_user_existence_errors => {
                self.store.store_decoy_code(&asking).await
            }
            None => match self.store.store_mail_log(&asking).await? {
                CodeRequestOutcome::Stored => Err(Error::UserDoesntExist),
                CodeRequestOutcome::Overtaken => Ok(CodeRequestOutcome::Overtaken),
            },
        }
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.user");
    let email = parameters.email();
    let language = parameters.optional("lang");
    let captcha_response = parameters.captcha_response();
    parameters.finish()?;
    let email =
        EmailAddress::parse(&email).map_err(|_| Error::Fields(vec![FieldFault::EmailInvalid]))?;
    Ok(Input {
        email,
        language,
        captcha_response,
    })
}
