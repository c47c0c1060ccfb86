//! `GET /.well-known/jwks.json`: returns the public keys of access tokens (RFC 7517).

use shared::{
    Error,
    http::{Body, Response, cacheable_json},
    platform::clock::Timestamp,
    tokens::key_provider::KeyProvider,
};

pub struct Jwks {
    pub keys: KeyProvider,
}

impl Jwks {
    pub async fn handle(&self, now: Timestamp) -> Result<Response<Body>, Error> {
        cacheable_json(self.keys.access_token_keys(now).await?.jwks())
    }
}
