//! What an operator says of captchas.

use crate::{
    config::{ConfigError, Variables, problem},
    outbound::ServiceUrl,
};

/// A captcha that is on.
#[derive(Clone, Debug)]
pub struct CaptchaSettings {
    /// Whose it is.
    pub provider: CaptchaProvider,
    /// The public key, which the widget is shown with.
    pub id: String,
    /// ARN of the secret that holds the secret key.
    pub secret: String,
    /// Where responses are verified.
    pub url: ServiceUrl,
    /// What it stands before.
    pub protected: Vec<ProtectedOperation>,
}

/// Who says whether a captcha was solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptchaProvider {
    /// Google's reCAPTCHA 2.
    Recaptcha,
    /// hCaptcha.
    Hcaptcha,
    /// Cloudflare Turnstile.
    Turnstile,
    /// `GeeTest` 3.
    Geetest,
}

/// An operation that a captcha can stand before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectedOperation {
    /// Sign-up.
    UserCreate,
    /// Sign-in.
    SessionCreate,
    /// Asking for the mail that lets one set a new password.
    PasswordReset,
    /// Asking for another mail that lets one confirm the address.
    EmailConfirmation,
}

impl CaptchaProvider {
    const ALL: [Self; 4] = [Self::Recaptcha, Self::Hcaptcha, Self::Turnstile, Self::Geetest];

    /// Its name in the configuration, and what front ends are told.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recaptcha => "recaptcha",
            Self::Hcaptcha => "hcaptcha",
            Self::Turnstile => "turnstile",
            Self::Geetest => "geetest",
        }
    }

    /// Where it verifies: of `GeeTest` what its two scripts are below.
    const fn url(self) -> &'static str {
        match self {
            Self::Recaptcha => "https://www.google.com/recaptcha/api/siteverify",
            Self::Hcaptcha => "https://api.hcaptcha.com/siteverify",
            Self::Turnstile => "https://challenges.cloudflare.com/turnstile/v0/siteverify",
            Self::Geetest => "https://api.geetest.com",
        }
    }
}

impl ProtectedOperation {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "user_create" => Some(Self::UserCreate),
            "session_create" => Some(Self::SessionCreate),
            "password_reset" => Some(Self::PasswordReset),
            "email_confirmation" => Some(Self::EmailConfirmation),
            _ => None,
        }
    }
}

impl CaptchaSettings {
    /// Reads the variables. What cannot be right is refused also where no captcha is on.
    pub(crate) fn read<F: Fn(&str) -> Option<String>>(vars: &Variables<F>) -> Result<Option<Self>, ConfigError> {
        const PROVIDER: &str = "IDENTITY_CAPTCHA";
        const ID: &str = "IDENTITY_CAPTCHA_ID";
        const SECRET: &str = "IDENTITY_CAPTCHA_SECRET_ARN";
        const ALL_OPERATIONS: &str = "user_create,session_create,password_reset,email_confirmation";
        let provider = vars.parsed(PROVIDER, "none", |name| {
            let found = CaptchaProvider::ALL.into_iter().find(|provider| provider.name() == name);
            if found.is_none() && name != "none" {
                Err("is none of none, recaptcha, hcaptcha, turnstile and geetest".to_owned())
            } else {
                Ok(found)
            }
        })?;
        let id = vars.text(ID, "", is_word)?;
        let secret = vars.text(SECRET, "", is_word)?;
        let default_url = provider.unwrap_or(CaptchaProvider::Recaptcha).url();
        let url = vars.parsed("IDENTITY_CAPTCHA_URL", default_url, ServiceUrl::parse)?;
        let protected = vars.parsed("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", ALL_OPERATIONS, |text| {
            let names = text.split(',').map(str::trim).map(ProtectedOperation::parse);
            names.collect::<Option<_>>().ok_or_else(|| format!("is not a list out of {ALL_OPERATIONS}"))
        })?;
        let Some(provider) = provider else { return Ok(None) };
        for (variable, value) in [(ID, &id), (SECRET, &secret)] {
            if value.is_empty() {
                return Err(problem(variable, format!("is not set, and {PROVIDER} is {}", provider.name())));
            }
        }
        Ok(Some(Self { provider, id, secret, url, protected }))
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= 2048 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: [(&str, &str); 3] =
        [("IDENTITY_CAPTCHA", "hcaptcha"), ("IDENTITY_CAPTCHA_ID", "id"), ("IDENTITY_CAPTCHA_SECRET_ARN", "arn")];

    /// What these variables say, or the variable that is named.
    fn read(variables: &[(&str, &str)]) -> Result<Option<CaptchaSettings>, String> {
        let get = |name: &str| variables.iter().rfind(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned());
        CaptchaSettings::read(&Variables(get)).map_err(|error| error.to_string().split(':').next().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_captcha_needs_both_keys() {
        assert!(read(&ON[1..]).expect("a configuration").is_none());
        assert_eq!(read(&ON[..2]).err().as_deref(), Some("IDENTITY_CAPTCHA_SECRET_ARN"));
        assert_eq!(read(&[ON[0], ON[2]]).err().as_deref(), Some("IDENTITY_CAPTCHA_ID"));
        let captcha = read(&ON).expect("a configuration").expect("a captcha");
        assert_eq!((captcha.id.as_str(), captcha.secret.as_str(), captcha.protected.len()), ("id", "arn", 4));
    }

    #[test]
    fn every_provider_verifies_at_its_own_place_unless_another_is_given() {
        for provider in CaptchaProvider::ALL {
            let on = [[("IDENTITY_CAPTCHA", provider.name())].as_slice(), &ON[1..]].concat();
            let captcha = read(&on).expect("a configuration").expect("a captcha");
            assert_eq!((captcha.provider, Ok(captcha.url)), (provider, ServiceUrl::parse(provider.url())));
            let captcha = read(&[on.as_slice(), &[("IDENTITY_CAPTCHA_URL", "https://example.com")]].concat());
            assert_eq!(
                captcha.expect("a configuration").map(|captcha| captcha.url),
                ServiceUrl::parse("https://example.com").ok()
            );
        }
    }

    #[test]
    fn it_protects_what_it_is_told_to() {
        let protected = |list| {
            let captcha = read(&[ON.as_slice(), &[("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", list)]].concat());
            captcha.map(|captcha| captcha.map(|captcha| captcha.protected).unwrap_or_default())
        };
        let expected = [ProtectedOperation::UserCreate, ProtectedOperation::PasswordReset];
        assert_eq!(protected(" user_create, password_reset").as_deref(), Ok(expected.as_slice()));
        for bad in ["user_create,", ",", "all", "user_create;password_reset"] {
            assert_eq!(protected(bad).err().as_deref(), Some("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS"), "{bad}");
        }
    }
}
