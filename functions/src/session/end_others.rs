//! `DELETE /resource/sessions`: ends every other session of who is signed in.

use shared::{
    Error,
    config::Accounts,
    domain::activity::Action,
    http::{Body, Form, Request, Response, StatusCode, authentication::Authenticator, empty},
    platform::clock::Timestamp,
    store::Outcome,
};

/// What it works with.
pub struct EndOthers {
    /// Lets in who is signed in.
    pub authenticator: Authenticator,
    /// What holds for every account.
    pub accounts: Accounts,
}

impl EndOthers {
    /// Ends every session but the one that is presented, at once, also those that are about to
    /// begin.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        // No parameters, but the rules for bodies hold here too.
        Form::read(request).await?;
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&signed_in.user.uid, Action::Logout);
        if self
            .authenticator
            .store
            .end_other_sessions(&signed_in.user, &signed_in.session, &activity)
            .await?
            == Outcome::Conflict
        {
            // Overtaken. If this session goes on, it was by it that all others were ended
            // meanwhile; else it is one of those.
            self.authenticator
                .authenticate_again(signed_in, now)
                .await?;
        }
        Ok(empty(StatusCode::NO_CONTENT))
    }
}
