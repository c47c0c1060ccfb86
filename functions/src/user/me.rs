//! `GET /resource/users/me`: who is signed in.

use shared::{
    Error,
    http::{Body, Request, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
};

/// What it works with.
pub struct Me {
    /// Lets in who is signed in.
    pub authenticator: Authenticator,
}

impl Me {
    /// Answers with the user. The csrf token is told at sign-in and nowhere else: only its hash is
    /// kept.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        json(StatusCode::OK, &signed_in.user.profile(None))
    }
}
