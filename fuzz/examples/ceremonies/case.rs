//! A ceremony in parts. Mutations change the parts before the authenticator signs, or the response
//! after it.

use authenticator::{AuthenticatorData, Key, Passkey, Site, cbor};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

pub const RP_ID: &str = "example.com";
pub const ORIGINS: [&str; 2] = ["https://example.com", "https://login.example.com:8443"];
/// The other implementation has user handles of a fixed length and challenges of 16 bytes.
pub const USER_HANDLE: [u8; 16] = *b"ID0123456789abcd";
const THEIR_CHALLENGE: &str = "WlpaWlpaWlpaWlpaWlpaWg";
const OUR_CHALLENGE: &str = "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo";
pub const CHALLENGE_BYTE: u8 = 0x5a;

/// Whose response it is. The two differ only in the challenge and in what is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verifier {
    Ours,
    Theirs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Registration,
    Authentication,
}

/// A change of a base64url text in the JSON.
#[derive(Clone, Copy, Debug)]
pub enum TextEdit {
    /// Replaces the character at a place that is counted from the start or from the end.
    Replace {
        from_end: bool,
        place: usize,
        character: char,
    },
    Append(&'static str),
    RemoveLast,
    /// Writes `+` and `/` in place of `-` and `_`.
    OtherAlphabet,
    Empty,
}

/// A change of a signature.
#[derive(Clone, Copy, Debug)]
pub enum SignatureEdit {
    Flip {
        place: usize,
        bit: usize,
    },
    /// Removes bytes from the end, at least one.
    Truncate(usize),
    Append(u8),
    Prepend(u8),
    Zero,
    /// The signature of another message.
    Foreign,
    /// The length of a DER sequence in the long form.
    LongForm,
}

#[derive(Clone, Debug)]
pub enum JsonEdit {
    Set(&'static str, Value),
    Remove(&'static str),
    Text(&'static str, TextEdit),
}

/// Which bytes replace an encoded part.
pub type Raw = Option<Vec<u8>>;

pub struct Case<'a> {
    pub kind: Kind,
    pub passkey: &'a Passkey,
    /// The names of the mutations.
    pub mutations: Vec<&'static str>,
    pub id: Vec<u8>,
    pub user_handle: Vec<u8>,
    /// With the challenge of the other implementation.
    pub client_data: Vec<u8>,
    pub data: AuthenticatorData,
    pub raw_data: Raw,
    pub object_members: Vec<(Vec<u8>, Vec<u8>)>,
    pub raw_object: Raw,
    pub stored_sign_count: u32,
    pub stored_backup_eligible: bool,
    pub signature_edit: Option<SignatureEdit>,
    pub json_edits: Vec<JsonEdit>,
}

impl<'a> Case<'a> {
    pub fn valid(kind: Kind, passkey: &'a Passkey) -> Self {
        let site = Site {
            rp_id: RP_ID,
            origin: ORIGINS[0],
            challenge: THEIR_CHALLENGE,
        };
        let (client_data, data) = match kind {
            Kind::Registration => {
                let registration = passkey.create(site);
                (registration.client_data, registration.authenticator_data)
            }
            Kind::Authentication => {
                let authentication = passkey.get(site);
                (
                    authentication.client_data,
                    authentication.authenticator_data,
                )
            }
        };
        Self {
            kind,
            passkey,
            mutations: Vec::new(),
            id: passkey.id.clone(),
            user_handle: passkey.user_handle.clone(),
            client_data,
            data,
            raw_data: None,
            object_members: vec![
                (cbor::text("fmt"), cbor::text("none")),
                (cbor::text("attStmt"), cbor::map(&[])),
            ],
            raw_object: None,
            stored_sign_count: 0,
            stored_backup_eligible: false,
            signature_edit: None,
            json_edits: Vec::new(),
        }
    }

    /// The authenticator data.
    pub fn data(&self) -> Vec<u8> {
        self.raw_data.clone().unwrap_or_else(|| self.data.encode())
    }

    /// The attestation object.
    pub fn object(&self) -> Vec<u8> {
        self.raw_object.clone().unwrap_or_else(|| {
            let data = (cbor::text("authData"), cbor::bytes(&self.data()));
            let members: Vec<_> = self.object_members.iter().cloned().chain([data]).collect();
            cbor::map(&members)
        })
    }

    fn client_data(&self, verifier: Verifier) -> Vec<u8> {
        let mut client_data = self.client_data.clone();
        let challenge = THEIR_CHALLENGE.as_bytes();
        let mut start = 0;
        while verifier == Verifier::Ours
            && let Some(place) = position(&client_data[start..], challenge)
        {
            let place = start + place;
            client_data.splice(place..place + challenge.len(), OUR_CHALLENGE.bytes());
            start = place + OUR_CHALLENGE.len();
        }
        client_data
    }

    /// The JSON of the response.
    pub fn response(&self, verifier: Verifier) -> Value {
        let client_data = self.client_data(verifier);
        let id = BASE64URL_NOPAD.encode(&self.id);
        let response = match self.kind {
            Kind::Registration => json!({
                "clientDataJSON": BASE64URL_NOPAD.encode(&client_data),
                "attestationObject": BASE64URL_NOPAD.encode(&self.object()),
                "transports": ["internal"],
            }),
            Kind::Authentication => json!({
                "clientDataJSON": BASE64URL_NOPAD.encode(&client_data),
                "authenticatorData": BASE64URL_NOPAD.encode(&self.data()),
                "signature": BASE64URL_NOPAD.encode(&self.signature(&client_data)),
                "userHandle": BASE64URL_NOPAD.encode(&self.user_handle),
            }),
        };
        let mut json = json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "clientExtensionResults": {},
            "response": response,
        });
        for edit in &self.json_edits {
            apply(edit, &mut json);
        }
        json
    }

    fn signature(&self, client_data: &[u8]) -> Vec<u8> {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, client_data);
        let message = [&self.data(), hash.as_ref()].concat();
        let key = &self.passkey.key;
        let mut signature = key.sign(&message);
        match self.signature_edit {
            None => {}
            Some(SignatureEdit::Flip { place, bit }) => {
                let place = place % signature.len();
                signature[place] ^= 1 << bit;
            }
            Some(SignatureEdit::Truncate(length)) => {
                signature.truncate(signature.len().saturating_sub(length));
            }
            Some(SignatureEdit::Append(byte)) => signature.push(byte),
            Some(SignatureEdit::Prepend(byte)) => signature.insert(0, byte),
            Some(SignatureEdit::Zero) => signature.fill(0),
            Some(SignatureEdit::Foreign) => signature = key.sign(b"another message"),
            Some(SignatureEdit::LongForm) => signature.insert(1, 0x81),
        }
        signature
    }

    pub fn algorithm(&self) -> &'static str {
        match self.passkey.key {
            Key::Es256(_) => "ES256",
            Key::EdDsa(_) => "EdDSA",
            Key::Rs256(_) => "RS256",
        }
    }
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn apply(edit: &JsonEdit, json: &mut Value) {
    match edit {
        JsonEdit::Set(pointer, value) => {
            let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
            if let Some(Value::Object(members)) = json.pointer_mut(parent) {
                members.insert(name.to_owned(), value.clone());
            }
        }
        JsonEdit::Remove(pointer) => {
            let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
            if let Some(Value::Object(members)) = json.pointer_mut(parent) {
                members.remove(name);
            }
        }
        JsonEdit::Text(pointer, edit) => {
            if let Some(Value::String(text)) = json.pointer_mut(pointer) {
                *text = edited(text, *edit);
            }
        }
    }
}

fn edited(text: &str, edit: TextEdit) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    match edit {
        TextEdit::Replace {
            from_end,
            place,
            character,
        } => {
            let length = characters.len();
            if place < length {
                let place = if from_end { length - 1 - place } else { place };
                // The texts of the two verifiers differ, and both must change.
                let is_same = characters[place] == character;
                characters[place] = if is_same { 'C' } else { character };
            }
        }
        TextEdit::Append(suffix) => characters.extend(suffix.chars()),
        TextEdit::RemoveLast => drop(characters.pop()),
        TextEdit::OtherAlphabet => {
            for character in &mut characters {
                *character = match *character {
                    '-' => '+',
                    '_' => '/',
                    other => other,
                };
            }
        }
        TextEdit::Empty => characters.clear(),
    }
    characters.into_iter().collect()
}
