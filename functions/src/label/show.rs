//! `GET /resource/labels/{key}`: returns a label of the user.

use shared::{
    Error,
    http::{Body, Request, RequestExt, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
};

pub struct Show {
    pub authenticator: Authenticator,
}

impl Show {
    /// Returns the label, of either scope.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let parameters = request.path_parameters();
        let key = parameters.first("key").unwrap_or_default();
        let label = signed_in
            .user
            .listed_label(key)
            .ok_or(Error::RecordNotFound)?;
        json(StatusCode::OK, &label)
    }
}
