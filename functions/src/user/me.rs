//! `GET /resource/users/me`: returns the user of the session.

use shared::{
    Error,
    http::{Body, Request, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
};

pub struct Me {
    pub authenticator: Authenticator,
}

impl Me {
    /// Returns the user without the CSRF token. It is returned once, when the session is opened,
    /// because only its hash is stored.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        json(StatusCode::OK, &signed_in.user.profile(None))
    }
}
