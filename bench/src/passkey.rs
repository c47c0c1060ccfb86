//! A user with a passkey, and events of sign-ins with it. Each needs a challenge of its own.

use crate::event::{EMAIL, PASSWORD, event};
use authenticator::{Key, Passkey, Site};
use axum::body::Bytes;
use data_encoding::BASE64URL_NOPAD;
use local::Error;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value as Json, json};

/// A user with a passkey. Like that of an authenticator that synchronises, it has no signature
/// counter.
pub struct PasskeyUser {
    passkey: Passkey,
    url: String,
    origin: String,
    http: reqwest::Client,
}

impl PasskeyUser {
    /// Confirms the address of the user of the stack at this URL, and adds a passkey.
    pub async fn of(url: &str) -> Result<Self, Error> {
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
        let options: Json = created(by_user("/resource/passkeys/options", &json!({})))
            .await?
            .json()
            .await?;
        let user_handle = text(&options["publicKey"]["user"]["id"]);
        let user_handle = BASE64URL_NOPAD
            .decode(user_handle.as_bytes())
            .map_err(|error| Error::new(format!("The user handle is not base64url: {error}")))?;
        let user = Self {
            passkey: Passkey::new(Key::es256(), &user_handle),
            url: url.to_owned(),
            origin: url.replace("127.0.0.1", "localhost"),
            http: http.clone(),
        };
        let challenge = text(&options["publicKey"]["challenge"]);
        let mut registration = user.passkey.create(user.site(&challenge));
        registration.authenticator_data.sign_count = 0;
        let body = json!({ "credential": registration.response(), "state": options["state"] });
        created(by_user("/resource/passkeys", &body)).await?;
        Ok(user)
    }

    /// The parameters of the next sign-in.
    pub async fn sign_in(&self) -> Result<Json, Error> {
        let path = format!("{}/identity/sessions/passkey/options", self.url);
        let options: Json = created(self.http.post(path)).await?.json().await?;
        let challenge = text(&options["publicKey"]["challenge"]);
        let mut authentication = self.passkey.get(self.site(&challenge));
        authentication.authenticator_data.sign_count = 0;
        Ok(json!({ "credential": authentication.response(), "state": options["state"] }))
    }

    /// The event of the next sign-in.
    pub async fn event(&self) -> Result<Bytes, Error> {
        event("passkey-sign-in", &self.sign_in().await?)
    }

    fn site<'a>(&'a self, challenge: &'a str) -> Site<'a> {
        Site {
            rp_id: "localhost",
            origin: &self.origin,
            challenge,
        }
    }
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
