//! A user with a passkey, and events of sign-ins with it. Each needs a challenge of its own.

use crate::event::{EMAIL, PASSWORD, event};
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use axum::body::Bytes;
use data_encoding::BASE64URL_NOPAD;
use local::Error;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value as Json, json};

/// User present, user verified.
const VERIFIED: u8 = 0x05;
/// The data contains a new credential.
const ATTESTED: u8 = 0x40;

/// The software authenticator of a user. Like one that synchronises, it has no signature counter.
pub struct Passkey {
    key: EcdsaKeyPair,
    id: String,
    uid: String,
    url: String,
    origin: String,
    http: reqwest::Client,
}

impl Passkey {
    /// Confirms the address of the user of the stack at this URL, and adds a passkey.
    pub async fn add(url: &str) -> Result<Self, Error> {
        let http = reqwest::Client::new();
        let post = |path: &str, body: &Json| http.post(format!("{url}{path}")).json(body);
        let credentials = json!({ "email": EMAIL, "password": PASSWORD });
        let mut confirmation = credentials.clone();
        confirmation["token"] = confirmation_token(&http, url).await?.into();
        created(post("/identity/users/email/confirm_code", &confirmation)).await?;
        let signed_in = created(post("/identity/sessions", &credentials)).await?;
        let session =
            session(&signed_in).ok_or_else(|| Error::new("The sign-in set no session cookie."))?;
        let by_user = |path: &str, body: &Json| post(path, body).bearer_auth(&session);
        let options = created(by_user("/resource/passkeys/options", &json!({}))).await?;
        let options: Json = options.json().await?;
        let passkey = Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
                .map_err(|_| Error::new("No key can be generated."))?,
            id: BASE64URL_NOPAD.encode(b"the passkey of the benchmark"),
            uid: text(&options["publicKey"]["user"]["id"]),
            url: url.to_owned(),
            origin: url.replace("127.0.0.1", "localhost"),
            http: http.clone(),
        };
        let registration =
            json!({ "credential": passkey.registration(&options), "state": options["state"] });
        created(by_user("/resource/passkeys", &registration)).await?;
        Ok(passkey)
    }

    /// The next sign-in.
    pub async fn sign_in(&self) -> Result<Json, Error> {
        let path = format!("{}/identity/sessions/passkey/options", self.url);
        let options: Json = created(self.http.post(path)).await?.json().await?;
        let client_data = self.client_data("webauthn.get", &options);
        let data = authenticator_data(VERIFIED);
        let hash = digest(&SHA256, client_data.as_bytes());
        let message = [data.as_slice(), hash.as_ref()].concat();
        let signature = self
            .key
            .sign(&generator(), &message)
            .map_err(|_| Error::new("The authenticator cannot sign."))?;
        let credential = self.credential(&json!({
            "clientDataJSON": encoded(client_data.as_bytes()),
            "authenticatorData": encoded(&data),
            "signature": encoded(signature.as_ref()),
            "userHandle": self.uid,
        }));
        Ok(json!({ "credential": credential, "state": options["state"] }))
    }

    /// The event of the next sign-in.
    pub async fn event(&self) -> Result<Bytes, Error> {
        event("passkey-sign-in", &self.sign_in().await?)
    }

    fn registration(&self, options: &Json) -> Json {
        let mut data = authenticator_data(VERIFIED | ATTESTED);
        let id = BASE64URL_NOPAD
            .decode(self.id.as_bytes())
            .unwrap_or_default();
        let length = u16::try_from(id.len()).unwrap_or_default();
        data.extend([0; 16]);
        data.extend(length.to_be_bytes());
        data.extend(id);
        // A `COSE_Key` for ES256 (RFC 9053) with the coordinates of the uncompressed point.
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        data.extend(b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20");
        data.extend(x);
        data.extend(b"\x22\x58\x20");
        data.extend(y);
        let mut attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        attestation.push(u8::try_from(data.len()).unwrap_or_default());
        attestation.extend(data);
        self.credential(&json!({
            "clientDataJSON": encoded(self.client_data("webauthn.create", options).as_bytes()),
            "attestationObject": encoded(&attestation),
            "transports": ["internal"],
        }))
    }

    fn credential(&self, response: &Json) -> Json {
        json!({
            "id": self.id, "rawId": self.id, "type": "public-key", "response": response,
            "clientExtensionResults": {},
        })
    }

    fn client_data(&self, ceremony: &str, options: &Json) -> String {
        let challenge = &options["publicKey"]["challenge"];
        json!({ "type": ceremony, "challenge": challenge, "origin": self.origin }).to_string()
    }
}

fn authenticator_data(flags: u8) -> Vec<u8> {
    let mut data = digest(&SHA256, b"localhost").as_ref().to_vec();
    data.push(flags);
    data.extend([0; 4]);
    data
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark chooses no signatures"
)]
fn generator() -> SystemRandom {
    SystemRandom::new()
}

fn encoded(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The token of the session cookie.
fn session(response: &Response) -> Option<String> {
    let cookie = response.headers().get("set-cookie")?.to_str().ok()?;
    let (_, value) = cookie.split(';').next()?.split_once('=')?;
    Some(value.to_owned())
}

/// The response, if its status is 201.
async fn created(request: RequestBuilder) -> Result<Response, Error> {
    let response = request.send().await?;
    let (status, path) = (response.status(), response.url().path().to_owned());
    if status == 201 {
        return Ok(response);
    }
    let text = response.text().await?;
    Err(Error::new(format!("{path} returned {status}: {text}")))
}

async fn confirmation_token(http: &reqwest::Client, url: &str) -> Result<String, Error> {
    /// Mails are sent asynchronously.
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        let mailbox = http
            .get(format!("{url}/_local/mailbox.json"))
            .send()
            .await?;
        let mails = mailbox.text().await?;
        if let Some((_, token)) = mails.rsplit_once("confirmation_token=") {
            let in_token = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
            return Ok(token.chars().take_while(in_token).collect());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Err(Error::new(
        "The mailbox holds no mail with a confirmation token.",
    ))
}
