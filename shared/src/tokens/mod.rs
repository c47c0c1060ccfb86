//! Tokens of this service, access tokens for other services, the keys of both, and the OTP secrets.

pub mod access_key;
pub mod access_token;
pub mod ceremony;
pub mod key_cache;
pub mod key_provider;
pub mod operator_keys;
pub mod otp_secrets;
pub mod published_keys;
pub mod signed_token;
