//! The cookies of responses that open a session.

use lambda_http::{Body, Response, http::StatusCode};

use super::{
    cookies::cookie,
    device_cookie::KnownDevices,
    response::{json, with_cookie},
};
use crate::{
    BoxError, Error,
    domain::{
        device::Device,
        session::NewSession,
        user::{CredentialAccess, User},
    },
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};

/// The `Set-Cookie` values of a response that opens a session.
pub struct SessionCookies {
    session: String,
    /// `None` if the session is not remembered.
    device: Option<String>,
}

impl SessionCookies {
    /// The session cookie and, if the session is remembered, the device cookie with a new device
    /// of the user.
    ///
    /// # Errors
    /// [`Error::Internal`] if a token cannot be signed.
    pub fn sign<C: CredentialAccess>(
        cookie_name: &str,
        new: &NewSession,
        user: &User<C>,
        devices: &KnownDevices,
        second_factor: bool,
        signing_keys: &SigningKeys,
    ) -> Result<Self, Error> {
        let began_at = new.session.last_used_at;
        let device = new
            .session
            .remember
            .then(|| Device::begin(user, user.device_epoch, second_factor, began_at));
        Ok(Self {
            session: session_cookie(cookie_name, new, user, signing_keys)
                .map_err(Error::internal)?,
            device: device
                .map(|device| devices.cookie_with(&device, signing_keys))
                .transpose()?,
        })
    }

    /// The response that opens the session: 201 with the user, the CSRF token and the cookies.
    ///
    /// # Errors
    /// As [`json`] and [`with_cookie`].
    pub fn response<C: CredentialAccess>(
        &self,
        user: &User<C>,
        new: &NewSession,
    ) -> Result<Response<Body>, Error> {
        let profile = user.profile(Some(&new.csrf_token));
        let response = with_cookie(json(StatusCode::CREATED, &profile)?, &self.session)?;
        match &self.device {
            Some(device) => with_cookie(response, device),
            None => Ok(response),
        }
    }
}

/// The `Set-Cookie` value with the token of a new session. Its `Max-Age` is the rest of the
/// session's lifetime, in seconds; a session that is not remembered has none.
fn session_cookie<C: CredentialAccess>(
    name: &str,
    new: &NewSession,
    user: &User<C>,
    signing_keys: &SigningKeys,
) -> Result<String, BoxError> {
    let session = &new.session;
    let token = signing_keys.sign(&Claims::new(
        Purpose::Session,
        new.token_id.clone(),
        session.uid.clone(),
        user.account_key(),
        session.began_at,
        session.expires_at,
    ))?;
    let rest = session.expires_at.seconds() - session.last_used_at.seconds();
    Ok(cookie(name, &token, session.remember.then_some(rest)))
}
