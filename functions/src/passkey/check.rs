//! Verification of the passkey that a request presents, for the sign-in and the re-authentication.

use shared::{
    Error,
    domain::{
        activity::{Action, Recorder},
        language::Language,
        mail::{Kind, QueuedMail},
        passkey::{CredentialHash, Passkey, PasskeyUse},
        user::{CredentialAccess, Uid, User},
        webauthn::{AuthenticationResponse, Refusal, RelyingParty},
    },
    http::Parameters,
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, SecurityEvent},
    },
    store::{CeremonyOutcome, Store},
    tokens::{ceremony::Ceremony, key_provider::KeyProvider, signed_token::Purpose},
};

/// Maximum number of times that a passkey is read, if concurrent requests use it.
pub const TRIES: usize = 4;

/// The parameters `credential` and `state` of a request.
pub struct PresentedPasskey {
    /// Without a value if the credential is malformed.
    response: Result<AuthenticationResponse, Refusal>,
    state: String,
}

impl PresentedPasskey {
    /// Reads the parameters.
    pub fn read(parameters: &mut Parameters) -> Self {
        Self {
            response: AuthenticationResponse::from_json(&parameters.credential()),
            state: parameters.token("state"),
        }
    }

    /// The ceremony to which the credential responds.
    ///
    /// # Errors
    /// [`Error::TokenInvalid`], and the errors of [`KeyProvider::verify`].
    pub async fn ceremony(&self, keys: &KeyProvider, now: Timestamp) -> Result<Ceremony, Error> {
        let claims = keys
            .verify(Purpose::PasskeySignIn, &self.state, now)
            .await?;
        claims.map(Ceremony::of).ok_or(Error::TokenInvalid)
    }

    /// The stored passkey and its user. An unknown credential causes the same reads.
    pub async fn find<C: CredentialAccess>(
        &self,
        store: &Store,
        now: Timestamp,
    ) -> Result<Option<(Passkey, User<C>)>, Error> {
        let Ok(response) = &self.response else {
            return Ok(None);
        };
        let hash = CredentialHash::of(response.credential_id());
        let uid = response
            .user_handle()
            .and_then(|handle| Uid::parse(str::from_utf8(handle).ok()?));
        store.find_passkey(&hash, uid.as_ref(), now).await
    }

    /// The hash of the credential id; `None` if the credential is malformed.
    pub fn hash(&self) -> Option<CredentialHash> {
        let response = self.response.as_ref().ok()?;
        Some(CredentialHash::of(response.credential_id()))
    }

    /// Verifies the credential. An unknown one causes the same work.
    ///
    /// # Errors
    /// The [`Refusal`], or [`Error::Internal`] if the state has no challenge.
    pub fn verify(
        &self,
        relying_party: &RelyingParty,
        ceremony: &Ceremony,
        passkey: Option<&Passkey>,
    ) -> Result<Result<PasskeyUse, Refusal>, Error> {
        let challenge = ceremony.challenge()?;
        let verified = self.response.as_ref().map_err(|refusal| *refusal);
        Ok(verified.and_then(|response| match passkey {
            None => Err(relying_party.refuse_unknown(&challenge, response)),
            Some(passkey) => relying_party
                .verify_authentication(&challenge, response, &passkey.credential())
                .map(|authentication| PasskeyUse {
                    passkey: passkey.clone(),
                    authentication,
                }),
        }))
    }
}

/// Reports a passkey whose signature counter did not increase, which indicates a copy of it, to the
/// owner. A response that is sent again is reported once, and not at all if it succeeded before.
///
/// # Errors
/// [`Error::TokenUtilized`] if the ceremony succeeded before.
pub async fn report_clone<C: CredentialAccess>(
    store: &Store,
    ceremony: &Ceremony,
    user: &User<C>,
    default_language: Language,
    action: Action,
    recorder: Recorder<'_>,
) -> Result<(), Error> {
    let failed = recorder.failed(&user.uid, action, &Error::InvalidCredentials);
    let language = user.mail_language(None, default_language);
    let kind = Kind::PasskeyCloneSuspected;
    let notice = QueuedMail::notice(kind, user, language, recorder.now)
        .map(|notice| notice.with_client(recorder.client));
    match store
        .report_clone(ceremony, notice.as_ref(), &failed)
        .await?
    {
        CeremonyOutcome::Used => Err(Error::TokenUtilized),
        CeremonyOutcome::PasskeyChanged | CeremonyOutcome::Conflict => Ok(()),
        CeremonyOutcome::Written => {
            metrics::security_event(SecurityEvent::PasskeyCloned);
            Ok(())
        }
    }
}
