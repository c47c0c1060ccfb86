//! `POST /resource/labels`: creates a public label of the user.

use shared::{
    Error, FieldFault,
    domain::{activity::Action, user::LabelText},
    http::{Body, Form, Request, Response, StatusCode, json},
    platform::clock::Timestamp,
};

use super::change::LabelChange;

pub struct Create {
    pub labels: LabelChange,
}

struct Input {
    key: LabelText,
    value: LabelText,
}

impl Create {
    /// Stores the label. Of concurrent requests with one key, exactly one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .labels
            .authenticator
            .authenticate(&request, now)
            .await?;
        let Input { key, value } = read(request).await?;
        let changed = self
            .labels
            .store(
                signed_in,
                Action::CreateLabel,
                |user| user.with_own_label(&key, &value, now),
                now,
            )
            .await?;
        json(StatusCode::CREATED, &changed.listed_label(key.as_str()))
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.labels");
    let key = parameters.text("key");
    let value = parameters.text("value");
    parameters.finish()?;
    match (LabelText::parse(&key), LabelText::parse(&value)) {
        (Some(key), Some(value)) => Ok(Input { key, value }),
        (key, value) => Err(Error::Fields(
            [
                key.is_none().then_some(FieldFault::KeyInvalid),
                value.is_none().then_some(FieldFault::ValueInvalid),
            ]
            .into_iter()
            .flatten()
            .collect(),
        )),
    }
}
