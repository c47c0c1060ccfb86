//! `DELETE /resource/users/me`: closes the account of the user.

use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        mail::{Kind, QueuedMail},
        otp::{RecoveryCodeReport, SecondFactor},
        user,
    },
    http::{
        Body, Form, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator},
        clearing_cookie, empty, with_cookie,
    },
    platform::clock::Timestamp,
    store::{AccountClosing, Outcome},
};

use super::credentials::{CredentialCheck, Credentials};

/// Maximum number of attempts if concurrent requests change the same user.
const ATTEMPTS: usize = 3;

pub struct Close {
    pub authenticator: Authenticator,
    pub credentials: CredentialCheck,
    pub accounts: Accounts,
    pub application: Application,
}

impl Close {
    /// Closes the account and ends every session. Until it is erased, a password reset reopens it.
    /// Of concurrent requests, exactly one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let mut signed_in = self
            .authenticator
            .authenticate_with_credentials(&request, now)
            .await?;
        let credentials = read(request).await?;
        for _ in 0..ATTEMPTS {
            let factor = self.verify(&credentials, &signed_in, now).await?;
            if self.close(factor.as_ref(), &signed_in, now).await? == Outcome::Written {
                let cleared = clearing_cookie(&self.authenticator.cookie_name);
                return with_cookie(empty(StatusCode::OK), &cleared);
            }
            // A concurrent request closed the account, ended sessions, changed the password or used
            // the code. This one is processed as if it came later.
            signed_in = self.authenticator.reload(signed_in, now).await?;
        }
        Err(Error::Unavailable(
            "the user was changed by other requests at every attempt".into(),
        ))
    }

    async fn verify(
        &self,
        credentials: &Credentials,
        signed_in: &AuthenticatedSession<user::Credentials>,
        now: Timestamp,
    ) -> Result<Option<SecondFactor>, Error> {
        let verified = self
            .credentials
            .verify(credentials, &self.authenticator, signed_in, now)
            .await;
        if let Err(error @ (Error::AccountPasswordWrong | Error::AccountCodeWrong)) = &verified {
            let failed = signed_in
                .recorder(self.accounts.activity_retention, now)
                .failed(&signed_in.user.uid, Action::CloseAccount, error);
            self.authenticator.store.record(&failed).await?;
        }
        verified
    }

    async fn close(
        &self,
        factor: Option<&SecondFactor>,
        signed_in: &AuthenticatedSession<user::Credentials>,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let AuthenticatedSession { session, user, .. } = signed_in;
        let default_language = self.application.default_language;
        let recorder = signed_in.recorder(self.accounts.activity_retention, now);
        let report = factor
            .and_then(|factor| RecoveryCodeReport::of(factor, user, &recorder, default_language));
        let language = user.mail_language(None, default_language);
        let notice = QueuedMail::notice(Kind::AccountClosed, user, language, now);
        let closing = AccountClosing {
            factor,
            report: report.as_ref(),
            notice: notice.as_ref(),
            activity: &recorder.succeeded(&user.uid, Action::CloseAccount),
        };
        self.authenticator
            .store
            .close_account(user, session, closing)
            .await
    }
}

async fn read(request: Request) -> Result<Credentials, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.user");
    let credentials = Credentials::read(&mut parameters);
    parameters.finish().map(|()| credentials)
}
