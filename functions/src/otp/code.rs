//! The parameter `code` of the operations on the second factor, and the response with new recovery
//! codes.

use serde::Serialize;
use shared::{
    Error,
    domain::{
        otp::{NewRecoveryCodes, SecondFactorCode},
        password::Password,
    },
    http::{Form, Request},
};

/// The only response that contains recovery codes.
#[derive(Serialize)]
pub(super) struct RecoveryCodesOutput {
    recovery_codes: Vec<String>,
}

impl From<&NewRecoveryCodes> for RecoveryCodesOutput {
    fn from(new: &NewRecoveryCodes) -> Self {
        Self {
            recovery_codes: new.formatted(),
        }
    }
}

/// Reads the code, which is a secret like a password.
pub(super) async fn read(request: Request) -> Result<Password, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.otp");
    let code = parameters.password("code");
    parameters.finish().map(|()| code)
}

/// Parses a code. Text without the form of a code is rejected without being counted.
pub(super) fn parse(code: &Password) -> Result<SecondFactorCode, Error> {
    SecondFactorCode::parse(code.reveal()).ok_or(Error::OtpRefused)
}
