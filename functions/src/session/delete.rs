//! `DELETE /identity/sessions`: ends the presented sessions.

use shared::{
    Error,
    config::{Accounts, Sessions},
    domain::{
        activity::{Action, Recorder},
        user::Withheld,
    },
    http::{
        Body, Credential, Form, Request, Response, StatusCode, clearing_cookie, client, empty,
        with_cookie,
    },
    platform::clock::Timestamp,
    store::Store,
    tokens::key_cache::KeyCache,
};

pub struct Delete {
    pub store: Store,
    pub keys: KeyCache,
    pub accounts: Accounts,
    pub sessions: Sessions,
}

impl Delete {
    /// Ends every presented session and clears the cookie. Of concurrent requests with one session,
    /// exactly one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let credential = Credential::of(request.headers(), &self.sessions.cookie_name);
        // There are no parameters, but an invalid body is rejected as everywhere.
        Form::read(request).await?;
        let credential = credential.ok_or(Error::SessionMissing)?;
        let mut found = credential
            .sessions::<Withheld>(&self.keys, &self.store, now)
            .await?;
        found.retain(|(session, user)| session.is_live(user, self.sessions.lifetime, now));
        let recorder = Recorder {
            client: &client,
            life: self.accounts.activity_retention,
            now,
        };
        let mut has_ended = false;
        for (session, _) in found {
            let activity = recorder.succeeded(&session.uid, Action::Logout);
            has_ended |= self
                .store
                .end_session(&session.uid, &session.id, Some(&activity))
                .await?
                .is_written();
        }
        if !has_ended {
            return Err(Error::SessionNotFound);
        }
        with_cookie(
            empty(StatusCode::NO_CONTENT),
            &clearing_cookie(&self.sessions.cookie_name),
        )
    }
}
