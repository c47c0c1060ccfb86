//! Ceremonies, in parts that a test can change.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::{AT, Key, UP, UV, cbor};

/// Where a ceremony takes place.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The RP ID.
    pub rp_id: &'a str,
    /// The origin of the page.
    pub origin: &'a str,
    /// The challenge, in unpadded base64url as in the options.
    pub challenge: &'a str,
}

/// A discoverable credential of a user.
#[derive(Debug)]
pub struct Passkey {
    /// The credential id.
    pub id: Vec<u8>,
    /// The user handle.
    pub user_handle: Vec<u8>,
    /// The key pair.
    pub key: Key,
    /// The flags BE and BS.
    pub backup: u8,
}

impl Passkey {
    /// A passkey with a constant id.
    #[must_use]
    pub fn new(key: Key, user_handle: &[u8]) -> Self {
        Self {
            id: (1..=32).collect(),
            user_handle: user_handle.to_vec(),
            key,
            backup: 0,
        }
    }

    /// Registers the passkey, with attestation `none`.
    #[must_use]
    pub fn create(&self, site: Site<'_>) -> Registration {
        let credential = Credential {
            aaguid: [0xab; 16],
            id: self.id.clone(),
            public_key: self.key.cose(),
        };
        let flags = UP | UV | AT | self.backup;
        Registration {
            id: self.id.clone(),
            client_data: client_data("webauthn.create", site),
            authenticator_data: AuthenticatorData::new(site, flags, Some(credential)),
            format: "none".to_owned(),
            statement: cbor::map(&[]),
        }
    }

    /// Authenticates with the passkey.
    #[must_use]
    pub fn get(&self, site: Site<'_>) -> Authentication<'_> {
        Authentication {
            id: self.id.clone(),
            client_data: client_data("webauthn.get", site),
            authenticator_data: AuthenticatorData::new(site, UP | UV | self.backup, None),
            user_handle: self.user_handle.clone(),
            key: &self.key,
        }
    }
}

/// A ceremony of registration.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The credential id in the JSON.
    pub id: Vec<u8>,
    /// The client data JSON.
    pub client_data: Vec<u8>,
    /// The authenticator data.
    pub authenticator_data: AuthenticatorData,
    /// The format of the attestation statement.
    pub format: String,
    /// The attestation statement, CBOR.
    pub statement: Vec<u8>,
}

impl Registration {
    /// The attestation object.
    #[must_use]
    pub fn attestation_object(&self) -> Vec<u8> {
        cbor::map(&[
            (cbor::text("fmt"), cbor::text(&self.format)),
            (cbor::text("attStmt"), self.statement.clone()),
            (
                cbor::text("authData"),
                cbor::bytes(&self.authenticator_data.encode()),
            ),
        ])
    }

    /// The `RegistrationResponseJSON`.
    #[must_use]
    pub fn response(&self) -> Value {
        self.response_with(&self.attestation_object())
    }

    /// The `RegistrationResponseJSON` with another attestation object.
    #[must_use]
    pub fn response_with(&self, attestation_object: &[u8]) -> Value {
        json!({
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url(&self.client_data),
                "attestationObject": base64url(attestation_object),
                "transports": ["internal"],
            },
        })
    }
}

/// A ceremony of authentication.
#[derive(Clone, Debug)]
pub struct Authentication<'a> {
    /// The credential id in the JSON.
    pub id: Vec<u8>,
    /// The client data JSON.
    pub client_data: Vec<u8>,
    /// The authenticator data.
    pub authenticator_data: AuthenticatorData,
    /// The user handle.
    pub user_handle: Vec<u8>,
    /// The key that signs.
    pub key: &'a Key,
}

impl Authentication<'_> {
    /// The bytes that are signed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let hash = digest(&SHA256, &self.client_data);
        [self.authenticator_data.encode(), hash.as_ref().to_vec()].concat()
    }

    /// The `AuthenticationResponseJSON`.
    #[must_use]
    pub fn response(&self) -> Value {
        self.response_with(&self.key.sign(&self.message()))
    }

    /// The `AuthenticationResponseJSON` with another signature.
    #[must_use]
    pub fn response_with(&self, signature: &[u8]) -> Value {
        json!({
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url(&self.client_data),
                "authenticatorData": base64url(&self.authenticator_data.encode()),
                "signature": base64url(signature),
                "userHandle": base64url(&self.user_handle),
            },
        })
    }
}

/// Authenticator data (section 6.1).
#[derive(Clone, Debug)]
pub struct AuthenticatorData {
    /// The SHA-256 hash of the RP ID.
    pub rp_id_hash: Vec<u8>,
    /// The flags.
    pub flags: u8,
    /// The signature counter.
    pub sign_count: u32,
    /// The new credential, encoded if present, regardless of the flags.
    pub credential: Option<Credential>,
    /// The bytes after it: extensions, CBOR.
    pub rest: Vec<u8>,
}

impl AuthenticatorData {
    fn new(site: Site<'_>, flags: u8, credential: Option<Credential>) -> Self {
        Self {
            rp_id_hash: digest(&SHA256, site.rp_id.as_bytes()).as_ref().to_vec(),
            flags,
            sign_count: 1,
            credential,
            rest: Vec::new(),
        }
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.rp_id_hash.clone();
        bytes.push(self.flags);
        bytes.extend_from_slice(&self.sign_count.to_be_bytes());
        if let Some(credential) = &self.credential {
            let length = u16::try_from(credential.id.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&credential.aaguid);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&credential.id);
            bytes.extend_from_slice(&credential.public_key);
        }
        bytes.extend_from_slice(&self.rest);
        bytes
    }
}

/// A credential in authenticator data (section 6.5.1).
#[derive(Clone, Debug)]
pub struct Credential {
    /// The model of the authenticator.
    pub aaguid: [u8; 16],
    /// The credential id.
    pub id: Vec<u8>,
    /// The public key, a `COSE_Key`.
    pub public_key: Vec<u8>,
}

/// Client data, as browsers write it.
fn client_data(ceremony: &str, site: Site<'_>) -> Vec<u8> {
    let Site {
        origin, challenge, ..
    } = site;
    format!(
        r#"{{"type":"{ceremony}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#
    )
    .into_bytes()
}

fn base64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}
