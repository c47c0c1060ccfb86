//! `GET /identity/users/register_geetest`: registers a `GeeTest` captcha with the provider.

use serde::Serialize;
use shared::{
    Error,
    http::{Body, Response, StatusCode, json},
    platform::clock::Timestamp,
    providers::captcha::Registration,
};

#[derive(Serialize)]
struct Output<'a> {
    gt: &'a str,
    challenge: String,
}

/// Returns the parameters that the widget of the provider requires.
pub async fn handle(registration: &Registration, now: Timestamp) -> Result<Response<Body>, Error> {
    let (gt, challenge) = registration.begin(now).await?;
    json(StatusCode::OK, &Output { gt, challenge })
}
