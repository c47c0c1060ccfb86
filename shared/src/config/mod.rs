//! The configuration: environment variables that template.yaml sets, in sections by concern.
//! docs/CONFIGURATION.md describes each variable.
//!
//! A binary reads the sections that it uses once, when it starts. Each error is a [`ConfigError`],
//! which names the variable.

mod accounts;
mod application;
mod captcha;
mod cdn;
mod limits;
mod mail;
mod origins;
mod passkeys;
mod passwords;
mod resources;
mod sessions;
#[cfg(test)]
mod tests;
mod tokens;
mod variables;

pub use accounts::{Accounts, closed_lifetime, pending_lifetime, sign_in_notice};
pub use application::{Application, Logo, app_name, default_language, logo};
pub use captcha::captcha;
pub use cdn::cdn_secrets;
pub use limits::limits;
pub use mail::{Mail, Sender, SupportUrl};
pub use origins::browser_origins;
pub use passkeys::{related_origins, relying_party};
pub use passwords::{Passwords, argon2, imported_hashes};
pub use resources::{Tables, data_secret, token_secret};
pub use sessions::{Sessions, auth_method_is_own, trusted_proxies};
pub use tokens::{AccessTokens, access_token_key};
pub use variables::{ConfigError, MAX_LENGTHS, Variables};
