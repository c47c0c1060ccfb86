//! `PUT /resource/users/password`: changes the password of who is signed in and knows it.

use shared::{
    Error, FieldFault,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        language::Language,
        mail::{Kind, QueuedMail},
        password::{Hasher, Password, Verdict},
        rate_limit::Limits,
        user::User,
    },
    http::{
        Body, Form, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator},
        empty,
    },
    platform::clock::Timestamp,
    providers::breached_passwords::PasswordCheck,
    store::Outcome,
};

/// How often a change is tried that others of the same user overtake.
const TRIES: usize = 3;

/// What it works with.
pub struct Change {
    /// Lets in who is signed in.
    pub authenticator: Authenticator,
    /// Checks the old password and hashes the new one.
    pub hasher: Hasher,
    /// Rate limits.
    pub limits: Limits,
    /// What holds for every account.
    pub accounts: Accounts,
    /// The application, as people see it.
    pub application: Application,
    /// Which passwords are accepted.
    pub passwords: PasswordCheck,
}

struct Input {
    old: Password,
    new: Password,
    repeated: Password,
}

impl Change {
    /// Changes the password, ends every other session, voids a reset code and queues a notice. Of
    /// any number of changes of one password at once one wins, by the condition on the old hash.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let mut signed_in = self.authenticator.authenticate(&request, now).await?;
        let input = read(request).await?;
        for _ in 0..TRIES {
            if let Err(error) = self.check(&input, &signed_in.user, now).await {
                if error.status().is_client_error() && error.retry_after().is_none() {
                    let recorder = signed_in.recorder(self.accounts.activity_retention, now);
                    let activity =
                        recorder.failed(&signed_in.user.uid, Action::PasswordChange, &error);
                    self.authenticator.store.record(&activity).await?;
                }
                return Err(error);
            }
            if self.change(&input.new, &signed_in, now).await? == Outcome::Written {
                return Ok(empty(StatusCode::CREATED));
            }
            // Somebody changed the password or ended sessions meanwhile: as if this request had
            // come after that one.
            signed_in = self
                .authenticator
                .authenticate_again(signed_in, now)
                .await?;
        }
        Err(Error::Unavailable(
            "other requests of the same user were quicker each time".into(),
        ))
    }

    /// Whether the new password may take the old one's place.
    async fn check(&self, input: &Input, user: &User, now: Timestamp) -> Result<(), Error> {
        if input.new != input.repeated {
            return Err(Error::NewPasswordsDontMatch);
        }
        self.verify(&input.old, user, now).await?;
        if input.new == input.old {
            return Err(Error::PasswordUnchanged);
        }
        let accepted = self.passwords.accept(&input.new).await;
        accepted.map_err(|fault| Error::Fields(vec![FieldFault::from(fault)]))
    }

    /// The attempt is counted before the password is looked at, and taken back where it was not
    /// wrong.
    async fn verify(&self, old: &Password, user: &User, now: Timestamp) -> Result<(), Error> {
        let attempt = self
            .authenticator
            .store
            .count_attempt(&user.email.key(), &self.limits, now)
            .await?;
        let verdict = self.hasher.verify(old, Some(&user.password_hash)).await;
        if matches!(verdict, Ok(Verdict::Wrong)) {
            return Err(Error::PreviousPasswordWrong);
        }
        self.authenticator.store.refund(&attempt).await?;
        verdict?;
        Ok(())
    }

    async fn change(
        &self,
        new: &Password,
        signed_in: &AuthenticatedSession,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let AuthenticatedSession { session, user, .. } = signed_in;
        let hash = self.hasher.hash(new).await?;
        let language = Language::choose(
            None,
            user.data.as_deref(),
            self.application.default_language,
        );
        let notice =
            QueuedMail::notice(Kind::PasswordChanged, &user.uid, &user.email, language, now);
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&user.uid, Action::PasswordChange);
        self.authenticator
            .store
            .change_password(user, session, &hash, &notice, &activity)
            .await
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.user");
    let old = parameters.password("old_password");
    let new = parameters.password("new_password");
    let repeated = parameters.password("confirm_password");
    parameters.finish().map(|()| Input { old, new, repeated })
}
