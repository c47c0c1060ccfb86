//! Storage of a changed label, shared by the operations that change one.

use shared::{
    Error,
    config::Accounts,
    domain::{
        activity::Action,
        user::{User, Withheld},
    },
    http::authentication::{AuthenticatedSession, Authenticator},
    platform::{clock::Timestamp, retry::Backoff},
    store::Outcome,
};

/// The dependencies of an operation that changes a label.
pub struct LabelChange {
    pub authenticator: Authenticator,
    pub accounts: Accounts,
}

impl LabelChange {
    /// Stores the labels of the user that `change` returns, with an activity. If a concurrent
    /// request changes the labels, the change is computed again, as if this request came later.
    pub(super) async fn store(
        &self,
        mut signed_in: AuthenticatedSession,
        action: Action,
        change: impl Fn(&User<Withheld>) -> Result<User<Withheld>, Error>,
        now: Timestamp,
    ) -> Result<User<Withheld>, Error> {
        let store = &self.authenticator.store;
        let mut backoff = Backoff::start();
        loop {
            let user = &signed_in.user;
            let changed = change(user)?;
            let activity = signed_in
                .recorder(self.accounts.activity_retention, now)
                .succeeded(&user.uid, action);
            if store.change_labels(user, &changed, &activity).await? == Outcome::Written {
                return Ok(changed);
            }
            if !backoff.wait().await {
                return Err(Error::Unavailable(
                    "the labels were changed by other requests at every attempt".into(),
                ));
            }
            signed_in = self.authenticator.reload(signed_in, now).await?;
        }
    }
}
