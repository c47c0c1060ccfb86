//! `GET /.well-known/jwks.json`: the keys that access tokens are verified by.

use shared::{
    Error,
    clock::Timestamp,
    http::{Body, Response, cacheable_json},
    keys::Keys,
};

/// What it works with.
pub struct Jwks {
    /// The keys.
    pub keys: Keys,
}

impl Jwks {
    /// Answers.
    pub async fn handle(&self, now: Timestamp) -> Result<Response<Body>, Error> {
        cacheable_json(self.keys.access_keyring(now).await?.jwks())
    }
}
