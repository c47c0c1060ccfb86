//! Captchas: the word of a provider that a person asks. Whatever is not a clear yes is a no.

mod geetest;

use std::time::Duration;

use serde::Deserialize;

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
        secrets::Secret,
        telemetry::metrics,
    },
};

/// For everything that a provider is asked for a request.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of a provider's answer at the most.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The captcha of one operation; nothing where it has none.
pub struct Captcha(Option<Check>);

/// What it takes to ask a provider.
struct Check {
    settings: CaptchaSettings,
    secret: Secret,
    outbound: HttpClient,
}

/// Why a response does not pass.
enum Refusal {
    /// The provider, or what its response must hold, says no. Holds the reason, which no client
    /// made.
    Wrong(String),
    /// The provider did not say.
    Unknown(String),
}

impl Captcha {
    /// Requires a captcha; without settings, none. Starts to fetch the provider's secret. Must be
    /// called within a tokio runtime.
    #[must_use]
    pub fn new(settings: Option<CaptchaSettings>, aws: &Aws) -> Self {
        Self(settings.map(|settings| Check::new(settings, aws)))
    }

    /// Lets pass who solved it, and everybody where there is none. A response is to be checked
    /// once: providers take it once.
    pub async fn check(
        &self,
        response: Option<&CaptchaResponse>,
        client: &Client,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(check) = &self.0 else { return Ok(()) };
        let response = response.ok_or(Error::CaptchaRequired)?;
        let provider = check.settings.provider.name();
        // Boxed, so that a request without a captcha does not carry it along.
        match Box::pin(check.verify(response, client, now)).await? {
            Ok(()) => return Ok(()),
            Err(Refusal::Wrong(cause)) => tracing::info!(
                event = "captcha_refused",
                provider,
                cause,
                "a captcha was not solved"
            ),
            Err(Refusal::Unknown(cause)) => {
                metrics::captcha_unavailable();
                tracing::warn!(
                    event = "captcha_unavailable",
                    provider,
                    cause,
                    "a captcha could not be checked"
                );
            }
        }
        Err(Error::CaptchaRefused)
    }
}

impl Check {
    fn new(settings: CaptchaSettings, aws: &Aws) -> Self {
        let secret = Secret::fetch(aws.secrets_manager(), &settings.secret);
        Self {
            settings,
            secret,
            outbound: HttpClient::new(TIMEOUT, ANSWER_LIMIT),
        }
    }

    async fn verify(
        &self,
        response: &CaptchaResponse,
        client: &Client,
        now: Timestamp,
    ) -> Result<Result<(), Refusal>, Error> {
        let secret = self.secret.text(now).await?;
        Ok(match (self.settings.provider, response) {
            (CaptchaProvider::Geetest, response) => self.verify_geetest(&secret, response).await,
            (_, CaptchaResponse::Text(token)) => self.verify_token(&secret, token, client).await,
            (_, CaptchaResponse::Object(_)) => {
                Err(Refusal::Wrong("an object instead of a token".to_owned()))
            }
        })
    }

    /// The call that three providers have in common:
    /// <https://developers.google.com/recaptcha/docs/verify>,
    /// <https://docs.hcaptcha.com/#verify-the-user-response-server-side>,
    /// <https://developers.cloudflare.com/turnstile/get-started/server-side-validation/>.
    async fn verify_token(
        &self,
        secret: &str,
        token: &str,
        client: &Client,
    ) -> Result<(), Refusal> {
        let mut fields = vec![("secret", secret), ("response", token)];
        if !client.address.is_empty() {
            fields.push(("remoteip", &client.address));
        }
        if self.settings.provider == CaptchaProvider::Hcaptcha {
            // Its secret is the account's, so that another site's token would pass without this.
            fields.push(("sitekey", &self.settings.id));
        }
        let answer = self.outbound.post_form(&self.settings.url, &fields).await?;
        judge(&answer)
    }
}

impl From<HttpClientError> for Refusal {
    fn from(error: HttpClientError) -> Self {
        Self::Unknown(error.to_string())
    }
}

fn judge(answer: &str) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Answer {
        success: bool,
        #[serde(rename = "error-codes")]
        error_codes: Option<Vec<String>>,
    }
    match serde_json::from_str(answer) {
        Ok(Answer { success: true, .. }) => Ok(()),
        Ok(Answer { error_codes, .. }) => {
            Err(Refusal::Wrong(readable(&error_codes.unwrap_or_default())))
        }
        Err(_) => Err(Refusal::Unknown(
            "an answer that is not understood".to_owned(),
        )),
    }
}

/// What a log takes of a provider's codes, such as `invalid-input-secret`.
fn readable(codes: &[String]) -> String {
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
        "no reason given".to_owned()
    } else {
        codes.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_passes() {
        for answer in [
            r#"{"success": true}"#,
            r#"{"success": true, "error-codes": [], "hostname": "x", "score": 0.9}"#,
        ] {
            assert!(judge(answer).is_ok(), "{answer}");
        }
        for answer in [
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
                matches!(judge(answer), Err(Refusal::Unknown(_))),
                "{answer}"
            );
        }
    }

    #[test]
    fn the_reason_of_a_no_is_told_as_far_as_it_is_one() {
        let reason = |answer: &str| match judge(answer) {
            Err(Refusal::Wrong(reason)) => reason,
            _ => panic!("{answer}"),
        };
        assert_eq!(
            reason(r#"{"success": false, "error-codes": ["invalid-input-secret", "a b", "x"]}"#),
            "invalid-input-secret, x"
        );
        for answer in [
            r#"{"success": false}"#,
            r#"{"success": false, "error-codes": null}"#,
            r#"{"success": false, "error-codes": ["\n"]}"#,
        ] {
            assert_eq!(reason(answer), "no reason given");
        }
    }
}
