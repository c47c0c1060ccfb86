//! `GET /resource/passkeys`: lists the passkeys of the user.

use std::cmp::Reverse;

use shared::{
    Error,
    domain::passkey::Passkey,
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
        passkeys.sort_by_key(|passkey| Reverse((passkey.created_at, passkey.hash())));
        let views: Vec<_> = passkeys.iter().map(Passkey::view).collect();
        json(StatusCode::OK, &views)
    }
}
