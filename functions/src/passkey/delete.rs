//! `DELETE /resource/passkeys/{id}`: removes a passkey of the user.

use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        mail::{Kind, QueuedMail},
        passkey::CredentialHash,
        webauthn::CredentialId,
    },
    http::{
        Body, Form, Request, RequestExt, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator},
        empty,
    },
    platform::{clock::Timestamp, retry::Backoff},
    store::Outcome,
};

pub struct Delete {
    pub authenticator: Authenticator,
    pub accounts: Accounts,
    pub application: Application,
    /// Seconds, see [`AuthenticatedSession::require_recent_authentication`].
    pub reauthentication_time: i64,
}

impl Delete {
    /// Removes the passkey and sends a notice. Of concurrent requests, exactly one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let mut signed_in = self.authenticator.authenticate(&request, now).await?;
        signed_in.require_recent_authentication(self.reauthentication_time, now)?;
        let id = request
            .path_parameters()
            .first("id")
            .and_then(|id| CredentialId::parse(id).ok());
        // There are no parameters, but an invalid body is rejected as everywhere.
        Form::read(request).await?;
        let hash = CredentialHash::of(&id.ok_or(Error::RecordNotFound)?);
        let mut backoff = Backoff::start();
        loop {
            if !signed_in.user.passkeys.contains(&hash) {
                return Err(Error::RecordNotFound);
            }
            if self.remove(&hash, &signed_in, now).await? == Outcome::Written {
                return Ok(empty(StatusCode::NO_CONTENT));
            }
            if !backoff.wait().await {
                return Err(Error::Unavailable(
                    "the user was changed by other requests at every attempt".into(),
                ));
            }
            // This request is processed as if it came after the one that changed the user.
            signed_in = self.authenticator.reload(signed_in, now).await?;
        }
    }

    async fn remove(
        &self,
        hash: &CredentialHash,
        signed_in: &AuthenticatedSession,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let AuthenticatedSession { session, user, .. } = signed_in;
        let language = user.mail_language(None, self.application.default_language);
        let recorder = signed_in.recorder(self.accounts.activity_retention, now);
        let notice = QueuedMail::notice(Kind::PasskeyRemoved, user, language, now)
            .map(|notice| notice.with_client(recorder.client));
        let activity = recorder.succeeded(&user.uid, Action::RemovePasskey);
        self.authenticator
            .store
            .remove_passkey(user, session, hash, notice.as_ref(), &activity)
            .await
    }
}
