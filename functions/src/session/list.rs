//! `GET /resource/sessions`: lists the live sessions of the user.

use std::cmp::Reverse;

use serde::Serialize;
use shared::{
    Error,
    domain::session::SessionId,
    http::{Body, Request, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
};

pub struct List {
    pub authenticator: Authenticator,
}

/// A session in the response. The id is a hash, which cannot be used as a credential.
#[derive(Serialize)]
struct View<'a> {
    id: &'a SessionId,
    user_ip: &'a str,
    user_agent: &'a str,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    current: bool,
}

impl List {
    /// Returns the newest sessions and the current one, newest first.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let life = self.authenticator.session_lifetime;
        let mut sessions = self
            .authenticator
            .store
            .sessions(&signed_in.user.uid)
            .await?;
        // The current session may be older than those that are listed.
        if !sessions
            .iter()
            .any(|session| session.id == signed_in.session.id)
        {
            sessions.push(signed_in.session.clone());
        }
        sessions.retain(|session| session.is_live(&signed_in.user, life, now));
        sessions.sort_by_key(|session| Reverse((session.began_at, session.id.clone())));
        let views: Vec<_> = sessions
            .iter()
            .map(|session| View {
                id: &session.id,
                user_ip: &session.user_ip,
                user_agent: &session.user_agent,
                created_at: session.began_at.rfc3339(),
                last_used_at: session.last_used_at.rfc3339(),
                expires_at: session.ends_at(life).rfc3339(),
                current: session.id == signed_in.session.id,
            })
            .collect();
        json(StatusCode::OK, &views)
    }
}
