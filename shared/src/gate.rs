//! The gate of the operations for who is signed in.

use lambda_http::{
    Request,
    http::{HeaderMap, Method},
};

use crate::{
    Error,
    activity::Recorder,
    aws::Aws,
    clock::Timestamp,
    config::Config,
    http::{self, Credential},
    keys::Keys,
    session::{Client, Session},
    store::Store,
    token::Purpose,
    user::{State, User},
};

/// The header that proves that a page of the front end sent a request, and not another site in its user's browser.
const CSRF_HEADER: &str = "x-csrf-token";

/// Lets in who is signed in.
pub struct Gate {
    /// The configuration.
    pub config: Config,
    /// The tables.
    pub store: Store,
    /// The keys that tokens are verified by.
    pub keys: Keys,
}

/// Who was let in.
pub struct SignedIn {
    /// The session that was presented.
    pub session: Session,
    /// Its user.
    pub user: User,
    /// Where the request comes from.
    pub client: Client,
}

impl SignedIn {
    /// Writes down what the user does.
    #[must_use]
    pub fn recorder(&self, config: &Config, now: Timestamp) -> Recorder<'_> {
        Recorder { client: &self.client, life: config.activity_life, now }
    }
}

impl Gate {
    /// The gate of a function, with clients of its own. Must be called within a tokio runtime, for the keys are fetched at once.
    #[must_use]
    pub fn new(config: Config, aws: &Aws) -> Self {
        let store = Store::new(aws.dynamodb(), &config);
        Self { store, keys: Keys::fetch(aws.secrets_manager(), &config.token_secret), config }
    }

    /// Who sent the request, if that is who signed in. The first thing that is not in order is told.
    pub async fn admit(&self, request: &Request, now: Timestamp) -> Result<SignedIn, Error> {
        self.admit_client(request.method(), request.headers(), http::client(request), now).await
    }

    /// The same of a request that somebody else received.
    pub async fn admit_client(
        &self,
        method: &Method,
        headers: &HeaderMap,
        client: Client,
        now: Timestamp,
    ) -> Result<SignedIn, Error> {
        let credential = Credential::of(headers, &self.config.session_name).ok_or(Error::NotSignedIn)?;
        let claims = self.keys.verify(Purpose::Session, credential.token(), now).await?.ok_or(Error::NotSignedIn)?;
        let (mut session, user) = self.live(self.store.find_session(&claims).await?, now)?;
        if !session.is_of(&client) {
            self.store.end_session(&session.uid, &session.id_hash, None).await?;
            return Err(Error::ClientMismatch);
        }
        check_csrf(method, credential, headers, &session)?;
        is_active(&user)?;
        if session.is_to_be_touched(now) {
            if !self.store.touch_session(&session, now).await? {
                // Ended at this very moment.
                return Err(Error::NotSignedIn);
            }
            session.last_used_at = now;
        }
        Ok(SignedIn { session, user, client })
    }

    /// The same user and session as they are by now, if they would still be let in: for who was overtaken by another request.
    pub async fn admit_again(&self, before: SignedIn, now: Timestamp) -> Result<SignedIn, Error> {
        let found = self.store.find_session_again(&before.session, &before.user).await?;
        let (session, user) = self.live(found, now)?;
        is_active(&user)?;
        Ok(SignedIn { session, user, client: before.client })
    }

    /// What other services are told of who was let in.
    pub async fn access_token(&self, user: &User, now: Timestamp) -> Result<String, Error> {
        let keyring = self.keys.access_keyring(now).await?;
        keyring.sign(user, &self.config.access_token, now).map_err(Error::internal)
    }

    fn live(&self, found: Option<(Session, User)>, now: Timestamp) -> Result<(Session, User), Error> {
        let live = found.filter(|(session, user)| session.is_live(user, self.config.session_life, now));
        live.ok_or(Error::NotSignedIn)
    }
}

fn is_active(user: &User) -> Result<(), Error> {
    if matches!(user.state, State::Active | State::Pending) { Ok(()) } else { Err(Error::UserNotActive) }
}

/// Whether requests of the method change something, or may.
#[must_use]
pub fn is_state_changing(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// What changes something needs the csrf token, unless the session came in a way that no other site can make a browser send it.
fn check_csrf(method: &Method, credential: Credential<'_>, headers: &HeaderMap, session: &Session) -> Result<(), Error> {
    if matches!(credential, Credential::Bearer(_)) || !is_state_changing(method) {
        return Ok(());
    }
    let csrf_token = headers.get(CSRF_HEADER).map(|value| value.to_str().unwrap_or_default().trim());
    let csrf_token = csrf_token.filter(|token| !token.is_empty()).ok_or(Error::CsrfTokenMissing)?;
    if session.has_csrf_token(csrf_token) { Ok(()) } else { Err(Error::CsrfTokenMismatch) }
}
