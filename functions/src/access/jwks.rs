//! `GET /.well-known/jwks.json`: returns the public keys of access tokens (RFC 7517).

use shared::{
    Error,
    http::{Body, Response, cacheable_json},
    platform::clock::Timestamp,
    store::{AccessKeys, Signer},
};

pub struct Jwks {
    pub keys: AccessKeys,
    /// The keys of session tokens.
    pub signer: Signer,
}

impl Jwks {
    /// Also publishes the keys of session tokens to the other functions, so that a request for the
    /// JWK Set completes an update or a rotation. A failure does not affect the response.
    pub async fn handle(&self, now: Timestamp) -> Result<Response<Body>, Error> {
        let (keys, published) = tokio::join!(self.keys.published(now), self.signer.publish(now));
        if let Err(error) = published {
            tracing::warn!(%error, "the public keys of session tokens could not be published");
        }
        cacheable_json(&keys?.jwks())
    }
}
