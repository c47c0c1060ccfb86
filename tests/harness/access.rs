//! Verification of access tokens, as a service behind Latchkey does it.

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::Value;

use super::{Answer, stack::Latchkey};

/// The access token in a response that allows a request.
#[track_caller]
pub fn bearer_of(answer: &Answer) -> &str {
    assert_eq!((answer.status, answer.text()), (200, ""), "{answer:?}");
    answer
        .header("authorization")
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap()
}

/// The key id in the header of a token.
pub fn kid(token: &str) -> Option<String> {
    decode_header(token).unwrap().kid
}

/// The claims of a token, if it is an access token of that issuer, signed by a published key.
pub fn verified(published: &Value, issuer: &str, token: &str) -> Option<Value> {
    let published: JwkSet = serde_json::from_value(published.clone()).unwrap();
    let header = decode_header(token).ok()?;
    let key = published.find(&header.kid?)?;
    // The published key determines the algorithm, never the token.
    let algorithm = key.common.key_algorithm?.to_string().parse().ok()?;
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&["latchkey"]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    decode(token, &DecodingKey::from_jwk(key).unwrap(), &validation)
        .ok()
        .map(|token| token.claims)
}

impl Latchkey {
    /// The published keys.
    pub async fn jwks(&self) -> Value {
        self.get("/.well-known/jwks.json").send().await.json()
    }

    /// The claims of a token, if it is a valid access token of this stack.
    pub async fn verified(&self, token: &str) -> Option<Value> {
        verified(&self.jwks().await, &self.domain(), token)
    }
}
