//! `PATCH /resource/labels/{key}`: replaces the value of a public label of the user.

use shared::{
    Error, FieldFault,
    domain::{activity::Action, user::LabelText},
    http::{Body, Form, Request, RequestExt, Response, StatusCode, json},
    platform::clock::Timestamp,
};

use super::change::LabelChange;

pub struct Update {
    pub labels: LabelChange,
}

impl Update {
    /// Stores the value. Of concurrent requests, the value of the last one is kept.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .labels
            .authenticator
            .authenticate(&request, now)
            .await?;
        let parameters = request.path_parameters();
        let key = parameters.first("key").unwrap_or_default().to_owned();
        let value = read(request).await?;
        let changed = self
            .labels
            .store(
                signed_in,
                Action::UpdateLabel,
                |user| user.with_own_value(&key, &value, now),
                now,
            )
            .await?;
        json(StatusCode::OK, &changed.listed_label(&key))
    }
}

async fn read(request: Request) -> Result<LabelText, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.labels");
    let value = parameters.text("value");
    parameters.finish()?;
    LabelText::parse(&value).ok_or_else(|| Error::Fields(vec![FieldFault::ValueInvalid]))
}
