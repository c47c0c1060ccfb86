//! `POST /identity/sessions`: signs in.

use shared::{
    Error,
    clock::Timestamp,
    config::Config,
    email::lookup_key,
    http::{Body, Form, Request, Response, StatusCode, client, json, with_cookie},
    keys::Keys,
    otp,
    password::{Hasher, Password, Verdict},
    session::NewSession,
    store::Store,
    user::User,
};

/// What it works with.
pub struct Create {
    /// The configuration.
    pub config: Config,
    /// The tables.
    pub store: Store,
    /// The keys that tokens are signed with.
    pub keys: Keys,
    /// Checks passwords.
    pub hasher: Hasher,
}

struct Input {
    email: String,
    password: Password,
    otp_code: Option<String>,
}

impl Create {
    /// Opens a session for who knows the password and, where it is on, has the second factor.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let client = client(&request);
        let Input { email, password, otp_code } = read(request).await?;
        let user = self.authenticate(&email, &password).await?;
        user.may_sign_in()?;
        let new = NewSession::begin(&user, client, self.config.session_life, now);
        let cookie = new.cookie(&user.email, &*self.keys.keyring().await?, &self.config).map_err(Error::internal)?;
        match time_step(&user, otp_code.as_deref(), now)? {
            None => self.store.open_session(&new.session).await?,
            Some(step) => self.store.open_session_with_otp(&user, &new.session, step).await?.ok_or(Error::OtpInvalid)?,
        }
        with_cookie(json(StatusCode::CREATED, &user.profile(Some(&new.csrf_token)))?, &cookie)
    }

    /// The user whose password this is. An unknown address and a wrong password take the same time and get the same answer.
    async fn authenticate(&self, email: &str, password: &Password) -> Result<User, Error> {
        let user = self.store.find_user(&lookup_key(email)).await?;
        let verdict = self.hasher.verify(password, user.as_ref().map(|user| &user.password_hash)).await?;
        let user = user.filter(|_| verdict != Verdict::Wrong).ok_or(Error::InvalidCredentials)?;
        if verdict == Verdict::RightButOutdated {
            self.store.replace_hash(&user, &self.hasher.hash(password).await?).await?;
        }
        Ok(user)
    }
}

/// The time step that the second factor's code uses up; `None` where there is no second factor.
fn time_step(user: &User, code: Option<&str>, now: Timestamp) -> Result<Option<u64>, Error> {
    let Some(secret) = &user.otp_secret else { return Ok(None) };
    let code = code.ok_or(Error::OtpMissing)?;
    let step = otp::accepted_step(secret, code, user.otp_last_step, now).map_err(Error::internal)?;
    step.map(Some).ok_or(Error::OtpInvalid)
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.session");
    let email = parameters.email();
    let password = parameters.password("password");
    parameters.captcha_response();
    let otp_code = parameters.optional("otp_code");
    parameters.finish().map(|()| Input { email, password, otp_code })
}
