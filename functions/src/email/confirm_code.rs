//! `POST /identity/users/email/confirm_code`: confirms an address with the token of a mail.

use shared::{
    Error,
    config::Sessions,
    domain::{one_time_code, session::NewSession, user::State},
    http::{
        Body, Form, OriginCheck, Request, Response, StatusCode, client, json, session_cookie,
        with_cookie,
    },
    platform::clock::Timestamp,
    store::{Confirmation, Store},
    tokens::{key_provider::KeyProvider, signed_token::Purpose},
};

pub struct ConfirmCode {
    pub origins: OriginCheck,
    pub store: Store,
    pub keys: KeyProvider,
    pub sessions: Sessions,
}

impl ConfirmCode {
    /// Activates the user and opens a session. A user with a second factor has to sign in instead.
    /// Of concurrent confirmations with one code, exactly one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        self.origins.check(&request)?;
        let client = client(&request);
        let token = read(request).await?;
        let claims = self
            .keys
            .verify(Purpose::Confirmation, &token, now)
            .await?
            .ok_or(Error::TokenInvalid)?;
        let (user, code) = self
            .store
            .find_code(&claims, one_time_code::Kind::Confirmation)
            .await?;
        let code = code
            .filter(|code| code.is_valid(&claims.token_id, now))
            .ok_or(Error::TokenUtilized)?;
        let user = user
            .filter(|user| user.uid == claims.uid && user.state == State::Pending)
            .ok_or(Error::NothingToConfirm)?;
        let confirmed = user.confirmed(now);
        let new = user
            .otp_secret
            .is_none()
            .then(|| NewSession::begin(&user, client, self.sessions.lifetime, now));
        let signing_keys = self.keys.signing_keys(now).await?;
        let cookie = new
            .as_ref()
            .map(|new| session_cookie(&self.sessions.cookie_name, new, &user.email, &signing_keys))
            .transpose()
            .map_err(Error::internal)?;
        match self
            .store
            .confirm_email(
                &user,
                &confirmed,
                &code,
                new.as_ref().map(|new| &new.session),
            )
            .await?
        {
            Confirmation::Done => {}
            Confirmation::CodeUsed => return Err(Error::TokenUtilized),
            Confirmation::NothingToConfirm => return Err(Error::NothingToConfirm),
        }
        let csrf_token = new.as_ref().map(|new| new.csrf_token.as_str());
        let response = json(StatusCode::CREATED, &confirmed.profile(csrf_token))?;
        match cookie {
            Some(cookie) => with_cookie(response, &cookie),
            None => Ok(response),
        }
    }
}

async fn read(request: Request) -> Result<String, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.user");
    let token = parameters.token("token");
    parameters.optional("lang");
    parameters.finish().map(|()| token)
}
