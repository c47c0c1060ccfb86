//! `DELETE /resource/sessions/{id}`: ends one session of who is signed in.

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

/// What it works with.
pub struct End {
    /// Lets in who is signed in.
    pub authenticator: Authenticator,
    /// What holds for every account.
    pub accounts: Accounts,
}

impl End {
    /// Ends the session at once; of any number of requests at once one does. The id is only
    /// compared with those of the user's own sessions, so whatever else it is it names none.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let id = request
            .path_parameters()
            .first("id")
            .unwrap_or_default()
            .to_owned();
        // No parameters, but the rules for bodies hold here too.
        Form::read(request).await?;
        let store = &self.authenticator.store;
        let sessions = store.sessions(&signed_in.user.uid).await?;
        let is_meant = |session: &&Session| {
            session.id_hash == id
                && session.is_live(&signed_in.user, self.authenticator.session_lifetime, now)
        };
        let session = sessions
            .iter()
            .find(is_meant)
            .ok_or(Error::RecordNotFound)?;
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&signed_in.user.uid, Action::Logout);
        if store
            .end_session(&session.uid, &session.id_hash, Some(&activity))
            .await?
            == Outcome::Conflict
        {
            return Err(Error::RecordNotFound);
        }
        let answer = empty(StatusCode::NO_CONTENT);
        if session.id_hash != signed_in.session.id_hash {
            return Ok(answer);
        }
        with_cookie(answer, &clearing_cookie(&self.authenticator.cookie_name))
    }
}
