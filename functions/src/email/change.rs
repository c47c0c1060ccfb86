//! `POST /resource/users/email`: requests a change of the address of the account.

use shared::{
    Error, FieldFault,
    config::{Accounts, Application},
    domain::{
        activity::{Action, Recorder},
        email_address::EmailAddress,
        email_change::EmailChange,
        mail::{Kind, QueuedMail},
        one_time_code::OneTimeCode,
        otp::{RecoveryCodeReport, SecondFactor},
        rate_limit::Limits,
        user::{self, User},
    },
    http::{
        Body, Form, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator},
        empty,
    },
    platform::{clock::Timestamp, retry::Backoff},
    store::{EmailChangeMails, EmailChangeRequest, EmailChangeRequestOutcome},
};

use crate::user::credentials::{CredentialCheck, Credentials};

pub struct Change {
    pub authenticator: Authenticator,
    pub credentials: CredentialCheck,
    pub limits: Limits,
    pub accounts: Accounts,
    pub application: Application,
}

struct Input {
    email: EmailAddress,
    credentials: Credentials,
    language: Option<String>,
}

impl Change {
    /// Stores the requested change, and mails a link to the new address and a notice to the current
    /// one, which stays in force. The password, and a code while the second factor is on, replace a
    /// step-up. A request is counted before the response discloses whether the address
    /// is taken.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .authenticator
            .authenticate_with_credentials(&request, now)
            .await?;
        let input = read(request).await?;
        let user = &signed_in.user;
        let recorder = signed_in.recorder(self.accounts.activity_retention, now);
        let factor = match self.check(&input, &signed_in, now).await {
            Ok(factor) => factor,
            Err(error) => {
                if error.status().is_client_error() && error.retry_after().is_none() {
                    let failed = recorder.failed(&user.uid, Action::RequestEmailChange, &error);
                    self.authenticator.store.record(&failed).await?;
                }
                return Err(error);
            }
        };
        let mut backoff = Backoff::start();
        loop {
            match self.store(&input, user, factor.as_ref(), recorder).await? {
                EmailChangeRequestOutcome::Stored => return Ok(empty(StatusCode::CREATED)),
                EmailChangeRequestOutcome::CodeUsed => return Err(Error::AccountCodeWrong),
                EmailChangeRequestOutcome::Conflict if backoff.wait().await => {}
                EmailChangeRequestOutcome::Conflict => {
                    return Err(Error::Unavailable(
                        "the logs of mails were changed by other requests at every attempt".into(),
                    ));
                }
            }
        }
    }

    async fn check(
        &self,
        input: &Input,
        signed_in: &AuthenticatedSession<user::Credentials>,
        now: Timestamp,
    ) -> Result<Option<SecondFactor>, Error> {
        signed_in.user.may_change_email(&input.email)?;
        self.credentials
            .verify(&input.credentials, &self.authenticator, signed_in, now)
            .await
    }

    /// Stores the request. A change that is concurrent with a reset or change of the password is
    /// void, because it names the device epoch of the user whose password was verified.
    async fn store(
        &self,
        Input {
            email, language, ..
        }: &Input,
        user: &User,
        factor: Option<&SecondFactor>,
        recorder: Recorder<'_>,
    ) -> Result<EmailChangeRequestOutcome, Error> {
        let now = recorder.now;
        let store = &self.authenticator.store;
        let default_language = self.application.default_language;
        let lookup = store
            .look_up_email_change(&user.uid, &email.account_keys(), now)
            .await?;
        let requests = lookup.requests.clone().unwrap_or_default();
        let requests_after = requests.with_request(&Limits::EMAIL_CHANGE_REQUESTS, now)?;
        let report = factor
            .and_then(|factor| RecoveryCodeReport::of(factor, user, &recorder, default_language));
        let counted = |activity, mails| EmailChangeRequest {
            user,
            factor,
            report: report.as_ref(),
            requests_before: lookup.requests.as_ref(),
            requests_after: &requests_after,
            activity,
            mails,
        };
        if lookup.is_taken {
            let error = Error::Fields(vec![FieldFault::EmailTaken]);
            let failed = recorder.failed(&user.uid, Action::RequestEmailChange, &error);
            return match store.request_email_change(&counted(&failed, None)).await? {
                EmailChangeRequestOutcome::Stored => Err(error),
                outcome => Ok(outcome),
            };
        }
        let log = lookup.mail_log.clone().unwrap_or_default();
        let log_after = log.with_request(&self.limits, now)?;
        let code = OneTimeCode::new(self.accounts.code_lifetime, now);
        let change = EmailChange::new(user, email.clone(), &code);
        let link_language = user.mail_language(language.as_deref(), default_language);
        let link = QueuedMail::with_code(
            Kind::EmailChange,
            &user.uid,
            email,
            link_language,
            &code,
            now,
        );
        // The request may come from a thief, who must not choose the language of the notice.
        let own_language = user.mail_language(None, default_language);
        let notice = QueuedMail::notice(Kind::EmailChangeRequested, user, own_language, now);
        let succeeded = recorder.succeeded(&user.uid, Action::RequestEmailChange);
        let mails = EmailChangeMails {
            change: &change,
            log_before: lookup.mail_log.as_ref(),
            log_after: &log_after,
            link: &link,
            notice: notice.as_ref(),
        };
        store
            .request_email_change(&counted(&succeeded, Some(mails)))
            .await
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.user");
    let email = parameters.email();
    let credentials = Credentials::read(&mut parameters);
    let language = parameters.optional("lang");
    parameters.finish()?;
    let email =
        EmailAddress::parse(&email).map_err(|_| Error::Fields(vec![FieldFault::EmailInvalid]))?;
    Ok(Input {
        email,
        credentials,
        language,
    })
}
