//! Tokens of this service, access tokens for other services, and the keys of both.

pub mod access_token;
pub mod key_cache;
pub mod key_provider;
pub mod published_keys;
pub mod signed_token;
