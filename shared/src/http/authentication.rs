//! The gate of the operations for who is signed in.

use lambda_http::{
    Request,
    http::{HeaderMap, Method},
};

use crate::{
    Error,
    domain::{
        activity::Recorder,
        session::{Client, Session, SessionLifetime},
        user::{State, User},
    },
    http::{Credential, serve::client},
    platform::clock::Timestamp,
    store::{Outcome, Store},
    tokens::{key_provider::KeyProvider, signed_token::Purpose},
};

/// The header that proves that a page of the front end sent a request, and not another site in its
/// user's browser.
const CSRF_HEADER: &str = "x-csrf-token";

/// Lets in who is signed in.
pub struct Authenticator {
    /// The tables.
    pub store: Store,
    /// The keys that tokens are verified by.
    pub keys: KeyProvider,
    /// Name of the session cookie.
    pub cookie_name: String,
    /// How long sessions live.
    pub session_lifetime: SessionLifetime,
}

/// Who was let in.
pub struct AuthenticatedSession {
    /// The session that was presented.
    pub session: Session,
    /// Its user.
    pub user: User,
    /// Where the request comes from.
    pub client: Client,
}

impl AuthenticatedSession {
    /// Records what the user does; activities are kept for `retention` seconds.
    #[must_use]
    pub fn recorder(&self, retention: i64, now: Timestamp) -> Recorder<'_> {
        Recorder {
            client: &self.client,
            life: retention,
            now,
        }
    }
}

impl Authenticator {
    /// Who sent the request, if that is who signed in. The first thing that is not in order is
    /// told.
    pub async fn authenticate(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<AuthenticatedSession, Error> {
        self.authenticate_client(request.method(), request.headers(), client(request), now)
            .await
    }

    /// The same of a request that somebody else received.
    pub async fn authenticate_client(
        &self,
        method: &Method,
        headers: &HeaderMap,
        client: Client,
        now: Timestamp,
    ) -> Result<AuthenticatedSession, Error> {
        let credential = Credential::of(headers, &self.cookie_name).ok_or(Error::NotSignedIn)?;
        let claims = self
            .keys
            .verify(Purpose::Session, credential.token(), now)
            .await?
            .ok_or(Error::NotSignedIn)?;
        let (mut session, user) = self.live(self.store.find_session(&claims).await?, now)?;
        if !session.is_of(&client) {
            // A conflict means that the session has ended already.
            let _ = self
                .store
                .end_session(&session.uid, &session.id_hash, None)
                .await?;
            return Err(Error::ClientMismatch);
        }
        check_csrf(method, credential, headers, &session)?;
        is_active(&user)?;
        if session.is_to_be_touched(now) {
            if self.store.touch_session(&session, now).await? == Outcome::Conflict {
                // Ended at this very moment.
                return Err(Error::NotSignedIn);
            }
            session.last_used_at = now;
        }
        Ok(AuthenticatedSession {
            session,
            user,
            client,
        })
    }

    /// The same user and session as they are by now, if they would still be let in: for who was
    /// overtaken by another request.
    pub async fn authenticate_again(
        &self,
        before: AuthenticatedSession,
        now: Timestamp,
    ) -> Result<AuthenticatedSession, Error> {
        let found = self
            .store
            .find_session_again(&before.session, &before.user)
            .await?;
        let (session, user) = self.live(found, now)?;
        is_active(&user)?;
        Ok(AuthenticatedSession {
            session,
            user,
            client: before.client,
        })
    }

    fn live(
        &self,
        found: Option<(Session, User)>,
        now: Timestamp,
    ) -> Result<(Session, User), Error> {
        let live =
            found.filter(|(session, user)| session.is_live(user, self.session_lifetime, now));
        live.ok_or(Error::NotSignedIn)
    }
}

fn is_active(user: &User) -> Result<(), Error> {
    if matches!(user.state, State::Active | State::Pending) {
        Ok(())
    } else {
        Err(Error::UserNotActive)
    }
}

/// Whether requests of the method change something, or may.
#[must_use]
pub fn is_state_changing(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// What changes something needs the csrf token, unless the session came in a way that no other site
/// can make a browser send it.
fn check_csrf(
    method: &Method,
    credential: Credential<'_>,
    headers: &HeaderMap,
    session: &Session,
) -> Result<(), Error> {
    if matches!(credential, Credential::Bearer(_)) || !is_state_changing(method) {
        return Ok(());
    }
    let csrf_token = headers
        .get(CSRF_HEADER)
        .map(|value| value.to_str().unwrap_or_default().trim());
    let csrf_token = csrf_token
        .filter(|token| !token.is_empty())
        .ok_or(Error::CsrfTokenMissing)?;
    if session.has_csrf_token(csrf_token) {
        Ok(())
    } else {
        Err(Error::CsrfTokenMismatch)
    }
}
