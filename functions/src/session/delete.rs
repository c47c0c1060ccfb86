//! `DELETE /identity/sessions`: ends the presented session.

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

pub struct Delete {
    pub store: Store,
    pub keys: KeyProvider,
    pub accounts: Accounts,
    pub sessions: Sessions,
}

impl Delete {
    /// Ends the session and clears its cookie. Of concurrent requests, exactly one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let token = Credential::of(request.headers(), &self.sessions.cookie_name)
            .map(|presented| presented.token().to_owned());
        // There are no parameters, but an invalid body is rejected as everywhere.
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
            .end_session(&session.uid, &session.id, Some(&activity))
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
