//! Verifies access tokens in a service behind a gateway, with the crates `jsonwebtoken` (feature
//! `aws_lc_rs` or `rust_crypto`), `reqwest`, `serde` and `tokio`.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::Mutex, time::Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The claims that this service uses.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    pub uid: String,
    pub role: String,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Verifies tokens of one issuer.
pub struct Verifier {
    http: reqwest::Client,
    discovery: Discovery,
    audience: String,
    keys: Mutex<Option<(Instant, Arc<JwkSet>)>>,
}

impl Verifier {
    /// Fetches the description of the issuer (OIDC Discovery).
    pub async fn discover(issuer: &str, audience: &str) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .build()?;
        let url = format!("{issuer}/.well-known/openid-configuration");
        let discovery: Discovery = json(&http, &url).await?;
        if discovery.issuer != issuer {
            return Err(format!("{url} describes another issuer").into());
        }
        Ok(Self {
            http,
            discovery,
            audience: audience.to_owned(),
            keys: Mutex::default(),
        })
    }

    /// The user of a token; `None` if the token is not valid.
    pub async fn user(&self, token: &str) -> Result<Option<User>, Failure> {
        let Some(kid) = decode_header(token).ok().and_then(|header| header.kid) else {
            return Ok(None);
        };
        let keys = self.keys(&kid).await?;
        let Some(jwk) = keys.find(&kid) else {
            return Ok(None);
        };
        // The published key determines the algorithm, never the token.
        let algorithm = jwk.common.key_algorithm.ok_or("a key without alg")?;
        let mut validation = Validation::new(algorithm.to_string().parse()?);
        validation.set_issuer(&[&self.discovery.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let key = DecodingKey::from_jwk(jwk)?;
        Ok(decode(token, &key, &validation)
            .ok()
            .map(|token| token.claims))
    }

    /// Caches the keys for a minute, and fetches them for an unknown id at most every ten seconds.
    async fn keys(&self, kid: &str) -> Result<Arc<JwkSet>, Failure> {
        let mut cached = self.keys.lock().await;
        if let Some((fetched_at, keys)) = cached.as_ref() {
            let max_age = if keys.find(kid).is_some() { 60 } else { 10 };
            if fetched_at.elapsed() < Duration::from_secs(max_age) {
                return Ok(Arc::clone(keys));
            }
        }
        let keys: Arc<JwkSet> = Arc::new(json(&self.http, &self.discovery.jwks_uri).await?);
        *cached = Some((Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }
}

async fn json<T: DeserializeOwned>(http: &reqwest::Client, url: &str) -> Result<T, Failure> {
    let response = http.get(url).send().await?.error_for_status()?;
    Ok(response.json().await?)
}
