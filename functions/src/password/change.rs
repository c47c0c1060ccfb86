//! `PUT /resource/users/password`: changes the password of the user, who must know the old one.

use shared::{
    Error, FieldFault,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        device::Device,
        mail::{Kind, QueuedMail},
        password::{Hasher, Password, Verdict},
        rate_limit::Limits,
        session::SessionSecret,
        user::{Credentials, User},
    },
    http::{
        Body, DeviceTokens, Form, KnownDevices, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator, Verified},
        empty, with_cookie,
    },
    platform::clock::Timestamp,
    providers::breached_passwords::PasswordCheck,
    store::{Outcome, PasswordChangeLog},
    tokens::key_provider::KeyProvider,
};

/// Maximum number of attempts if concurrent requests change the same user.
const ATTEMPTS: usize = 3;

pub struct Change {
    pub keys: KeyProvider,
    pub authenticator: Authenticator,
    pub hasher: Hasher,
    pub accounts: Accounts,
    pub application: Application,
    pub passwords: PasswordCheck,
}

struct Input {
    old: Password,
    new: Password,
    repeated: Password,
}

impl Change {
    /// Changes the password, ends every other session, invalidates a reset code and sends a notice.
    /// Of concurrent changes, exactly one succeeds, because the write requires the old hash. An
    /// account has five changes an hour.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let mut signed_in = self
            .authenticator
            .authenticate_with_credentials(&request, now)
            .await?;
        let devices = DeviceTokens::of(request.headers(), &self.authenticator.cookie_name)
            .verify(&self.keys, now)
            .await?;
        let input = read(request).await?;
        for _ in 0..ATTEMPTS {
            if let Err(error) = self.check(&input, &signed_in).await {
                if error.status().is_client_error() && error.retry_after().is_none() {
                    let recorder = signed_in.recorder(self.accounts.activity_retention, now);
                    let activity =
                        recorder.failed(&signed_in.user.uid, Action::PasswordChange, &error);
                    self.authenticator.store.record(&activity).await?;
                }
                return Err(error);
            }
            let cookie = self.device_cookie(&devices, &signed_in.user, now).await?;
            if self.change(&input.new, &signed_in, now).await? == Outcome::Written {
                return with_cookie(empty(StatusCode::CREATED), &cookie);
            }
            // A concurrent request changed the password or ended sessions. This one is processed as
            // if it came later.
            signed_in = self.authenticator.reload(signed_in, now).await?;
        }
        Err(Error::Unavailable(
            "the user was changed by other requests at every attempt".into(),
        ))
    }

    /// The device cookie for the device epoch after the change. It does not name a second factor,
    /// although the old one may: a new device has new counts, so a thief of the session who knows
    /// the password could guess codes without end.
    async fn device_cookie(
        &self,
        devices: &KnownDevices,
        user: &User,
        now: Timestamp,
    ) -> Result<String, Error> {
        let device = Device::begin(user, user.next_device_epoch()?, false, now);
        let signing_keys = self.keys.signing_keys(now).await?;
        devices.cookie_with(&device, &signing_keys)
    }

    async fn check(
        &self,
        input: &Input,
        signed_in: &AuthenticatedSession<Credentials>,
    ) -> Result<(), Error> {
        if input.new != input.repeated {
            return Err(Error::NewPasswordsDontMatch);
        }
        let AuthenticatedSession { session, user, .. } = signed_in;
        let verify = async {
            let verdict = self
                .hasher
                .verify(&input.old, Some(&user.credentials.password_hash))
                .await?;
            Ok(match verdict {
                Verdict::Wrong => Verified::Wrong(Error::PreviousPasswordWrong),
                Verdict::Right | Verdict::RightButOutdated => Verified::Right(()),
            })
        };
        self.authenticator
            .verify_in_session(session, SessionSecret::Password, verify)
            .await?;
        if input.new == input.old {
            return Err(Error::PasswordUnchanged);
        }
        let accepted = self.passwords.accept(&input.new, Some(&user.email)).await;
        accepted.map_err(|fault| Error::Fields(vec![FieldFault::from(fault)]))
    }

    async fn change(
        &self,
        new: &Password,
        signed_in: &AuthenticatedSession<Credentials>,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let AuthenticatedSession { session, user, .. } = signed_in;
        let store = &self.authenticator.store;
        let before = store.password_changes(&user.uid).await?;
        let log = before.clone().unwrap_or_default();
        let after = log.with_request(&Limits::PASSWORD_CHANGES, now)?;
        let hash = self.hasher.hash(new).await?;
        let language = user.mail_language(None, self.application.default_language);
        let notice = QueuedMail::notice(Kind::PasswordChanged, user, language, now);
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&user.uid, Action::PasswordChange);
        let log = PasswordChangeLog {
            before: before.as_ref(),
            after: &after,
        };
        store
            .change_password(user, session, &hash, log, notice.as_ref(), &activity)
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
