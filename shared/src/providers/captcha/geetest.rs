//! `GeeTest` 3. Unlike the other providers it wants a round trip before the widget is shown, and
//! signs what the widget makes with MD5: its digests prove nothing by themselves, so the provider
//! is asked too.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use serde::Deserialize;

use super::{Check, Refusal};
use crate::{
    Error,
    domain::captcha::{CaptchaResponse, CaptchaSettings},
    platform::{aws::Aws, clock::Timestamp},
};

/// What the widget makes.
#[derive(Deserialize)]
struct Solution {
    #[serde(rename = "geetest_challenge")]
    challenge: String,
    #[serde(rename = "geetest_validate")]
    signature: String,
    #[serde(rename = "geetest_seccode")]
    seccode: String,
}

/// Begins captchas; nothing where another captcha is configured, or none.
pub struct Registration(Option<Check>);

impl Registration {
    /// Registers captchas; without settings, none. Starts to fetch the provider's secret. Must be
    /// called within a tokio runtime.
    #[must_use]
    pub fn new(settings: Option<CaptchaSettings>, aws: &Aws) -> Self {
        Self(settings.map(|settings| Check::new(settings, aws)))
    }

    /// The public key and a new challenge, which the widget begins with.
    pub async fn begin(&self, now: Timestamp) -> Result<(&str, String), Error> {
        let check = self.0.as_ref().ok_or(Error::RecordNotFound)?;
        let secret = check.secret.text(now).await?;
        let id = &check.settings.id;
        let url = check
            .settings
            .url
            .join("register.php")
            .with_query(&[("gt", id), ("json_format", "1")]);
        let answer = check
            .outbound
            .get(&url, None)
            .await
            .map_err(|error| Error::Unavailable(error.into()))?;
        let text = read(&answer, "challenge").filter(|text| is_challenge(text));
        let text = text
            .ok_or_else(|| Error::Unavailable("the captcha's provider gave no challenge".into()))?;
        Ok((id, digest(&[&text, &secret])))
    }
}

impl Check {
    pub(super) async fn verify_geetest(
        &self,
        secret: &str,
        response: &CaptchaResponse,
    ) -> Result<(), Refusal> {
        let Solution {
            challenge,
            signature,
            seccode,
        } = solution(response)?;
        let expected = digest(&[secret, "geetest", &challenge]);
        if verify_slices_are_equal(expected.as_bytes(), signature.as_bytes()).is_err() {
            return Err(Refusal::Wrong(
                "a signature of another challenge".to_owned(),
            ));
        }
        let fields = [
            ("seccode", &*seccode),
            ("challenge", &challenge),
            ("captchaid", &self.settings.id),
            ("json_format", "1"),
            ("sdk", "latchkey"),
        ];
        let answer = self
            .outbound
            .post_form(&self.settings.url.join("validate.php"), &fields)
            .await?;
        match read(&answer, "seccode") {
            Some(proof) if proof == digest(&[&seccode]) => Ok(()),
            Some(no) if no == "false" => Err(Refusal::Wrong("not solved".to_owned())),
            _ => Err(Refusal::Unknown(
                "an answer that is not understood".to_owned(),
            )),
        }
    }
}

fn solution(response: &CaptchaResponse) -> Result<Solution, Refusal> {
    let solution = match response {
        CaptchaResponse::Text(text) => serde_json::from_str(text),
        CaptchaResponse::Object(object) => serde_json::from_value(object.clone().into()),
    };
    // The parser's error would tell what the client sent.
    solution
        .ok()
        .filter(|solution: &Solution| !solution.seccode.trim().is_empty())
        .ok_or_else(|| Refusal::Wrong("not what the widget makes".to_owned()))
}

/// A field of an answer. Asked for JSON, the provider's older servers answer with the bare value.
fn read(answer: &str, field: &str) -> Option<String> {
    match serde_json::from_str(answer) {
        Ok(serde_json::Value::Object(object)) => object.get(field)?.as_str().map(str::to_owned),
        _ => Some(answer.trim().to_owned()),
    }
}

/// `0` is how the provider says that there is none; anything but one word is the page of a proxy.
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
    fn a_digest_is_md5_of_the_parts_in_a_row() {
        // RFC 1321, section A.5.
        assert_eq!(
            digest(&["message", "", " digest"]),
            "f96b697d7cb7938d525a2f31aaf161d0"
        );
    }

    #[test]
    fn a_solution_is_an_object_or_its_text() {
        let whole = r#"{"geetest_challenge": "c", "geetest_validate": "v", "geetest_seccode": "s", "more": 1}"#;
        let parts = |response: &CaptchaResponse| {
            solution(response)
                .ok()
                .map(|found| [found.challenge, found.signature, found.seccode])
        };
        let object = |text| CaptchaResponse::Object(serde_json::from_str(text).expect("an object"));
        let expected = Some(["c", "v", "s"].map(str::to_owned));
        assert_eq!(parts(&object(whole)), expected);
        assert_eq!(parts(&CaptchaResponse::Text(whole.to_owned())), expected);
        for bad in [
            "{}",
            r#"{"geetest_challenge": "c", "geetest_validate": "v"}"#,
            r#"{"geetest_challenge": "c", "geetest_validate": "v", "geetest_seccode": " "}"#,
            r#"{"geetest_challenge": 1, "geetest_validate": "v", "geetest_seccode": "s"}"#,
        ] {
            assert_eq!(parts(&object(bad)), None, "{bad}");
        }
        assert_eq!(parts(&CaptchaResponse::Text("token".to_owned())), None);
    }

    #[test]
    fn an_answer_is_json_or_the_bare_value() {
        assert_eq!(
            read(r#"{"challenge": "abc"}"#, "challenge").as_deref(),
            Some("abc")
        );
        assert_eq!(read("abc\n", "challenge").as_deref(), Some("abc"));
        for nothing in [r#"{"status": "error"}"#, r#"{"challenge": 1}"#] {
            assert_eq!(read(nothing, "challenge"), None);
        }
        for bad in ["", "0", "<html>", "two words", "[1]"] {
            assert!(
                !read(bad, "challenge").is_some_and(|text| is_challenge(&text)),
                "{bad}"
            );
        }
    }
}
