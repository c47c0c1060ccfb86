//! `GET /.well-known/jwks.json`: the keys that access tokens are verified by.

use shared::{
    Error,
    http::{Body, Response, cacheable_json},
    platform::clock::Timestamp,
    tokens::key_provider::KeyProvider,
};

/// What it works with.
pub struct Jwks {
    /// The keys.
    pub keys: KeyProvider,
}

impl Jwks {
    /// Answers.
    pub async fn handle(&self, now: Timestamp) -> Result<Response<Body>, Error> {
        cacheable_json(self.keys.access_token_keys(now).await?.jwks())
    }
}
