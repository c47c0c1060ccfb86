//! `DELETE /identity/sessions`: signs out.

use shared::{
    Error,
    config::{Accounts, Sessions},
    domain::activity::{Action, Recorder},
    http::{
        Body, Credential, Form, Request, Response, StatusCode, clearing_cookie, client, empty,
        with_cookie,
    },
    platform::clock::Timestamp,
    store::{Outcome, Store},
    tokens::{key_provider::KeyProvider, signed_token::Purpose},
};

/// What it works with.
pub struct Delete {
    /// The tables.
    pub store: Store,
    /// The keys that tokens are verified by.
    pub keys: KeyProvider,
    /// What holds for every account.
    pub accounts: Accounts,
    /// How sessions are kept.
    pub sessions: Sessions,
}

impl Delete {
    /// Ends the session that is presented, at once. Of any number of sign-outs at once one
    /// succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let token = Credential::of(request.headers(), &self.sessions.cookie_name)
            .map(|presented| presented.token().to_owned());
        // No parameters, but the rules for bodies hold here too.
        Form::read(request).await?;
        let token = token.ok_or(Error::SessionMissing)?;
        let claims = self
            .keys
            .verify(Purpose::Session, &token, now)
            .await?
            .ok_or(Error::SessionNotFound)?;
        let found = self.store.find_session(&claims).await?;
        let live =
            found.filter(|(session, user)| session.is_live(user, self.sessions.lifetime, now));
        let (session, _) = live.ok_or(Error::SessionNotFound)?;
        let recorder = Recorder {
            client: &client,
            life: self.accounts.activity_retention,
            now,
        };
        let activity = recorder.succeeded(&session.uid, Action::Logout);
        if self
            .store
            .end_session(&session.uid, &session.id_hash, Some(&activity))
            .await?
            == Outcome::Conflict
        {
            return Err(Error::SessionNotFound);
        }
        with_cookie(
            empty(StatusCode::NO_CONTENT),
            &clearing_cookie(&self.sessions.cookie_name),
        )
    }
}
