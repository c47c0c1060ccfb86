//! `POST /identity/users/password/generate_code`: requests a mail for a password reset.

use shared::{
    Error, FieldFault,
    config::{Accounts, Application},
    domain::{
        activity::{Action, Recorder},
        captcha::CaptchaResponse,
        email_address::{AccountKey, EmailAddress},
        language::Language,
        mail::{Kind, QueuedMail},
        one_time_code::{self, OneTimeCode},
        rate_limit::{Limits, MailLog},
        user::{ResetMails, Uid, User},
    },
    http::{Body, Form, Request, Response, StatusCode, client, empty},
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, PasswordReset},
    },
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
    email: EmailAddress,
    language: Option<String>,
    captcha_response: Option<CaptchaResponse>,
}

impl GenerateCode {
    /// Stores a code and its mail, which is sent after the response.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let input = read(request).await?;
        let recorder = Recorder {
            client: &client,
            life: self.accounts.activity_retention,
            now,
        };
        let accounts = input.email.account_keys();
        let network = client.network();
        let (admitted, found) = tokio::join!(
            self.store.count_request(&network, &self.limits, now),
            self.store
                .find_user_and_mail_log(&accounts, one_time_code::Kind::Reset, now),
        );
        admitted?;
        let (mut user, mut log) = found?;
        MailLog::check(log.as_ref(), &self.limits, now)?;
        self.captcha
            .check(input.captcha_response.as_ref(), &client, now)
            .await?;
        while self
            .request_code(&input, accounts.account(), user, log, recorder)
            .await?
            == CodeRequestOutcome::Conflict
        {
            (user, log) = self
                .store
                .find_user_and_mail_log(&accounts, one_time_code::Kind::Reset, now)
                .await?;
        }
        Ok(empty(StatusCode::CREATED))
    }

    async fn request_code(
        &self,
        Input {
            email, language, ..
        }: &Input,
        account: &AccountKey,
        user: Option<User>,
        log: Option<MailLog>,
        recorder: Recorder<'_>,
    ) -> Result<CodeRequestOutcome, Error> {
        let now = recorder.now;
        let user = user.filter(User::may_reset_password);
        let log_after = log
            .clone()
            .unwrap_or_default()
            .with_request(&self.limits, now)?;
        let uid = user
            .as_ref()
            .map_or_else(|| Uid::decoy(account), |user| user.uid.clone());
        let email = user.as_ref().map_or(email, |user| &user.email);
        let code = OneTimeCode::new(self.accounts.code_lifetime, now);
        let default = self.application.default_language;
        let language = user.as_ref().map_or_else(
            || Language::requested(language.as_deref()).unwrap_or(default),
            |user| user.mail_language(language.as_deref(), default),
        );
        let mail = QueuedMail::with_code(Kind::PasswordReset, &uid, email, language, &code, now);
        let activity = recorder.succeeded(&uid, Action::RequestPasswordReset);
        let request = CodeRequest {
            kind: one_time_code::Kind::Reset,
            account,
            log_before: log.as_ref(),
            log_after: &log_after,
            code: &code,
            mail: &mail,
            activity: Some(&activity),
        };
        match &user {
            Some(user) => {
                let outcome = match user.reset_mails(now) {
                    ResetMails::Limited => self.store.store_code(&uid, &request).await?,
                    ResetMails::OneADay => {
                        self.store
                            .store_code_after_complaint(user, &request)
                            .await?
                    }
                    // The code of today's mail stays valid.
                    ResetMails::NoneToday => return self.store.store_decoy_code(&request).await,
                };
                if outcome == CodeRequestOutcome::Stored {
                    metrics::password_reset(PasswordReset::Requested);
                }
                Ok(outcome)
            }
            None if self.accounts.prevent_user_existence_errors => {
                self.store.store_decoy_code(&request).await
            }
            None => match self.store.store_mail_log(&request).await? {
                CodeRequestOutcome::Stored => Err(Error::UserDoesntExist),
                CodeRequestOutcome::Conflict => Ok(CodeRequestOutcome::Conflict),
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
