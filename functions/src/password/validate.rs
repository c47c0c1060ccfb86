//! `POST /identity/password/validate`: how strong a password is.

use serde::Serialize;
use shared::{
    Error,
    domain::password::{Password, Strength},
    http::{Body, Form, Request, Response, StatusCode, json},
};

#[derive(Serialize)]
struct Answer {
    entropy: f64,
    score: u8,
    warning: Option<String>,
    suggestions: Vec<String>,
}

/// Answers with what an attacker's guessing is estimated to take.
pub async fn handle(request: Request) -> Result<Response<Body>, Error> {
    let password = read(request).await?;
    let Strength {
        entropy,
        score,
        warning,
        suggestions,
    } = Strength::of(password.reveal());
    json(
        StatusCode::CREATED,
        &Answer {
            entropy,
            score,
            warning,
            suggestions,
        },
    )
}

async fn read(request: Request) -> Result<Password, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.general");
    let password = parameters.password("password");
    parameters.finish().map(|()| password)
}
