//! `GeeTest` version 3. Unlike the other providers, it requires a call before the widget is shown,
//! and signs the response of the widget with MD5. MD5 alone is not sufficient, so the provider also
//! verifies the response.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use serde::Deserialize;

use super::{Check, Failure, SECRET_AGE};
use crate::{
    Error,
    domain::captcha::{CaptchaResponse, CaptchaSettings},
    platform::{aws::Aws, clock::Timestamp},
};

/// The response of the widget.
#[derive(Deserialize)]
struct Solution {
    #[serde(rename = "geetest_challenge")]
    challenge: String,
    #[serde(rename = "geetest_validate")]
    signature: String,
    #[serde(rename = "geetest_seccode")]
    seccode: String,
}

/// Registers captchas with the provider; `None` if another captcha, or none, is configured.
pub struct Registration(Option<Check>);

impl Registration {
    /// Registration with these settings; without settings, there is none. Starts to fetch the
    /// secret of the provider, so it must be called within a tokio runtime.
    #[must_use]
    pub fn new(settings: Option<CaptchaSettings>, aws: &Aws) -> Self {
        Self(settings.map(|settings| Check::new(settings, aws)))
    }

    /// The public key and a new challenge for the widget.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if `GeeTest` is not configured, and [`Error::Unavailable`] if the
    /// provider does not answer or the secret cannot be fetched.
    pub async fn begin(&self, now: Timestamp) -> Result<(&str, String), Error> {
        let check = self.0.as_ref().ok_or(Error::RecordNotFound)?;
        let secret = check.secret.recent(now, SECRET_AGE).await?;
        let id = &check.settings.id;
        let url = check
            .settings
            .url
            .join("register.php")
            .with_query(&[("gt", id), ("json_format", "1")]);
        let response = check
            .http_client
            .get(&url, None)
            .await
            .map_err(|error| Error::Unavailable(error.into()))?;
        let text = field(&response, "challenge").filter(|text| is_challenge(text));
        let text = text.ok_or_else(|| {
            Error::Unavailable("the captcha provider returned no challenge".into())
        })?;
        Ok((id, digest(&[&text, &secret])))
    }
}

impl Check {
    pub(super) async fn verify_geetest(
        &self,
        secret: &str,
        response: &CaptchaResponse,
    ) -> Result<(), Failure> {
        let Solution {
            challenge,
            signature,
            seccode,
        } = solution(response).ok_or(Failure::Incomplete)?;
        let expected = digest(&[secret, "geetest", &challenge]);
        if verify_slices_are_equal(expected.as_bytes(), signature.as_bytes()).is_err() {
            return Err(Failure::Invalid(
                "the signature does not match the challenge".to_owned(),
            ));
        }
        let fields = [
            ("seccode", &*seccode),
            ("challenge", &challenge),
            ("captchaid", &self.settings.id),
            ("json_format", "1"),
            ("sdk", "latchkey"),
        ];
        let response = self
            .http_client
            .post_form(&self.settings.url.join("validate.php"), &fields)
            .await?;
        match field(&response, "seccode") {
            Some(proof) if proof == digest(&[&seccode]) => Ok(()),
            Some(text) if text == "false" => Err(Failure::Invalid(
                "the provider rejected the response".to_owned(),
            )),
            _ => Err(Failure::Unverified(
                "the response of the provider has an unexpected format".to_owned(),
            )),
        }
    }
}

/// The solution, if it has all fields as text that is not blank.
fn solution(response: &CaptchaResponse) -> Option<Solution> {
    let solution: Option<Solution> = match response {
        CaptchaResponse::Text(text) => serde_json::from_str(text).ok(),
        CaptchaResponse::Object(object) => serde_json::from_value(object.clone().into()).ok(),
    };
    solution.filter(|solution| {
        [&solution.challenge, &solution.signature, &solution.seccode]
            .iter()
            .all(|field| !field.trim().is_empty())
    })
}

/// A field of a provider's response, which is JSON or, from older servers, the bare value.
fn field(response: &str, name: &str) -> Option<String> {
    match serde_json::from_str(response) {
        Ok(serde_json::Value::Object(object)) => object.get(name)?.as_str().map(str::to_owned),
        _ => Some(response.trim().to_owned()),
    }
}

/// Whether the text is a challenge. The provider returns `0` if there is none, and a proxy may
/// return a page.
fn is_challenge(text: &str) -> bool {
    text != "0"
        && (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn digest(parts: &[&str]) -> String {
    let hash = parts.iter().fold(Md5::new(), Digest::chain_update);
    HEXLOWER.encode(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_md5_of_the_concatenated_parts() {
        // RFC 1321, section A.5.
        assert_eq!(
            digest(&["message", "", " digest"]),
            "f96b697d7cb7938d525a2f31aaf161d0"
        );
    }

    #[test]
    fn a_solution_is_an_object_or_its_json_text() {
        let whole = r#"{"geetest_challenge": "c", "geetest_validate": "v", "geetest_seccode": "s", "more": 1}"#;
        let parts = |response: &CaptchaResponse| {
            solution(response).map(|found| [found.challenge, found.signature, found.seccode])
        };
        let object = |text| CaptchaResponse::Object(serde_json::from_str(text).expect("an object"));
        let expected = Some(["c", "v", "s"].map(str::to_owned));
        assert_eq!(parts(&object(whole)), expected);
        assert_eq!(parts(&CaptchaResponse::Text(whole.to_owned())), expected);
        for bad in [
            "{}",
            r#"{"geetest_challenge": "c", "geetest_validate": "v"}"#,
            r#"{"geetest_challenge": "c", "geetest_validate": "v", "geetest_seccode": " "}"#,
            r#"{"geetest_challenge": "", "geetest_validate": "v", "geetest_seccode": "s"}"#,
            r#"{"geetest_challenge": 1, "geetest_validate": "v", "geetest_seccode": "s"}"#,
        ] {
            assert_eq!(parts(&object(bad)), None, "{bad}");
        }
        assert_eq!(parts(&CaptchaResponse::Text("token".to_owned())), None);
    }

    #[test]
    fn a_response_is_json_or_the_bare_value() {
        assert_eq!(
            field(r#"{"challenge": "abc"}"#, "challenge").as_deref(),
            Some("abc")
        );
        assert_eq!(field("abc\n", "challenge").as_deref(), Some("abc"));
        for nothing in [r#"{"status": "error"}"#, r#"{"challenge": 1}"#] {
            assert_eq!(field(nothing, "challenge"), None);
        }
        for bad in ["", "0", "<html>", "two words", "[1]"] {
            assert!(
                !field(bad, "challenge").is_some_and(|text| is_challenge(&text)),
                "{bad}"
            );
        }
    }
}
