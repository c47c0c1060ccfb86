//! Sessions, and the gateways that report client addresses.

use super::{ConfigError, Variables};
use crate::domain::{
    ip_network::Network, session::SessionLifetime, session_binding::SessionBinding,
};

/// Maximum idle and absolute timeout, in seconds: 90 days.
const LONGEST: i64 = 7_776_000;

/// Settings of sessions.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// `IDENTITY_SESSION_NAME`: name of the session cookie, a token of RFC 9110.
    pub cookie_name: String,
    /// `IDENTITY_SESSION_EXPIRE_TIME` and `IDENTITY_SESSION_MAX_AGE`: idle and absolute timeout,
    /// in seconds.
    pub lifetime: SessionLifetime,
    /// `IDENTITY_SESSION_BINDING`: `agent`, `client` or `none`.
    pub binding: SessionBinding,
    /// `IDENTITY_REAUTHENTICATION_TIME`: seconds after an authentication in which a session may
    /// change how the user signs in; 0 switches the requirement off.
    pub reauthentication_time: i64,
    /// `IDENTITY_SESSION_REQUESTS_PER_MINUTE`: maximum state-changing requests of a session in a
    /// calendar minute; 0 switches the limit off.
    pub requests_per_minute: u32,
}

impl Sessions {
    /// Reads the settings of sessions.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        const MAX_AGE: &str = "IDENTITY_SESSION_MAX_AGE";
        let lifetime = SessionLifetime {
            idle: variables.number("IDENTITY_SESSION_EXPIRE_TIME", "1800", 60..=LONGEST)?,
            absolute: variables.number(MAX_AGE, "86400", 60..=LONGEST)?,
        };
        if lifetime.absolute < lifetime.idle {
            return Err(ConfigError::new(
                MAX_AGE,
                "is less than IDENTITY_SESSION_EXPIRE_TIME",
            ));
        }
        Ok(Self {
            cookie_name: variables.text("IDENTITY_SESSION_NAME", "_barong_session", is_token)?,
            lifetime,
            binding: variables.parsed("IDENTITY_SESSION_BINDING", "agent", |text| match text {
                "agent" => Ok(SessionBinding::Agent),
                "client" => Ok(SessionBinding::Client),
                "none" => Ok(SessionBinding::None),
                _ => Err("is not agent, client or none".to_owned()),
            })?,
            reauthentication_time: reauthentication_time(variables)?,
            requests_per_minute: variables.number(
                "IDENTITY_SESSION_REQUESTS_PER_MINUTE",
                "120",
                0..=100_000,
            )?,
        })
    }
}

fn reauthentication_time(variables: &Variables) -> Result<i64, ConfigError> {
    const NAME: &str = "IDENTITY_REAUTHENTICATION_TIME";
    let time = variables.number(NAME, "900", 0..=86_400)?;
    if (1..5).contains(&time) {
        return Err(ConfigError::new(NAME, "is neither 0 nor 5 to 86400"));
    }
    Ok(time)
}

/// Reads `IDENTITY_AUTH_METHOD`: whether the method of a request at `/auth` is that of the client's
/// request (`request`), or only a header states it (`header`).
pub fn auth_method_is_own(variables: &Variables) -> Result<bool, ConfigError> {
    variables.parsed("IDENTITY_AUTH_METHOD", "header", |text| match text {
        "header" => Ok(false),
        "request" => Ok(true),
        _ => Err("is neither header nor request".to_owned()),
    })
}

/// Reads `IDENTITY_TRUSTED_PROXIES`, the networks of gateways whose `X-Forwarded-For` header is
/// trusted at `/auth`.
pub fn trusted_proxies(variables: &Variables) -> Result<Vec<Network>, ConfigError> {
    variables.parsed("IDENTITY_TRUSTED_PROXIES", "", |text| {
        let networks = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(Network::parse);
        networks.collect::<Option<_>>().ok_or_else(|| {
            "is not a list of networks, for example 203.0.113.0/24,2001:db8::/32".to_owned()
        })
    })
}

/// Whether text consists of the characters of a token (RFC 9110, section 5.6.2), as the name of a
/// cookie must (RFC 6265, section 4.1.1).
fn is_token(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}
