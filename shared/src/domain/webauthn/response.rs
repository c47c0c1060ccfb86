//! The responses of clients: the JSON that `PublicKeyCredential.toJSON()` returns (section 5.1.8).

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use super::{CredentialId, Refusal};

/// The longest user handle, in bytes (section 5.4.3).
const LONGEST_USER_HANDLE: usize = 64;
/// The most transports of a credential, and the longest one. Section 5.8.4 defines six.
const MOST_TRANSPORTS: usize = 16;
const LONGEST_TRANSPORT: usize = 32;

/// A `RegistrationResponseJSON`. Unknown members are ignored, and so are those that repeat the
/// attestation object.
#[derive(Debug)]
pub struct RegistrationResponse {
    pub(super) id: CredentialId,
    pub(super) client_data: Vec<u8>,
    pub(super) attestation_object: Vec<u8>,
    pub(super) transports: Vec<String>,
}

/// An `AuthenticationResponseJSON`. Unknown members are ignored.
#[derive(Debug)]
pub struct AuthenticationResponse {
    pub(super) id: CredentialId,
    pub(super) client_data: Vec<u8>,
    pub(super) authenticator_data: Vec<u8>,
    pub(super) signature: Vec<u8>,
    user_handle: Option<Vec<u8>>,
}

impl RegistrationResponse {
    /// Parses the JSON form of a registration.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], or [`Refusal::CredentialId`] if the id is malformed or `rawId` differs.
    pub fn from_json(value: &Value) -> Result<Self, Refusal> {
        let credential = Credential::read(value)?;
        Ok(Self {
            client_data: bytes(credential.response, "clientDataJSON")?,
            attestation_object: bytes(credential.response, "attestationObject")?,
            transports: transports(credential.response)?,
            id: credential.id,
        })
    }
}

impl AuthenticationResponse {
    /// Parses the JSON form of an authentication.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], or [`Refusal::CredentialId`] if the id is malformed or `rawId` differs.
    pub fn from_json(value: &Value) -> Result<Self, Refusal> {
        let credential = Credential::read(value)?;
        Ok(Self {
            client_data: bytes(credential.response, "clientDataJSON")?,
            authenticator_data: bytes(credential.response, "authenticatorData")?,
            signature: bytes(credential.response, "signature")?,
            user_handle: user_handle(credential.response)?,
            id: credential.id,
        })
    }

    /// The id of the credential, by which the relying party finds it.
    #[must_use]
    pub const fn credential_id(&self) -> &CredentialId {
        &self.id
    }

    /// The user handle, 1 to 64 bytes. Only [`RelyingParty::verify_authentication`] proves it.
    ///
    /// [`RelyingParty::verify_authentication`]: super::RelyingParty::verify_authentication
    #[must_use]
    pub fn user_handle(&self) -> Option<&[u8]> {
        self.user_handle.as_deref()
    }
}

/// The members that both kinds have.
struct Credential<'a> {
    id: CredentialId,
    response: &'a Map<String, Value>,
}

impl<'a> Credential<'a> {
    fn read(value: &'a Value) -> Result<Self, Refusal> {
        let members = value.as_object().ok_or(Refusal::Malformed)?;
        if text(members, "type")? != "public-key" {
            return Err(Refusal::Malformed);
        }
        let id = text(members, "id")?;
        if text(members, "rawId")? != id {
            return Err(Refusal::CredentialId);
        }
        Ok(Self {
            id: CredentialId::parse(id)?,
            response: members
                .get("response")
                .and_then(Value::as_object)
                .ok_or(Refusal::Malformed)?,
        })
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    members
        .get(name)
        .and_then(Value::as_str)
        .ok_or(Refusal::Malformed)
}

fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Refusal> {
    BASE64URL_NOPAD
        .decode(text(members, name)?.as_bytes())
        .map_err(|_| Refusal::Malformed)
}

/// Older clients send `null` instead of omitting the member.
fn user_handle(response: &Map<String, Value>) -> Result<Option<Vec<u8>>, Refusal> {
    if response.get("userHandle").is_none_or(Value::is_null) {
        return Ok(None);
    }
    let user_handle = bytes(response, "userHandle")?;
    if user_handle.is_empty() || user_handle.len() > LONGEST_USER_HANDLE {
        return Err(Refusal::Malformed);
    }
    Ok(Some(user_handle))
}

/// The transports, which later ceremonies repeat to the client. Unknown ones are kept, as section
/// 5.8.4 requires.
fn transports(response: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let Some(value) = response.get("transports").filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let transports = value.as_array().ok_or(Refusal::Malformed)?;
    if transports.len() > MOST_TRANSPORTS {
        return Err(Refusal::Malformed);
    }
    transports
        .iter()
        .map(|value| {
            value
                .as_str()
                .filter(|transport| is_transport(transport))
                .map(str::to_owned)
                .ok_or(Refusal::Malformed)
        })
        .collect()
}

fn is_transport(text: &str) -> bool {
    (1..=LONGEST_TRANSPORT).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}
