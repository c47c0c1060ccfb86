//! Captcha settings: the provider, and the operations that require a captcha.

use crate::platform::service_url::ServiceUrl;

/// The settings of a captcha that is required.
#[derive(Clone, Debug)]
pub struct CaptchaSettings {
    /// The service that verifies responses.
    pub provider: CaptchaProvider,
    /// The public key (site key) of the widget.
    pub id: String,
    /// ARN of the secret in Secrets Manager that contains the private key.
    pub secret: String,
    /// The URL that verifies responses; for `GeeTest`, the base URL of its API.
    pub url: ServiceUrl,
    /// The operations that require a captcha.
    pub protected: Vec<ProtectedOperation>,
}

impl CaptchaSettings {
    /// Whether an operation requires a captcha.
    #[must_use]
    pub fn protects(&self, operation: ProtectedOperation) -> bool {
        self.protected.contains(&operation)
    }
}

/// A captcha provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptchaProvider {
    /// Google reCAPTCHA v2.
    Recaptcha,
    /// hCaptcha.
    Hcaptcha,
    /// Cloudflare Turnstile.
    Turnstile,
    /// `GeeTest` version 3.
    Geetest,
}

/// An operation that can require a captcha.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectedOperation {
    /// Sign-up.
    UserCreate,
    /// Sign-in.
    SessionCreate,
    /// A request for a password reset.
    PasswordReset,
    /// A request for a new confirmation mail.
    EmailConfirmation,
}

/// The value of the parameter `captcha_response`.
pub enum CaptchaResponse {
    /// A token, or an object as JSON text.
    Text(String),
    /// An object, which the widget of `GeeTest` returns.
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

    /// The name in `IDENTITY_CAPTCHA`, and in `captcha_type` of `GET /identity/configs`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recaptcha => "recaptcha",
            Self::Hcaptcha => "hcaptcha",
            Self::Turnstile => "turnstile",
            Self::Geetest => "geetest",
        }
    }

    /// The default of [`CaptchaSettings::url`].
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
    /// Parses a name from `IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS`.
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
