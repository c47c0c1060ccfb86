//! `DELETE /resource/sessions/{id}`: ends one session of the user.

use shared::{
    Error,
    config::Accounts,
    domain::{activity::Action, session::SessionId},
    http::{
        Body, Form, Request, RequestExt, Response, StatusCode, authentication::Authenticator,
        clearing_cookie, empty, with_cookie,
    },
    platform::clock::Timestamp,
    store::Outcome,
};

pub struct End {
    pub authenticator: Authenticator,
    pub accounts: Accounts,
}

impl End {
    /// Ends the session. Of concurrent requests, exactly one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let id = request
            .path_parameters()
            .first("id")
            .and_then(SessionId::parse);
        // There are no parameters, but an invalid body is rejected as everywhere.
        Form::read(request).await?;
        let store = &self.authenticator.store;
        let id = id.ok_or(Error::RecordNotFound)?;
        let life = self.authenticator.session_lifetime;
        let session = store
            .find_session(&signed_in.user.uid, &id)
            .await?
            .filter(|session| session.is_live(&signed_in.user, life, now))
            .ok_or(Error::RecordNotFound)?;
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&signed_in.user.uid, Action::Logout);
        if store
            .end_session(&session.uid, &session.id, Some(&activity))
            .await?
            == Outcome::Conflict
        {
            return Err(Error::RecordNotFound);
        }
        let response = empty(StatusCode::NO_CONTENT);
        if session.id != signed_in.session.id {
            return Ok(response);
        }
        with_cookie(response, &clearing_cookie(&self.authenticator.cookie_name))
    }
}
