//! `GET /.well-known/webauthn`: the origins that may use passkeys of the RP ID although their host
//! is another one (WebAuthn level 3, section 5.11).

use serde::Serialize;
use shared::{
    Error,
    http::{Body, Response, StatusCode, json},
};

pub struct RelatedOrigins {
    /// `None` if they are not configured.
    pub origins: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Output<'a> {
    origins: &'a [String],
}

impl RelatedOrigins {
    pub fn handle(&self) -> Result<Response<Body>, Error> {
        let origins = self.origins.as_deref().ok_or(Error::RecordNotFound)?;
        json(StatusCode::OK, &Output { origins })
    }
}
