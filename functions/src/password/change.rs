//! `PUT /resource/users/password`: changes the password of who is signed in and knows it.

use shared::{
    Error, FieldFault,
    activity::Action,
    clock::Timestamp,
    gate::{Gate, SignedIn},
    http::{Body, Form, Request, Response, StatusCode, empty},
    language::Language,
    mail::{Kind, QueuedMail},
    password::{Hasher, Password, PasswordPolicy, Verdict},
    user::User,
};

/// How often a change is tried that others of the same user overtake.
const TRIES: usize = 3;

/// What it works with.
pub struct Change {
    /// Lets in who is signed in.
    pub gate: Gate,
    /// Checks the old password and hashes the new one.
    pub hasher: Hasher,
    /// Which passwords are accepted.
    pub policy: PasswordPolicy,
}

struct Input {
    old: Password,
    new: Password,
    repeated: Password,
}

impl Change {
    /// Changes the password, ends every other session, voids a reset code and queues a notice. Of any number of changes of one
    /// password at once one wins, by the condition on the old hash.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let mut signed_in = self.gate.admit(&request, now).await?;
        let input = read(request).await?;
        for _ in 0..TRIES {
            if let Err(error) = self.check(&input, &signed_in.user, now).await {
                if error.status().is_client_error() && error.retry_after().is_none() {
                    let recorder = signed_in.recorder(&self.gate.config, now);
                    let activity = recorder.failed(&signed_in.user.uid, Action::PasswordChange, &error);
                    self.gate.store.record(&activity).await?;
                }
                return Err(error);
            }
            if self.change(&input.new, &signed_in, now).await? {
                return Ok(empty(StatusCode::CREATED));
            }
            // Somebody changed the password or ended sessions meanwhile: as if this request had come after that one.
            signed_in = self.gate.admit_again(signed_in, now).await?;
        }
        Err(Error::Unavailable("other requests of the same user were quicker each time".into()))
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
        let accepted = self.policy.accept(&input.new).await;
        accepted.map_err(|fault| Error::Fields(vec![FieldFault::from(fault)]))
    }

    /// The attempt is counted before the password is looked at, and taken back where it was not wrong.
    async fn verify(&self, old: &Password, user: &User, now: Timestamp) -> Result<(), Error> {
        let attempt = self.gate.store.count_attempt(&user.email.key(), &self.gate.config.limits, now).await?;
        let verdict = self.hasher.verify(old, Some(&user.password_hash)).await;
        if matches!(verdict, Ok(Verdict::Wrong)) {
            return Err(Error::PreviousPasswordWrong);
        }
        self.gate.store.take_back(&attempt).await?;
        verdict?;
        Ok(())
    }

    async fn change(&self, new: &Password, signed_in: &SignedIn, now: Timestamp) -> Result<bool, Error> {
        let SignedIn { session, user, .. } = signed_in;
        let hash = self.hasher.hash(new).await?;
        let language = Language::choose(None, user.data.as_deref(), self.gate.config.default_language);
        let notice = QueuedMail::notice(Kind::PasswordChanged, (&user.uid, &user.email), language, now);
        let activity = signed_in.recorder(&self.gate.config, now).succeeded(&user.uid, Action::PasswordChange);
        self.gate.store.change_password(user, session, &hash, &notice, &activity).await
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.user");
    let old = parameters.password("old_password");
    let new = parameters.password("new_password");
    let repeated = parameters.password("confirm_password");
    parameters.finish().map(|()| Input { old, new, repeated })
}
