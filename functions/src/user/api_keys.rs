//! `GET /resource/api_keys`: returns an empty list, because users have no API keys here.

use shared::{
    Error,
    http::{Body, HeaderValue, Request, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
};

pub struct ApiKeys {
    pub authenticator: Authenticator,
}

impl ApiKeys {
    /// Returns no keys. Clients of Barong list the keys on the profile of the user.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        self.authenticator.authenticate(&request, now).await?;
        let mut response = json(StatusCode::OK, &[(); 0])?;
        response.headers_mut().insert("total", HeaderValue::from(0));
        Ok(response)
    }
}
