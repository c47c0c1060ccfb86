//! Captchas. A response is rejected unless the provider confirms it.

mod geetest;

use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

pub use geetest::Registration;

use crate::{
    Error,
    domain::{
        captcha::{CaptchaProvider, CaptchaResponse, CaptchaSettings},
        session::Client,
    },
    platform::{
        aws::Aws,
        clock::Timestamp,
        http_client::{HttpClient, HttpClientError},
        secrets::{CachedSecret, Stages},
        telemetry::metrics,
    },
};

/// Timeout of a call to a provider.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum size of a provider's response, in bytes.
const MAX_RESPONSE_SIZE: usize = 64 * 1024;

/// Maximum age of the cached secret, in seconds. A changed secret takes effect within this time.
const SECRET_AGE: i64 = 300;

/// The captcha of an operation; `None` if the operation requires none.
pub struct Captcha(Option<Check>);

/// A configured provider.
struct Check {
    settings: CaptchaSettings,
    secret: CachedSecret<Zeroizing<String>>,
    http_client: HttpClient,
}

/// The reason why a response is rejected. The texts contain nothing that the client sent.
enum Failure {
    /// The response lacks a field that the provider requires.
    Incomplete,
    /// The response is invalid, by its form or according to the provider.
    Invalid(String),
    /// The provider did not verify the response.
    Unverified(String),
}

impl Captcha {
    /// A captcha with these settings; without settings, none is required. Starts to fetch the
    /// secret of the provider, so it must be called within a tokio runtime.
    #[must_use]
    pub fn new(settings: Option<CaptchaSettings>, aws: &Aws) -> Self {
        Self(settings.map(|settings| Check::new(settings, aws)))
    }

    /// Verifies the response to a captcha. Succeeds if the operation requires none. A response can
    /// be verified only once, because providers reject a repeated one.
    ///
    /// # Errors
    /// [`Error::CaptchaRequired`] without a response, [`Error::CaptchaFieldsMissing`] if it lacks a
    /// field of `GeeTest`, [`Error::CaptchaRefused`] if the provider did not confirm it, and [`Error::Unavailable`] if the secret cannot be fetched.
    pub async fn check(
        &self,
        response: Option<&CaptchaResponse>,
        client: &Client,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(check) = &self.0 else { return Ok(()) };
        let response = response.ok_or(Error::CaptchaRequired)?;
        let provider = check.settings.provider.name();
        // Boxed, so that the future of a request without a captcha stays small.
        match Box::pin(check.verify(response, client, now)).await? {
            Ok(()) => return Ok(()),
            Err(Failure::Incomplete) => return Err(Error::CaptchaFieldsMissing),
            Err(Failure::Invalid(cause)) => tracing::info!(
                event = "captcha_refused",
                provider,
                cause,
                "the captcha response was rejected"
            ),
            Err(Failure::Unverified(cause)) => {
                metrics::captcha_unavailable();
                tracing::warn!(
                    event = "captcha_unavailable",
                    provider,
                    cause,
                    "the captcha response was rejected, because the provider did not verify it"
                );
            }
        }
        Err(Error::CaptchaRefused)
    }
}

impl Check {
    fn new(settings: CaptchaSettings, aws: &Aws) -> Self {
        // A secret that was pasted into the console may end with a line break.
        let secret = CachedSecret::new(
            aws.secrets_manager(),
            &settings.secret,
            Stages::Current,
            |versions| Ok(Zeroizing::new(versions.current.value.trim().to_owned())),
        );
        secret.prefetch();
        Self {
            settings,
            secret,
            http_client: HttpClient::new(TIMEOUT, MAX_RESPONSE_SIZE),
        }
    }

    async fn verify(
        &self,
        response: &CaptchaResponse,
        client: &Client,
        now: Timestamp,
    ) -> Result<Result<(), Failure>, Error> {
        let secret = self.secret.recent(now, SECRET_AGE).await?;
        Ok(match (self.settings.provider, response) {
            (CaptchaProvider::Geetest, response) => self.verify_geetest(&secret, response).await,
            (_, CaptchaResponse::Text(token)) => self.verify_token(&secret, token, client).await,
            (_, CaptchaResponse::Object(_)) => Err(Failure::Invalid(
                "the response is an object instead of a token".to_owned(),
            )),
        })
    }

    /// Verifies a token with the request that three providers have in common:
    /// <https://developers.google.com/recaptcha/docs/verify>,
    /// <https://docs.hcaptcha.com/#verify-the-user-response-server-side>,
    /// <https://developers.cloudflare.com/turnstile/get-started/server-side-validation/>.
    async fn verify_token(
        &self,
        secret: &str,
        token: &str,
        client: &Client,
    ) -> Result<(), Failure> {
        let mut fields = vec![("secret", secret), ("response", token)];
        if !client.address.is_empty() {
            fields.push(("remoteip", &client.address));
        }
        if self.settings.provider == CaptchaProvider::Hcaptcha {
            // The secret belongs to the account, so without this a token of another site of the
            // account would be accepted.
            fields.push(("sitekey", &self.settings.id));
        }
        let response = self
            .http_client
            .post_form(&self.settings.url, &fields)
            .await?;
        parse_verdict(&response)
    }
}

impl From<HttpClientError> for Failure {
    fn from(error: HttpClientError) -> Self {
        Self::Unverified(error.to_string())
    }
}

fn parse_verdict(response: &str) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Verdict {
        success: bool,
        #[serde(rename = "error-codes")]
        error_codes: Option<Vec<String>>,
    }
    match serde_json::from_str(response) {
        Ok(Verdict { success: true, .. }) => Ok(()),
        Ok(Verdict { error_codes, .. }) => {
            Err(Failure::Invalid(loggable(&error_codes.unwrap_or_default())))
        }
        Err(_) => Err(Failure::Unverified(
            "the response of the provider has an unexpected format".to_owned(),
        )),
    }
}

/// The error codes of a provider that are safe to log, such as `invalid-input-secret`.
fn loggable(codes: &[String]) -> String {
    const CODES: usize = 8;
    let is_code = |code: &&String| {
        code.len() <= 64
            && code
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let codes: Vec<&str> = codes
        .iter()
        .filter(is_code)
        .take(CODES)
        .map(String::as_str)
        .collect();
    if codes.is_empty() {
        "the provider gave no reason".to_owned()
    } else {
        codes.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unambiguous_success_is_accepted() {
        for response in [
            r#"{"success": true}"#,
            r#"{"success": true, "error-codes": [], "hostname": "x", "score": 0.9}"#,
        ] {
            assert!(parse_verdict(response).is_ok(), "{response}");
        }
        for response in [
            "",
            "true",
            "{}",
            "[]",
            "null",
            "<html>",
            r#"{"success": "true"}"#,
            r#"{"success": 1}"#,
            r#"{"success": true"#,
        ] {
            assert!(
                matches!(parse_verdict(response), Err(Failure::Unverified(_))),
                "{response}"
            );
        }
    }

    #[test]
    fn the_reason_contains_only_well_formed_error_codes() {
        let reason = |response: &str| match parse_verdict(response) {
            Err(Failure::Invalid(reason)) => reason,
            _ => panic!("{response}"),
        };
        assert_eq!(
            reason(r#"{"success": false, "error-codes": ["invalid-input-secret", "a b", "x"]}"#),
            "invalid-input-secret, x"
        );
        for response in [
            r#"{"success": false}"#,
            r#"{"success": false, "error-codes": null}"#,
            r#"{"success": false, "error-codes": ["\n"]}"#,
        ] {
            assert_eq!(reason(response), "the provider gave no reason");
        }
    }
}
