//! The captcha provider.

use super::{ConfigError, Variables};
use crate::{
    domain::captcha::{CaptchaProvider, CaptchaSettings, ProtectedOperation},
    platform::service_url::ServiceUrl,
};

/// Reads the settings of the captcha provider; `None` if `IDENTITY_CAPTCHA` is `none`. Even then,
/// an invalid value of another variable is an error.
pub fn captcha(variables: &Variables) -> Result<Option<CaptchaSettings>, ConfigError> {
    const PROVIDER: &str = "IDENTITY_CAPTCHA";
    const ID: &str = "IDENTITY_CAPTCHA_ID";
    const SECRET: &str = "IDENTITY_CAPTCHA_SECRET_ARN";
    const ALL_OPERATIONS: &str = "user_create,session_create,password_reset,email_confirmation";
    let provider = variables.parsed(PROVIDER, "none", |name| {
        let found = CaptchaProvider::ALL
            .into_iter()
            .find(|provider| provider.name() == name);
        if found.is_none() && name != "none" {
            Err("is not one of none, recaptcha, hcaptcha, turnstile, geetest".to_owned())
        } else {
            Ok(found)
        }
    })?;
    let id = variables.text(ID, "", is_graphic_ascii)?;
    let secret = variables.text(SECRET, "", is_graphic_ascii)?;
    let default_url = provider.unwrap_or(CaptchaProvider::Recaptcha).url();
    let url = variables.parsed("IDENTITY_CAPTCHA_URL", default_url, ServiceUrl::parse)?;
    let protected = variables.parsed(
        "IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS",
        ALL_OPERATIONS,
        |text| {
            if text == "none" {
                return Ok(Vec::new());
            }
            let names = text
                .split(',')
                .map(str::trim)
                .map(ProtectedOperation::parse);
            names.collect::<Option<_>>().ok_or_else(|| {
                format!("is neither none nor a list of operations from {ALL_OPERATIONS}")
            })
        },
    )?;
    let Some(provider) = provider else {
        return Ok(None);
    };
    for (variable, value) in [(ID, &id), (SECRET, &secret)] {
        if value.is_empty() {
            return Err(ConfigError::new(
                variable,
                format!("is not set, but {PROVIDER} is {}", provider.name()),
            ));
        }
    }
    Ok(Some(CaptchaSettings {
        provider,
        id,
        secret,
        url,
        protected,
    }))
}

fn is_graphic_ascii(text: &str) -> bool {
    text.len() <= 2048 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: [(&str, &str); 3] = [
        ("IDENTITY_CAPTCHA", "hcaptcha"),
        ("IDENTITY_CAPTCHA_ID", "id"),
        ("IDENTITY_CAPTCHA_SECRET_ARN", "arn"),
    ];

    /// The settings in these variables, or the name of the variable in the error.
    fn read(variables: &[(&str, &str)]) -> Result<Option<CaptchaSettings>, String> {
        let variables: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let get = move |name: &str| {
            variables
                .iter()
                .rfind(|(variable, _)| variable == name)
                .map(|(_, value)| value.clone())
        };
        captcha(&Variables::new(get)).map_err(|error| {
            error
                .to_string()
                .split(':')
                .next()
                .unwrap_or_default()
                .to_owned()
        })
    }

    #[test]
    fn a_captcha_requires_its_public_key_and_its_secret() {
        assert!(read(&ON[1..]).expect("a configuration").is_none());
        assert_eq!(
            read(&ON[..2]).err().as_deref(),
            Some("IDENTITY_CAPTCHA_SECRET_ARN")
        );
        assert_eq!(
            read(&[ON[0], ON[2]]).err().as_deref(),
            Some("IDENTITY_CAPTCHA_ID")
        );
        let captcha = read(&ON).expect("a configuration").expect("a captcha");
        assert_eq!(
            (
                captcha.id.as_str(),
                captcha.secret.as_str(),
                captcha.protected.len()
            ),
            ("id", "arn", 4)
        );
    }

    #[test]
    fn each_provider_has_a_default_url() {
        for provider in CaptchaProvider::ALL {
            let on = [[("IDENTITY_CAPTCHA", provider.name())].as_slice(), &ON[1..]].concat();
            let captcha = read(&on).expect("a configuration").expect("a captcha");
            assert_eq!(
                (captcha.provider, Ok(captcha.url)),
                (provider, ServiceUrl::parse(provider.url()))
            );
            let captcha = read(
                &[
                    on.as_slice(),
                    &[("IDENTITY_CAPTCHA_URL", "https://example.com")],
                ]
                .concat(),
            );
            assert_eq!(
                captcha.expect("a configuration").map(|captcha| captcha.url),
                ServiceUrl::parse("https://example.com").ok()
            );
        }
    }

    #[test]
    fn the_protected_operations_are_a_list() {
        let protected = |list| {
            let captcha = read(
                &[
                    ON.as_slice(),
                    &[("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", list)],
                ]
                .concat(),
            );
            captcha.map(|captcha| captcha.map(|captcha| captcha.protected).unwrap_or_default())
        };
        let expected = [
            ProtectedOperation::UserCreate,
            ProtectedOperation::PasswordReset,
        ];
        assert_eq!(
            protected(" user_create, password_reset").as_deref(),
            Ok(expected.as_slice())
        );
        assert_eq!(protected("none").as_deref(), Ok([].as_slice()));
        for bad in [
            "user_create,",
            ",",
            "all",
            "none,user_create",
            "user_create;password_reset",
        ] {
            assert_eq!(
                protected(bad).err().as_deref(),
                Some("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS"),
                "{bad}"
            );
        }
    }
}
