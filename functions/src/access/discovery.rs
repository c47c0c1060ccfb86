//! `GET /.well-known/openid-configuration`: describes the access tokens to standard middleware
//! (OIDC Discovery 1.0, section 3; RFC 8414).

use serde::Serialize;
use shared::{
    Error,
    http::{Body, Request, Response, api_url, cacheable_json},
};

const JWKS: &str = "/.well-known/jwks.json";

/// The algorithms of the kinds of keys that a stack can have. The key set names that of each key.
const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];

/// The claims of an access token.
const CLAIMS: [&str; 14] = [
    "iss",
    "aud",
    "sub",
    "iat",
    "exp",
    "jti",
    "uid",
    "email",
    "email_verified",
    "role",
    "level",
    "state",
    "referral_id",
    "referral_uid",
];

pub struct Discovery {
    /// The claim `iss` of access tokens.
    pub issuer: String,
    /// The URL of the API as it is configured; `None` if it is that of the request.
    pub url: Option<String>,
}

/// There is no authorization endpoint: sessions are opened by this API, not by OAuth.
#[derive(Serialize)]
struct Output<'a> {
    issuer: &'a str,
    jwks_uri: String,
    response_types_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 3],
    claims_supported: [&'static str; 14],
}

impl Discovery {
    pub fn handle(&self, request: &Request) -> Result<Response<Body>, Error> {
        let own = self.url.clone().or_else(|| api_url(request));
        let url = own.as_deref().unwrap_or(&self.issuer);
        cacheable_json(&Output {
            issuer: &self.issuer,
            jwks_uri: format!("{}{JWKS}", url.trim_end_matches('/')),
            response_types_supported: ["id_token"],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: ALGORITHMS,
            claims_supported: CLAIMS,
        })
    }
}
