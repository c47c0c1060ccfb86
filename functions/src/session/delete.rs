//! `DELETE /identity/sessions`: signs out.

use shared::{
    Error,
    activity::{Action, Recorder},
    clock::Timestamp,
    config::Config,
    http::{Body, Credential, Form, Request, Response, StatusCode, client, empty, with_cookie},
    keys::Keys,
    session::clearing_cookie,
    store::Store,
    token::Purpose,
};

/// What it works with.
pub struct Delete {
    /// The configuration.
    pub config: Config,
    /// The tables.
    pub store: Store,
    /// The keys that tokens are verified by.
    pub keys: Keys,
}

impl Delete {
    /// Ends the session that is presented, at once. Of any number of sign-outs at once one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let token = Credential::of(request.headers(), &self.config.session_name).map(|presented| presented.token().to_owned());
        // No parameters, but the rules for bodies hold here too.
        Form::read(request).await?;
        let token = token.ok_or(Error::SessionMissing)?;
        let claims = self.keys.verify(Purpose::Session, &token, now).await?.ok_or(Error::SessionNotFound)?;
        let found = self.store.find_session(&claims).await?;
        let live = found.filter(|(session, user)| session.is_live(user, self.config.session_life, now));
        let (session, _) = live.ok_or(Error::SessionNotFound)?;
        let recorder = Recorder { client: &client, life: self.config.activity_life, now };
        let activity = recorder.succeeded(&session.uid, Action::Logout);
        if !self.store.end_session(&session.uid, &session.id_hash, Some(&activity)).await? {
            return Err(Error::SessionNotFound);
        }
        with_cookie(empty(StatusCode::NO_CONTENT), &clearing_cookie(&self.config.session_name))
    }
}
