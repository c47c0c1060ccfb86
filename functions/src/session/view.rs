//! A session in responses. Its id is a hash, which cannot be used as a credential.

use serde::Serialize;
use shared::domain::session::{Session, SessionId, SessionLifetime};

#[derive(Serialize)]
pub struct View<'a> {
    id: &'a SessionId,
    user_ip: &'a str,
    user_agent: &'a str,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    current: bool,
}

impl<'a> View<'a> {
    /// The view of a session in a response to a request that presents the session `current`.
    pub fn of(session: &'a Session, current: &Session, life: SessionLifetime) -> Self {
        Self {
            id: &session.id,
            user_ip: &session.user_ip,
            user_agent: &session.user_agent,
            created_at: session.began_at.rfc3339(),
            last_used_at: session.last_used_at.rfc3339(),
            expires_at: session.ends_at(life).rfc3339(),
            current: session.id == current.id,
        }
    }
}

/// Adds the current session, which may be older than the newest ones of the user.
pub fn with_current(mut sessions: Vec<Session>, current: &Session) -> Vec<Session> {
    if !sessions.iter().any(|session| session.id == current.id) {
        sessions.push(current.clone());
    }
    sessions
}
