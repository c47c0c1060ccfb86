//! `GET /resource/passkeys`: lists the passkeys of the user.

use shared::{
    Error,
    domain::passkey::{Passkey, newest_first},
    http::{Body, Request, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
};

pub struct List {
    pub authenticator: Authenticator,
}

impl List {
    /// Returns the passkeys, newest first.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let store = &self.authenticator.store;
        let mut passkeys = store.passkeys(&signed_in.user).await?;
        newest_first(&mut passkeys);
        let views: Vec<_> = passkeys.iter().map(Passkey::view).collect();
        json(StatusCode::OK, &views)
    }
}
