//! Access tokens (JWTs), which other services verify.

use super::{Application, ConfigError, Variables, variables::is_printable_ascii};

const ISSUER: &str = "IDENTITY_ACCESS_TOKEN_ISSUER";

/// Claims that are the same in all access tokens (RFC 7519, section 4.1).
#[derive(Clone, Debug)]
pub struct AccessTokens {
    /// `IDENTITY_ACCESS_TOKEN_ISSUER`: claim `iss`.
    pub issuer: String,
    /// The issuer, if it is set and a URL. The API is then reachable there.
    pub issuer_url: Option<String>,
    /// `IDENTITY_ACCESS_TOKEN_AUDIENCE`: claim `aud`, at least one name.
    pub audience: Vec<String>,
}

impl AccessTokens {
    /// Reads the claims. The default of the issuer is the domain of the application.
    pub fn read(variables: &Variables, application: &Application) -> Result<Self, ConfigError> {
        let issuer = variables.text(ISSUER, &application.domain, is_claim)?;
        let is_set = variables.optional(ISSUER)?.is_some();
        let is_url = ["https://", "http://"]
            .iter()
            .any(|scheme| issuer.starts_with(scheme));
        Ok(Self {
            issuer_url: (is_set && is_url).then(|| issuer.clone()),
            issuer,
            audience: variables.parsed("IDENTITY_ACCESS_TOKEN_AUDIENCE", "latchkey", |text| {
                let names = text.split(',').map(str::trim);
                let names = names.map(|name| is_claim(name).then(|| name.to_owned()));
                names.collect::<Option<_>>().ok_or_else(|| {
                    "is not a list of names separated by commas, or has invalid characters"
                        .to_owned()
                })
            })?,
        })
    }
}

/// Reads `IDENTITY_ACCESS_TOKEN_KEY_ARN`, the secret with the private key that signs access tokens;
/// `None` if it is derived from the token secret.
pub fn access_token_key(variables: &Variables) -> Result<Option<String>, ConfigError> {
    let secret = variables.text("IDENTITY_ACCESS_TOKEN_KEY_ARN", "", |text| {
        text.bytes().all(|byte| byte.is_ascii_graphic())
    })?;
    Ok((!secret.is_empty()).then_some(secret))
}

fn is_claim(text: &str) -> bool {
    !text.is_empty() && is_printable_ascii(text) && !text.contains(['"', '\\'])
}
