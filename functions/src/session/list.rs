//! `GET /resource/sessions`: the sessions of who is signed in.

use std::cmp::Reverse;

use serde::Serialize;
use shared::{
    Error,
    http::{Body, Request, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
};

/// What it works with.
pub struct List {
    /// Lets in who is signed in.
    pub authenticator: Authenticator,
}

/// What is told of a session. Its id is the hash that it is stored under, which lets nobody in.
#[derive(Serialize)]
struct View<'a> {
    id: &'a str,
    user_ip: &'a str,
    user_agent: &'a str,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    current: bool,
}

impl List {
    /// Answers with the live sessions, newest first.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let life = self.authenticator.session_lifetime;
        let mut sessions = self
            .authenticator
            .store
            .sessions(&signed_in.user.uid)
            .await?;
        sessions.retain(|session| session.is_live(&signed_in.user, life, now));
        sessions.sort_by_key(|session| Reverse((session.began_at, session.id_hash.clone())));
        let views: Vec<_> = sessions
            .iter()
            .map(|session| View {
                id: &session.id_hash,
                user_ip: &session.user_ip,
                user_agent: &session.user_agent,
                created_at: session.began_at.rfc3339(),
                last_used_at: session.last_used_at.rfc3339(),
                expires_at: session.ends_at(life).rfc3339(),
                current: session.id_hash == signed_in.session.id_hash,
            })
            .collect();
        json(StatusCode::OK, &views)
    }
}
