//! `POST /resource/passkeys`: adds a passkey.

use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        mail::{Kind, QueuedMail},
        passkey::{NAME_LIMIT, Passkey},
        webauthn::{Refusal, RegistrationResponse, RelyingParty},
    },
    http::{
        Body, Form, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator},
        json,
    },
    platform::{clock::Timestamp, retry::Backoff},
    store::{PasskeyAddition, PasskeyAdditionOutcome},
    tokens::{ceremony::Ceremony, signed_token::Purpose},
};

pub struct Create {
    pub authenticator: Authenticator,
    pub relying_party: RelyingParty,
    pub accounts: Accounts,
    pub application: Application,
    /// Seconds, see [`AuthenticatedSession::require_recent_authentication`].
    pub reauthentication_time: i64,
}

struct Input {
    response: Result<RegistrationResponse, Refusal>,
    state: String,
    name: Option<String>,
}

impl Create {
    /// Verifies the new credential, stores it and sends a notice. The ceremony is used up only by
    /// success. Refusals are recorded.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let mut signed_in = self.authenticator.authenticate(&request, now).await?;
        signed_in.require_recent_authentication(self.reauthentication_time, now)?;
        let input = read(request).await?;
        let mut backoff = Backoff::start();
        loop {
            match self.add(&input, &signed_in, now).await {
                Ok(Some(passkey)) => return json(StatusCode::CREATED, &passkey.view()),
                Ok(None) => {}
                Err(error) => {
                    if error.status().is_client_error() {
                        let failed = signed_in
                            .recorder(self.accounts.activity_retention, now)
                            .failed(&signed_in.user.uid, Action::AddPasskey, &error);
                        self.authenticator.store.record(&failed).await?;
                    }
                    return Err(error);
                }
            }
            if !backoff.wait().await {
                return Err(Error::Unavailable(
                    "the user was changed by other requests at every attempt".into(),
                ));
            }
            // This request is processed as if it came after the one that changed the user.
            signed_in = self.authenticator.reload(signed_in, now).await?;
        }
    }

    /// Returns `None`, without writing, if a concurrent request changed the user.
    async fn add(
        &self,
        input: &Input,
        signed_in: &AuthenticatedSession,
        now: Timestamp,
    ) -> Result<Option<Passkey>, Error> {
        let AuthenticatedSession { session, user, .. } = signed_in;
        let purpose = Purpose::PasskeyRegistration;
        let ceremony = self
            .authenticator
            .keys
            .claims(purpose, &input.state, now)
            .filter(|claims| claims.uid == user.uid)
            .map(Ceremony::of)
            .ok_or(Error::TokenInvalid)?;
        user.may_add_passkey()?;
        let challenge = ceremony.challenge()?;
        let credential = input
            .response
            .as_ref()
            .map_err(|refusal| *refusal)
            .and_then(|response| self.relying_party.verify_registration(&challenge, response))
            .map_err(|_| Error::PasskeyInvalid)?;
        let passkey = Passkey::new(credential, &user.uid, input.name.clone(), now);
        let language = user.mail_language(None, self.application.default_language);
        let recorder = signed_in.recorder(self.accounts.activity_retention, now);
        let notice = QueuedMail::notice(Kind::PasskeyAdded, user, language, now)
            .map(|notice| notice.with_client(recorder.client));
        let addition = PasskeyAddition {
            passkey: &passkey,
            ceremony: &ceremony,
            notice: notice.as_ref(),
            activity: &recorder.succeeded(&user.uid, Action::AddPasskey),
        };
        let store = &self.authenticator.store;
        match store.add_passkey(user, session, &addition).await? {
            PasskeyAdditionOutcome::Added => Ok(Some(passkey)),
            PasskeyAdditionOutcome::CeremonyUsed => Err(Error::TokenUtilized),
            PasskeyAdditionOutcome::Taken => Err(Error::PasskeyTaken),
            PasskeyAdditionOutcome::Conflict => Ok(None),
        }
    }
}

async fn read(request: Request) -> Result<Input, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.passkey");
    let response = RegistrationResponse::from_json(&parameters.credential());
    let state = parameters.token("state");
    let name = parameters.optional_name("name", NAME_LIMIT);
    parameters.finish().map(|()| Input {
        response,
        state,
        name,
    })
}
