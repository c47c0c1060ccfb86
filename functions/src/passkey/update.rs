//! `PATCH /resource/passkeys/{id}`: renames a passkey of the user.

use shared::{
    Error,
    domain::{
        passkey::{CredentialHash, NAME_LIMIT},
        webauthn::CredentialId,
    },
    http::{
        Body, Form, Request, RequestExt, Response, StatusCode, authentication::Authenticator, json,
    },
    platform::clock::Timestamp,
};

pub struct Update {
    pub authenticator: Authenticator,
}

impl Update {
    /// Stores the name. Of concurrent requests, the name of the last one is kept.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let id = request
            .path_parameters()
            .first("id")
            .and_then(|id| CredentialId::parse(id).ok());
        let name = read(request).await?;
        let hash = CredentialHash::of(&id.ok_or(Error::RecordNotFound)?);
        let passkey = self
            .authenticator
            .store
            .rename_passkey(&signed_in.user, &hash, &name)
            .await?
            .ok_or(Error::RecordNotFound)?;
        json(StatusCode::OK, &passkey.view())
    }
}

async fn read(request: Request) -> Result<String, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.passkey");
    let name = parameters.name("name", NAME_LIMIT);
    parameters.finish().map(|()| name)
}
