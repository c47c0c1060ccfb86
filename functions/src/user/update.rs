//! `PUT /resource/users/me`: replaces the data of the user.

use shared::{
    Error, FieldFault,
    config::Accounts,
    domain::{activity::Action, user::User},
    http::{
        Body, Form, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator},
        json,
    },
    platform::clock::Timestamp,
    store::Outcome,
};

/// Maximum number of attempts if the user moves to another account key at the same time.
const ATTEMPTS: usize = 3;

pub struct Update {
    pub authenticator: Authenticator,
    pub accounts: Accounts,
}

impl Update {
    /// Stores the data, whose member `language` selects the language of later mails, and returns
    /// the user. Of concurrent requests, the data of the last one is kept.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let mut signed_in = self.authenticator.authenticate(&request, now).await?;
        let data = read(request).await?;
        for _ in 0..ATTEMPTS {
            let AuthenticatedSession { user, .. } = &signed_in;
            let activity = signed_in
                .recorder(self.accounts.activity_retention, now)
                .succeeded(&user.uid, Action::UpdateData);
            let store = &self.authenticator.store;
            if store.set_data(user, &data, &activity).await? == Outcome::Written {
                let changed = User {
                    data: Some(data),
                    updated_at: now,
                    ..signed_in.user
                };
                return json(StatusCode::CREATED, &changed.profile(None));
            }
            signed_in = self.authenticator.reload(signed_in, now).await?;
        }
        Err(Error::Unavailable(
            "the user was moved by other requests at every attempt".into(),
        ))
    }
}

async fn read(request: Request) -> Result<String, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.user");
    let data = parameters.text("data");
    parameters.finish()?;
    match FieldFault::of_data(&data) {
        Some(fault) => Err(Error::Fields(vec![fault])),
        None => Ok(data),
    }
}
