//! The virtual authenticators of a browser, which stand for devices with passkeys (WebAuthn level 3,
//! section 11).

use reqwest::Method;
use serde_json::{Value, json};

use super::Browser;

/// An authenticator that is part of the browser's device and verifies its user.
pub struct VirtualAuthenticator<'a> {
    browser: &'a Browser,
    path: String,
}

impl Browser {
    /// Attaches an authenticator whose user approves every request at once, also the one of
    /// the autofill.
    pub async fn authenticator(&self) -> VirtualAuthenticator<'_> {
        self.authenticator_with(&json!({})).await
    }

    /// The same, with other properties.
    pub async fn authenticator_with(&self, more: &Value) -> VirtualAuthenticator<'_> {
        let mut properties = json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserVerified": true,
        });
        let more = more.as_object().unwrap().clone();
        properties.as_object_mut().unwrap().extend(more);
        let path = self.session_path("webauthn/authenticator");
        let id = self.ask(Method::POST, &path, &properties).await;
        let id = id.as_str().unwrap();
        VirtualAuthenticator {
            browser: self,
            path: format!("{path}/{id}"),
        }
    }
}

impl VirtualAuthenticator<'_> {
    /// The passkeys, with their private keys.
    pub async fn passkeys(&self) -> Vec<Value> {
        let path = format!("{}/credentials", self.path);
        let credentials = self.browser.ask(Method::GET, &path, &json!({})).await;
        credentials.as_array().unwrap().clone()
    }

    /// Replaces the passkeys.
    pub async fn has_passkeys(&self, passkeys: &[Value]) {
        let path = format!("{}/credentials", self.path);
        self.browser.ask(Method::DELETE, &path, &json!({})).await;
        for passkey in passkeys {
            let path = format!("{}/credential", self.path);
            self.browser.ask(Method::POST, &path, passkey).await;
        }
    }

    /// Whether the authenticator recognises its user from now on.
    pub async fn verifies_user(&self, verifies: bool) {
        let path = format!("{}/uv", self.path);
        let state = json!({ "isUserVerified": verifies });
        self.browser.ask(Method::POST, &path, &state).await;
    }

    /// Detaches the authenticator. Its passkeys are lost.
    pub async fn detach(self) {
        self.browser
            .ask(Method::DELETE, &self.path, &json!({}))
            .await;
    }
}
