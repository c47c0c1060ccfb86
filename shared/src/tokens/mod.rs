//! Tokens of this service, access tokens for other services, the keys of both, and the OTP secrets.

pub mod access_token;
pub mod key_provider;
pub mod otp_secrets;
pub mod signed_token;
