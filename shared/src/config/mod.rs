//! The configuration: environment variables that template.yaml sets, in sections by concern. A
//! binary reads the sections that it uses, once, at its start; an error names the variable.
//! README.md describes each variable.

mod accounts;
mod application;
mod captcha;
mod limits;
mod mail;
mod passwords;
mod resources;
mod sessions;
#[cfg(test)]
mod tests;
mod tokens;
mod variables;

pub use accounts::Accounts;
pub use application::Application;
pub use captcha::captcha;
pub use limits::limits;
pub use mail::{Mail, Sender};
pub use passwords::{Passwords, argon2};
pub use resources::{Tables, token_secret};
pub use sessions::{Sessions, trusted_proxies};
pub use tokens::AccessTokens;
pub use variables::{ConfigError, LONGEST, Variables};
