//! `GET /resource/labels`: lists the labels of the user.

use shared::{
    Error,
    http::{Body, Request, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
};

pub struct List {
    pub authenticator: Authenticator,
}

impl List {
    /// Returns the labels of both scopes, as in the user.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        json(StatusCode::OK, &signed_in.user.label_views())
    }
}
