//! `DELETE /resource/sessions/{id}`: ends one session of the user.

use shared::{
    Error,
    config::Accounts,
    domain::{activity::Action, session::Session},
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
    /// Ends the session. Of concurrent requests, exactly one succeeds. The id is only compared with
    /// those of the user's sessions, so it needs no validation.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let id = request
            .path_parameters()
            .first("id")
            .unwrap_or_default()
            .to_owned();
        // There are no parameters, but an invalid body is rejected as everywhere.
        Form::read(request).await?;
        let store = &self.authenticator.store;
        let sessions = store.sessions(&signed_in.user.uid).await?;
        let has_id = |session: &&Session| {
            session.id.as_str() == id
                && session.is_live(&signed_in.user, self.authenticator.session_lifetime, now)
        };
        let session = sessions.iter().find(has_id).ok_or(Error::RecordNotFound)?;
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
