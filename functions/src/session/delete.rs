//! `DELETE /identity/sessions`: signs out.

use shared::{
    Error,
    clock::Timestamp,
    config::Config,
    http::{Body, Form, Request, Response, StatusCode, empty, presented_token, with_cookie},
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
        let token = presented_token(request.headers(), &self.config.session_name).map(ToOwned::to_owned);
        // No parameters, but the rules for bodies hold here too.
        Form::read(request).await?;
        let token = token.ok_or(Error::SessionMissing)?;
        let claims = self.keys.verify(Purpose::Session, &token, now).await?.ok_or(Error::SessionNotFound)?;
        let found = self.store.find_session(&claims).await?;
        let live = found.filter(|(session, user)| session.is_live(user, self.config.session_life, now));
        let (session, _) = live.ok_or(Error::SessionNotFound)?;
        if !self.store.end_session(&session).await? {
            return Err(Error::SessionNotFound);
        }
        with_cookie(empty(StatusCode::NO_CONTENT), &clearing_cookie(&self.config.session_name))
    }
}
