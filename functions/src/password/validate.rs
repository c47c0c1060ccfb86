//! `POST /identity/password/validate`: estimates the strength of a password.

use serde::Serialize;
use shared::{
    Error,
    domain::password::{Dictionary, Password, Strength},
    http::{Body, Form, Request, Response, StatusCode, json},
};

pub struct Validate {
    /// The name of the application and its words.
    pub dictionary: Dictionary,
}

#[derive(Serialize)]
struct Output {
    entropy: f64,
    score: u8,
    warning: Option<String>,
    suggestions: Vec<String>,
}

impl Validate {
    /// Returns the estimated entropy in bits, the score from 0 to 4, and advice.
    pub async fn handle(&self, request: Request) -> Result<Response<Body>, Error> {
        let password = read(request).await?;
        let Strength {
            entropy,
            score,
            warning,
            suggestions,
        } = Strength::of(password.reveal(), &self.dictionary);
        json(
            StatusCode::CREATED,
            &Output {
                entropy,
                score,
                warning,
                suggestions,
            },
        )
    }
}

async fn read(request: Request) -> Result<Password, Error> {
    let mut parameters = Form::read(request).await?.parameters("identity.general");
    let password = parameters.password("password");
    parameters.finish().map(|()| password)
}
