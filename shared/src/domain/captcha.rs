//! Captchas: providers, and the operations that may require one.

use crate::platform::service_url::ServiceUrl;

/// A captcha that is on.
#[derive(Clone, Debug)]
pub struct CaptchaSettings {
    /// The provider.
    pub provider: CaptchaProvider,
    /// The public key, which the widget is shown with.
    pub id: String,
    /// ARN of the secret that holds the private key.
    pub secret: String,
    /// Where responses are verified.
    pub url: ServiceUrl,
    /// The operations that require it.
    pub protected: Vec<ProtectedOperation>,
}

impl CaptchaSettings {
    /// Whether an operation requires it.
    #[must_use]
    pub fn protects(&self, operation: ProtectedOperation) -> bool {
        self.protected.contains(&operation)
    }
}

/// A provider of captchas.
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

/// An operation that may require a captcha.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectedOperation {
    /// Sign-up.
    UserCreate,
    /// Sign-in.
    SessionCreate,
    /// A request for a password reset.
    PasswordReset,
    /// A request for another confirmation mail.
    EmailConfirmation,
}

/// The value of the parameter `captcha_response`.
pub enum CaptchaResponse {
    /// A token, or an object's JSON text.
    Text(String),
    /// An object, as one provider's widget makes it.
    Object(serde_json::Map<String, serde_json::Value>),
}

impl CaptchaProvider {
    /// Every provider.
    pub const ALL: [Self; 4] = [
        Self::Recaptcha,
        Self::Hcaptcha,
        Self::Turnstile,
        Self::Geetest,
    ];

    /// Its name in the configuration and in `captcha_type` of the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recaptcha => "recaptcha",
            Self::Hcaptcha => "hcaptcha",
            Self::Turnstile => "turnstile",
            Self::Geetest => "geetest",
        }
    }

    /// The URL at which it verifies responses; of `GeeTest` the base of its two scripts.
    #[must_use]
    pub const fn url(self) -> &'static str {
        match self {
            Self::Recaptcha => "https://www.google.com/recaptcha/api/siteverify",
            Self::Hcaptcha => "https://api.hcaptcha.com/siteverify",
            Self::Turnstile => "https://challenges.cloudflare.com/turnstile/v0/siteverify",
            Self::Geetest => "https://api.geetest.com",
        }
    }
}

impl ProtectedOperation {
    /// The operation of a name in the configuration.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "user_create" => Some(Self::UserCreate),
            "session_create" => Some(Self::SessionCreate),
            "password_reset" => Some(Self::PasswordReset),
            "email_confirmation" => Some(Self::EmailConfirmation),
            _ => None,
        }
    }
}
