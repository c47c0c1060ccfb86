//! Authenticates requests by their session.

use lambda_http::{
    Request,
    http::{HeaderMap, Method},
};

use crate::{
    Error,
    domain::{
        activity::Recorder,
        session::{Client, Session, SessionLifetime, SessionSecret},
        session_binding::{ClientMatch, SessionBinding},
        user::{CredentialAccess, Credentials, State, User, Withheld},
    },
    http::{Credential, serve::client},
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, SecurityEvent},
    },
    store::{Outcome, SessionAttempt, Store},
    tokens::key_cache::KeyCache,
};

/// The header that carries the session's CSRF token (OWASP Cross-Site Request Forgery Prevention
/// Cheat Sheet, synchronizer token).
const CSRF_HEADER: &str = "x-csrf-token";

/// Authenticates requests by their session cookie or bearer token.
pub struct Authenticator {
    /// Holds the sessions and their users.
    pub store: Store,
    /// Verifies session tokens.
    pub keys: KeyCache,
    /// Name of the session cookie.
    pub cookie_name: String,
    /// Idle and absolute timeout of sessions.
    pub session_lifetime: SessionLifetime,
    /// Which properties of the client must stay the same during a session.
    pub session_binding: SessionBinding,
    /// Maximum number of state-changing requests per session and calendar minute; 0 means no limit.
    pub requests_per_minute: u32,
}

/// The result of a successful authentication.
pub struct AuthenticatedSession<C = Withheld> {
    /// The session that the request presents.
    pub session: Session,
    /// The user of the session, active or pending.
    pub user: User<C>,
    /// The client that sent the request.
    pub client: Client,
}

/// The verdict on a secret that a user presents in a session.
#[derive(Debug)]
pub enum Verified<T> {
    /// The secret is right.
    Right(T),
    /// The secret is wrong. Contains the error to return.
    Wrong(Error),
}

impl<T> Verified<T> {
    /// Returns `Right` if there is a value, otherwise `Wrong` with this error.
    pub fn right_or(value: Option<T>, error: Error) -> Self {
        value.map_or(Self::Wrong(error), Self::Right)
    }
}

impl<C> AuthenticatedSession<C> {
    /// Requires that the session began, or was re-authenticated, within the last `time` seconds; 0
    /// disables the requirement.
    ///
    /// # Errors
    /// [`Error::ReauthenticationRequired`].
    pub fn require_recent_authentication(&self, time: i64, now: Timestamp) -> Result<(), Error> {
        if self.session.is_recently_authenticated(time, now) {
            Ok(())
        } else {
            Err(Error::ReauthenticationRequired)
        }
    }

    /// A recorder of the user's activities, which expire after `retention` seconds.
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
    /// Authenticates a request and records the use of its session (see [`Session::needs_touch`]).
    ///
    /// If a request presents several live sessions of one user, for example in cookies with
    /// different paths, it is authenticated by the one whose CSRF token it sends, or else by the
    /// newest.
    ///
    /// # Errors
    /// The first of these that applies:
    /// - [`Error::NotSignedIn`]: the request presents no live session, or live sessions of two
    ///   users.
    /// - [`Error::ClientMismatch`]: a different client opened the session, which therefore ends; or
    ///   the binding requires the client's address, which is unknown, and the session is kept.
    /// - [`Error::CsrfTokenMissing`], [`Error::CsrfTokenMismatch`]: the method changes state, and
    ///   the session comes from a cookie, but the request does not send its CSRF token.
    /// - [`Error::UserNotActive`]: the account is neither active nor pending. This error also
    ///   applies to a session that ended with its account.
    pub async fn authenticate(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<AuthenticatedSession, Error> {
        self.authenticate_client(request.method(), request.headers(), client(request), now)
            .await
    }

    /// As [`Authenticator::authenticate`], for an operation that verifies or changes credentials.
    ///
    /// # Errors
    /// As [`Authenticator::authenticate`].
    pub async fn authenticate_with_credentials(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<AuthenticatedSession<Credentials>, Error> {
        self.authenticate_client(request.method(), request.headers(), client(request), now)
            .await
    }

    /// Authenticates a request that a gateway received, from its method, headers and client.
    ///
    /// # Errors
    /// As [`Authenticator::authenticate`].
    pub async fn authenticate_client<C: CredentialAccess>(
        &self,
        method: &Method,
        headers: &HeaderMap,
        client: Client,
        now: Timestamp,
    ) -> Result<AuthenticatedSession<C>, Error> {
        let credential = Credential::of(headers, &self.cookie_name).ok_or(Error::NotSignedIn)?;
        let found = credential.sessions(&self.keys, &self.store, now).await?;
        let csrf_token = csrf_token(headers);
        let (mut session, user) = self.choose(found, csrf_token, now)?;
        match self.session_binding.compare(&session, &client) {
            ClientMatch::Same => {}
            ClientMatch::Different => {
                // A conflict means that the session has already ended.
                let _ = self
                    .store
                    .end_session(&session.uid, &session.id, None)
                    .await?;
                return Err(Error::ClientMismatch);
            }
            ClientMatch::Unknown => return Err(Error::ClientMismatch),
        }
        if matches!(credential, Credential::Cookies(_)) && is_state_changing(method) {
            check_csrf(csrf_token, &session)?;
        }
        check_active(&user)?;
        if self.requests_per_minute > 0 && is_state_changing(method) {
            self.store
                .count_session_request(&session, self.requests_per_minute, now)
                .await?;
            session.last_used_at = now;
        } else if session.needs_touch(self.session_lifetime, now) {
            if self.store.touch_session(&session, now).await? == Outcome::Conflict {
                // The session ended after it was read.
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

    /// Reads the session and its user again, after a write conflicted with another request.
    ///
    /// # Errors
    /// - [`Error::NotSignedIn`]: the session is no longer live.
    /// - [`Error::UserNotActive`]: the account is neither active nor pending.
    pub async fn reload<C: CredentialAccess>(
        &self,
        authenticated: AuthenticatedSession<C>,
        now: Timestamp,
    ) -> Result<AuthenticatedSession<C>, Error> {
        let found = self
            .store
            .reload_session(&authenticated.session, &authenticated.user, now)
            .await?;
        let (session, user) = self.choose(found.into_iter().collect(), None, now)?;
        check_active(&user)?;
        Ok(AuthenticatedSession {
            session,
            user,
            client: authenticated.client,
        })
    }

    /// Verifies a secret in a session. The attempt is counted before `verify` runs; a right secret
    /// clears the count of its kind, and the tenth wrong one in a row ends the session. The attempt
    /// is refunded if `verify` returns an error.
    ///
    /// # Errors
    /// The error of `verify` or of a wrong secret, [`Error::TooManyAttempts`] if ten attempts are
    /// in progress, and [`Error::NotSignedIn`] if the session ended.
    pub async fn verify_in_session<T>(
        &self,
        session: &Session,
        secret: SessionSecret,
        verify: impl Future<Output = Result<Verified<T>, Error>>,
    ) -> Result<T, Error> {
        let is_last = match self.store.count_session_attempt(session, secret).await? {
            SessionAttempt::Counted { is_last } => is_last,
            SessionAttempt::Exhausted => return Err(Error::TooManyAttempts { retry_after: 1 }),
            SessionAttempt::Ended => return Err(Error::NotSignedIn),
        };
        match verify.await {
            Ok(Verified::Right(value)) => {
                match self.store.clear_session_attempts(session, secret).await? {
                    Outcome::Written => Ok(value),
                    Outcome::Conflict => Err(Error::NotSignedIn),
                }
            }
            Ok(Verified::Wrong(error)) => {
                if is_last {
                    // A conflict means that the session has already ended.
                    let _ = self
                        .store
                        .end_session(&session.uid, &session.id, None)
                        .await?;
                    metrics::security_event(SecurityEvent::SessionEnded);
                }
                Err(error)
            }
            Err(error) => {
                self.store.refund_session_attempt(session, secret).await?;
                Err(error)
            }
        }
    }

    /// Chooses the session of a request: a live one, or else one that [ended with its
    /// account](Session::ended_with_account), which [`check_active`] then rejects.
    fn choose<C>(
        &self,
        found: Vec<(Session, User<C>)>,
        csrf_token: Option<&str>,
        now: Timestamp,
    ) -> Result<(Session, User<C>), Error> {
        let life = self.session_lifetime;
        let (mut candidates, over): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|(session, user)| session.is_live(user, life, now));
        if candidates.is_empty() {
            candidates = over;
            candidates.retain(|(session, user)| session.ended_with_account(user, life, now));
        }
        let (first, _) = candidates.first().ok_or(Error::NotSignedIn)?;
        if candidates.iter().any(|(other, _)| other.uid != first.uid) {
            return Err(Error::NotSignedIn);
        }
        let has_csrf_token =
            |session: &Session| csrf_token.is_some_and(|token| session.has_csrf_token(token));
        candidates
            .into_iter()
            .max_by_key(|(session, _)| {
                (
                    has_csrf_token(session),
                    session.began_at,
                    session.id.clone(),
                )
            })
            .ok_or(Error::NotSignedIn)
    }
}

fn check_active<C>(user: &User<C>) -> Result<(), Error> {
    if matches!(user.state, State::Active | State::Pending) {
        Ok(())
    } else {
        Err(Error::UserNotActive)
    }
}

/// Whether a method may change state: all but GET, HEAD and OPTIONS, which are safe (RFC 9110,
/// section 9.2.1).
#[must_use]
pub fn is_state_changing(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// The CSRF token that a request sends, if it is not blank.
fn csrf_token(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(CSRF_HEADER)?;
    let token = header.to_str().ok()?.trim();
    (!token.is_empty()).then_some(token)
}

/// Requires the CSRF token of a session that comes from a cookie. Other sites can make a browser
/// send cookies, but not an `Authorization` header.
fn check_csrf(csrf_token: Option<&str>, session: &Session) -> Result<(), Error> {
    let csrf_token = csrf_token.ok_or(Error::CsrfTokenMissing)?;
    if session.has_csrf_token(csrf_token) {
        Ok(())
    } else {
        Err(Error::CsrfTokenMismatch)
    }
}
