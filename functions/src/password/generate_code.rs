//! `POST /identity/users/password/generate_code`: asks for the mail that lets one set a new password.

use shared::{
    Error, FieldFault,
    activity::{Action, Recorder},
    captcha::{Captcha, CaptchaResponse},
    clock::Timestamp,
    code::{self, Code},
    config::Config,
    email::EmailAddress,
    http::{Body, Form, Request, Response, StatusCode, client, empty},
    language::Language,
    limits::MailLog,
    mail::{Kind, QueuedMail},
    store::{Asked, Asking, Store},
    telemetry::metrics::{self, PasswordReset},
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
    email: EmailAddress,
    language: Option<String>,
    captcha_response: Option<CaptchaResponse>,
}

impl GenerateCode {
    /// Stores a code and queues the mail that brings it. The request never waits for the mail to be sent.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let input = read(request).await?;
        let recorder = Recorder { client: &client, life: self.config.activity_life, now };
        let (key, network) = (input.email.key(), client.network());
        let (admitted, found) = tokio::join!(
            self.store.count_request(&network, &self.config.limits, now),
            self.store.find_user_and_mail_log(&key, code::Kind::Reset),
        );
        admitted?;
        let mut found = found?;
        MailLog::check(found.1.as_ref(), &self.config.limits, now)?;
        self.captcha.check(input.captcha_response.as_ref(), &client, now).await?;
        while self.ask(&input, &key, found, recorder).await? == Asked::Overtaken {
            found = self.store.find_user_and_mail_log(&key, code::Kind::Reset).await?;
        }
        Ok(empty(StatusCode::CREATED))
    }

    async fn ask(
        &self,
        Input { email, language, .. }: &Input,
        key: &str,
        (user, log): (Option<User>, Option<MailLog>),
        recorder: Recorder<'_>,
    ) -> Result<Asked, Error> {
        let now = recorder.now;
        let user = user.filter(|user| user.state != State::Deleted);
        let log_after = log.clone().unwrap_or_default().with_one_more(&self.config.limits, now)?;
        let (uid, email, data) = user.as_ref().map_or(("", email, None), |user| (&*user.uid, &user.email, user.data.as_deref()));
        let code = Code::new(self.config.code_expire_time, now);
        let language = Language::choose(language.as_deref(), data, self.config.default_language);
        let mail = QueuedMail::with_code(Kind::PasswordReset, (uid, email), language, &code, now);
        let activity = recorder.succeeded(uid, Action::RequestPasswordReset);
        let asking = Asking {
            kind: code::Kind::Reset,
            address: key,
            log: (log.as_ref(), &log_after),
            code: &code,
            mail: &mail,
            activity: Some(&activity),
        };
        match user {
            Some(_) => {
                let asked = self.store.store_code(uid, &asking).await?;
                if asked == Asked::Stored {
                    metrics::password_reset(PasswordReset::Asked);
                }
                Ok(asked)
            }
            None if self.config.prevent_user_existence_errors => self.store.store_decoy_code(&asking).await,
            None => match self.store.store_mail_log(&asking).await? {
                Asked::Stored => Err(Error::UserDoesntExist),
                Asked::Overtaken => Ok(Asked::Overtaken),
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
    let email = EmailAddress::parse(&email).map_err(|_| Error::Fields(vec![FieldFault::EmailInvalid]))?;
    Ok(Input { email, language, captcha_response })
}
