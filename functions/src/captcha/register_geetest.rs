//! `GET /identity/users/register_geetest`: begins a captcha, where it is one that wants to be
//! begun.

use serde::Serialize;
use shared::{
    Error,
    http::{Body, Response, StatusCode, json},
    platform::clock::Timestamp,
    providers::captcha::Registration,
};

#[derive(Serialize)]
struct Answer<'a> {
    gt: &'a str,
    challenge: String,
}

/// Answers with what the provider's widget begins with.
pub async fn handle(registration: &Registration, now: Timestamp) -> Result<Response<Body>, Error> {
    let (gt, challenge) = registration.begin(now).await?;
    json(StatusCode::OK, &Answer { gt, challenge })
}
