//! `GET /resource/sessions`: lists the live sessions of the user.

use std::cmp::Reverse;

use shared::{
    Error,
    http::{Body, Request, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
};

use super::view::{View, with_current};

pub struct List {
    pub authenticator: Authenticator,
}

impl List {
    /// Returns the newest sessions and the current one, newest first.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let life = self.authenticator.session_lifetime;
        let newest = self
            .authenticator
            .store
            .sessions(&signed_in.user.uid)
            .await?;
        let mut sessions = with_current(newest, &signed_in.session);
        sessions.retain(|session| session.is_live(&signed_in.user, life, now));
        sessions.sort_by_key(|session| Reverse((session.began_at, session.id.clone())));
        let views: Vec<_> = sessions
            .iter()
            .map(|session| View::of(session, &signed_in.session, life))
            .collect();
        json(StatusCode::OK, &views)
    }
}
