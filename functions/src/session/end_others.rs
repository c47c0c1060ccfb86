//! `DELETE /resource/sessions`: ends every other session of the user.

use shared::{
    Error,
    config::Accounts,
    domain::activity::Action,
    http::{Body, Form, Request, Response, StatusCode, authentication::Authenticator, empty},
    platform::clock::Timestamp,
    store::Outcome,
};

pub struct EndOthers {
    pub authenticator: Authenticator,
    pub accounts: Accounts,
}

impl EndOthers {
    /// Ends every session except the presented one, including sessions that concurrent sign-ins are
    /// creating.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        // There are no parameters, but an invalid body is rejected as everywhere.
        Form::read(request).await?;
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&signed_in.user.uid, Action::Logout);
        if self
            .authenticator
            .store
            .end_other_sessions(&signed_in.user, &signed_in.session, &activity)
            .await?
            == Outcome::Conflict
        {
            // A concurrent request raised the session epoch. If this session is live, that request
            // used it too and has ended all others; if not, this session has ended.
            self.authenticator.reload(signed_in, now).await?;
        }
        Ok(empty(StatusCode::NO_CONTENT))
    }
}
