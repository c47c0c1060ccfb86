//! `DELETE /resource/labels/{key}`: deletes a public label of the user.

use shared::{
    Error,
    domain::activity::Action,
    http::{Body, Form, Request, RequestExt, Response, StatusCode, empty},
    platform::clock::Timestamp,
};

use super::change::LabelChange;

pub struct Delete {
    pub labels: LabelChange,
}

impl Delete {
    /// Deletes the label. Of concurrent requests, exactly one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .labels
            .authenticator
            .authenticate(&request, now)
            .await?;
        let parameters = request.path_parameters();
        let key = parameters.first("key").unwrap_or_default().to_owned();
        // There are no parameters, but an invalid body is rejected as everywhere.
        Form::read(request).await?;
        self.labels
            .store(
                signed_in,
                Action::DeleteLabel,
                |user| user.without_own_label(&key, now),
                now,
            )
            .await?;
        Ok(empty(StatusCode::NO_CONTENT))
    }
}
