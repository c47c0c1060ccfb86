//! What is answered when an operation does not succeed: one table from error to status and keys.

use std::fmt;

use lambda_http::http::StatusCode;

use crate::BoxError;

/// Why an operation did not succeed. The first group is the client's doing; the last two are
/// failures, whose cause is logged and never told.
#[derive(Debug)]
pub enum Error {
    /// The body is not what its media type says, or a value is not text.
    MalformedBody,
    /// The body is of a media type that is not read.
    UnsupportedMediaType,
    /// The body is longer than what is read.
    BodyTooLarge,
    /// Parameters are missing, blank, too long or of the wrong type.
    Parameters(Vec<ParameterFault>),
    /// What the parameters say is not acceptable, in the order of the parameters.
    Fields(Vec<FieldFault>),
    /// Unknown address or wrong password: one answer, so that it does not tell which.
    InvalidCredentials,
    /// Right password, banned account.
    AccountBanned,
    /// Right password, deleted account.
    AccountDeleted,
    /// Right password, an account in any other state that must not sign in.
    AccountNotActive,
    /// A second factor is on and its code was not given.
    OtpMissing,
    /// The code of the second factor is wrong or was used before.
    OtpInvalid,
    /// No session was presented.
    SessionMissing,
    /// What was presented is not a live session.
    SessionNotFound,
    /// No such user to reset the password of.
    UserDoesntExist,
    /// The password and its repetition differ.
    PasswordsDontMatch,
    /// The token is malformed, forged, expired or made for another purpose.
    TokenInvalid,
    /// The token was used, or a newer one was made.
    TokenUtilized,
    /// The user of the token is gone.
    RecordNotFound,
    /// The user of the token is gone, or not waiting for a confirmation.
    NothingToConfirm,
    /// The referral is not a uid.
    ReferralInvalid,
    /// The referral is nobody's uid.
    ReferralUnknown,
    /// Too many attempts: to be tried again after so many seconds.
    TooManyAttempts {
        /// Seconds, at least one.
        retry_after: i64,
    },
    /// The operation wants a captcha, and its answer is absent.
    CaptchaRequired,
    /// The answer to the captcha is wrong, or nobody could say.
    CaptchaRefused,
    /// Nothing was presented that is a live session.
    NotSignedIn,
    /// The session is used by another client than it was begun by.
    ClientMismatch,
    /// The session came as a cookie, and the header that proves who sent it is absent.
    CsrfTokenMissing,
    /// That header is another session's.
    CsrfTokenMismatch,
    /// The account of the session must not be used.
    UserNotActive,
    /// The new password and its repetition differ.
    NewPasswordsDontMatch,
    /// The password that was to be changed is another.
    PreviousPasswordWrong,
    /// The new password is the old one.
    PasswordUnchanged,
    /// A second factor is on.
    OtpAlreadyEnabled,
    /// No second factor is on.
    OtpNotEnabled,
    /// A code of the second factor is wrong or was used before, of one who is signed in.
    OtpRefused,
    /// There is no such topic of activities.
    TopicUnknown,
    /// There are no activities of the topic.
    NoActivity,
    /// Something that is needed did not answer, or was too busy to.
    Unavailable(BoxError),
    /// What should not happen did.
    Internal(BoxError),
}

/// A parameter that is not as declared, in an operation whose keys begin with `module`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterFault {
    /// What the key begins with, as `identity.session`.
    pub module: &'static str,
    /// The parameter's name.
    pub parameter: &'static str,
    /// What is wrong with it.
    pub kind: ParameterFaultKind,
}

/// What is wrong with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterFaultKind {
    /// Absent.
    Missing,
    /// Present, nothing but white space.
    Blank,
    /// Longer than the parameter may be.
    TooLong,
    /// Neither text nor an object (of `captcha_response`).
    InvalidFormat,
}

/// A value that is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldFault {
    /// Not an e-mail address.
    EmailInvalid,
    /// The address has an account.
    EmailTaken,
    /// The password does not match the rule.
    PasswordRequirements,
    /// The password is too easy to guess.
    PasswordWeak,
    /// The password is known from a breach of another service.
    PasswordBreached,
    /// The data is not a JSON text.
    DataInvalid,
}

impl Error {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer().status
    }

    /// The keys of the answer, in the order of the parameters.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.answer().keys
    }

    /// Seconds after which the client may try again, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<i64> {
        self.answer().retry_after
    }

    /// The cause of a failure, for the log. A refusal of the client's input has none.
    #[must_use]
    pub fn cause(&self) -> Option<&BoxError> {
        self.answer().cause
    }

    /// The table. Every variant has its row; there is no catch-all, so that a new one cannot be
    /// forgotten.
    #[expect(
        clippy::too_many_lines,
        reason = "a table has as many rows as there are errors"
    )]
    fn answer(&self) -> Answer<'_> {
        match self {
            Self::MalformedBody => Answer::of(StatusCode::BAD_REQUEST, "request.malformed_body"),
            Self::UnsupportedMediaType => Answer::of(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "request.unsupported_media_type",
            ),
            Self::BodyTooLarge => Answer::of(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large"),
            Self::Parameters(faults) => {
                let absent = faults.iter().any(|fault| {
                    matches!(
                        fault.kind,
                        ParameterFaultKind::Missing | ParameterFaultKind::Blank
                    )
                });
                let status = if absent {
                    StatusCode::BAD_REQUEST
                } else {
                    StatusCode::UNPROCESSABLE_ENTITY
                };
                Answer::of_keys(status, faults.iter().map(ToString::to_string).collect())
            }
            Self::Fields(faults) => Answer::of_keys(
                StatusCode::UNPROCESSABLE_ENTITY,
                faults.iter().map(|fault| fault.key().to_owned()).collect(),
            ),
            Self::InvalidCredentials => {
                Answer::of(StatusCode::NOT_FOUND, "identity.session.invalid_params")
            }
            Self::AccountBanned => Answer::of(StatusCode::UNAUTHORIZED, "identity.session.banned"),
            Self::AccountDeleted => {
                Answer::of(StatusCode::UNAUTHORIZED, "identity.session.deleted")
            }
            Self::AccountNotActive => {
                Answer::of(StatusCode::UNAUTHORIZED, "identity.session.not_active")
            }
            Self::OtpMissing => {
                Answer::of(StatusCode::UNAUTHORIZED, "identity.session.missing_otp")
            }
            Self::OtpInvalid => Answer::of(StatusCode::FORBIDDEN, "identity.session.invalid_otp"),
            Self::SessionMissing => {
                Answer::of(StatusCode::BAD_REQUEST, "identity.session.missing_session")
            }
            Self::SessionNotFound => {
                Answer::of(StatusCode::NOT_FOUND, "identity.session.not_found")
            }
            Self::UserDoesntExist => {
                Answer::of(StatusCode::NOT_FOUND, "identity.password.user_doesnt_exist")
            }
            Self::PasswordsDontMatch => Answer::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.user.passwords_doesnt_match",
            ),
            Self::TokenInvalid => {
                Answer::of(StatusCode::UNPROCESSABLE_ENTITY, "jwt.decode_and_verify")
            }
            Self::TokenUtilized => Answer::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.user.utilized_token",
            ),
            Self::RecordNotFound => Answer::of(StatusCode::NOT_FOUND, "record.not_found"),
            Self::NothingToConfirm => Answer::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.user.active_or_doesnt_exist",
            ),
            Self::ReferralInvalid => Answer::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.user.invalid_referral_format",
            ),
            Self::ReferralUnknown => Answer::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.user.referral_doesnt_exist",
            ),
            Self::TooManyAttempts { retry_after } => Answer {
                retry_after: Some(*retry_after),
                ..Answer::of(StatusCode::TOO_MANY_REQUESTS, "request.too_many_attempts")
            },
            Self::CaptchaRequired => {
                Answer::of(StatusCode::BAD_REQUEST, "identity.captcha.required")
            }
            Self::CaptchaRefused => Answer::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.captcha.verification_failed",
            ),
            Self::NotSignedIn => Answer::of(StatusCode::UNAUTHORIZED, "authz.invalid_session"),
            Self::ClientMismatch => {
                Answer::of(StatusCode::UNAUTHORIZED, "authz.client_session_mismatch")
            }
            Self::CsrfTokenMissing => {
                Answer::of(StatusCode::UNAUTHORIZED, "authz.missing_csrf_token")
            }
            Self::CsrfTokenMismatch => {
                Answer::of(StatusCode::UNAUTHORIZED, "authz.csrf_token_mismatch")
            }
            Self::UserNotActive => Answer::of(StatusCode::UNAUTHORIZED, "authz.user_not_active"),
            Self::NewPasswordsDontMatch => Answer::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.password.doesnt_match",
            ),
            Self::PreviousPasswordWrong => Answer::of(
                StatusCode::BAD_REQUEST,
                "resource.password.prev_pass_not_correct",
            ),
            Self::PasswordUnchanged => Answer::of(
                StatusCode::BAD_REQUEST,
                "resource.password.no_change_provided",
            ),
            Self::OtpAlreadyEnabled => {
                Answer::of(StatusCode::BAD_REQUEST, "resource.otp.already_enabled")
            }
            Self::OtpNotEnabled => Answer::of(StatusCode::BAD_REQUEST, "resource.otp.not_enabled"),
            Self::OtpRefused => {
                Answer::of(StatusCode::UNPROCESSABLE_ENTITY, "resource.otp.invalid")
            }
            Self::TopicUnknown => Answer::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.user.wrong_topic",
            ),
            Self::NoActivity => Answer::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.user.no_activity",
            ),
            Self::Unavailable(cause) => Answer {
                retry_after: Some(1),
                cause: Some(cause),
                ..Answer::of(StatusCode::SERVICE_UNAVAILABLE, "server.unavailable")
            },
            Self::Internal(cause) => Answer {
                cause: Some(cause),
                ..Answer::of(StatusCode::INTERNAL_SERVER_ERROR, "server.internal_error")
            },
        }
    }

    /// A failure that should not happen.
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        Self::Internal(cause.into())
    }
}

/// A row of the table.
struct Answer<'a> {
    status: StatusCode,
    keys: Vec<String>,
    /// Seconds.
    retry_after: Option<i64>,
    cause: Option<&'a BoxError>,
}

impl Answer<'_> {
    fn of(status: StatusCode, key: &str) -> Self {
        Self::of_keys(status, vec![key.to_owned()])
    }

    const fn of_keys(status: StatusCode, keys: Vec<String>) -> Self {
        Self {
            status,
            keys,
            retry_after: None,
            cause: None,
        }
    }
}

impl FieldFault {
    const fn key(self) -> &'static str {
        match self {
            Self::EmailInvalid => "email.invalid",
            Self::EmailTaken => "email.taken",
            Self::PasswordRequirements => "password.requirements",
            Self::PasswordWeak => "password.weak",
            Self::PasswordBreached => "password.breached",
            Self::DataInvalid => "data.invalid_format",
        }
    }
}

/// The key.
impl fmt::Display for ParameterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            module,
            parameter,
            kind,
        } = self;
        match (kind, *parameter) {
            // Barong's key for the absent token is another than for the blank one.
            (ParameterFaultKind::Missing, "reset_password_token") => {
                write!(f, "{module}.missing_pass_token")
            }
            (ParameterFaultKind::InvalidFormat, "captcha_response") => {
                write!(f, "{module}.invalid_captcha_format")
            }
            (ParameterFaultKind::Missing, _) => write!(f, "{module}.missing_{parameter}"),
            (ParameterFaultKind::Blank, _) => write!(f, "{module}.empty_{parameter}"),
            (ParameterFaultKind::TooLong, _) => write!(f, "{module}.too_long_{parameter}"),
            (ParameterFaultKind::InvalidFormat, _) => {
                write!(f, "{module}.invalid_{parameter}_format")
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause() {
            Some(cause) => write!(f, "{}: {cause}", self.keys().join(", ")),
            None => f.write_str(&self.keys().join(", ")),
        }
    }
}

impl std::error::Error for Error {}

/// The error and what caused it, each once.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(parameter: &'static str, kind: ParameterFaultKind) -> ParameterFault {
        ParameterFault {
            module: "identity.user",
            parameter,
            kind,
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "it is one table")]
    fn every_error_has_its_status_and_key() {
        for (error, status, key) in [
            (Error::MalformedBody, 400, "request.malformed_body"),
            (
                Error::UnsupportedMediaType,
                415,
                "request.unsupported_media_type",
            ),
            (Error::BodyTooLarge, 413, "request.too_large"),
            (
                Error::Fields(vec![FieldFault::EmailInvalid]),
                422,
                "email.invalid",
            ),
            (
                Error::Fields(vec![FieldFault::EmailTaken]),
                422,
                "email.taken",
            ),
            (
                Error::Fields(vec![FieldFault::PasswordRequirements]),
                422,
                "password.requirements",
            ),
            (
                Error::Fields(vec![FieldFault::PasswordWeak]),
                422,
                "password.weak",
            ),
            (
                Error::Fields(vec![FieldFault::DataInvalid]),
                422,
                "data.invalid_format",
            ),
            (
                Error::InvalidCredentials,
                404,
                "identity.session.invalid_params",
            ),
            (Error::AccountBanned, 401, "identity.session.banned"),
            (Error::AccountDeleted, 401, "identity.session.deleted"),
            (Error::AccountNotActive, 401, "identity.session.not_active"),
            (Error::OtpMissing, 401, "identity.session.missing_otp"),
            (Error::OtpInvalid, 403, "identity.session.invalid_otp"),
            (
                Error::SessionMissing,
                400,
                "identity.session.missing_session",
            ),
            (Error::SessionNotFound, 404, "identity.session.not_found"),
            (
                Error::UserDoesntExist,
                404,
                "identity.password.user_doesnt_exist",
            ),
            (
                Error::PasswordsDontMatch,
                422,
                "identity.user.passwords_doesnt_match",
            ),
            (Error::TokenInvalid, 422, "jwt.decode_and_verify"),
            (Error::TokenUtilized, 422, "identity.user.utilized_token"),
            (Error::RecordNotFound, 404, "record.not_found"),
            (
                Error::NothingToConfirm,
                422,
                "identity.user.active_or_doesnt_exist",
            ),
            (
                Error::ReferralInvalid,
                422,
                "identity.user.invalid_referral_format",
            ),
            (
                Error::ReferralUnknown,
                422,
                "identity.user.referral_doesnt_exist",
            ),
            (
                Error::Fields(vec![FieldFault::PasswordBreached]),
                422,
                "password.breached",
            ),
            (
                Error::TooManyAttempts { retry_after: 1 },
                429,
                "request.too_many_attempts",
            ),
            (Error::CaptchaRequired, 400, "identity.captcha.required"),
            (
                Error::CaptchaRefused,
                422,
                "identity.captcha.verification_failed",
            ),
            (Error::NotSignedIn, 401, "authz.invalid_session"),
            (Error::ClientMismatch, 401, "authz.client_session_mismatch"),
            (Error::CsrfTokenMissing, 401, "authz.missing_csrf_token"),
            (Error::CsrfTokenMismatch, 401, "authz.csrf_token_mismatch"),
            (Error::UserNotActive, 401, "authz.user_not_active"),
            (
                Error::NewPasswordsDontMatch,
                422,
                "resource.password.doesnt_match",
            ),
            (
                Error::PreviousPasswordWrong,
                400,
                "resource.password.prev_pass_not_correct",
            ),
            (
                Error::PasswordUnchanged,
                400,
                "resource.password.no_change_provided",
            ),
            (
                Error::OtpAlreadyEnabled,
                400,
                "resource.otp.already_enabled",
            ),
            (Error::OtpNotEnabled, 400, "resource.otp.not_enabled"),
            (Error::OtpRefused, 422, "resource.otp.invalid"),
            (Error::TopicUnknown, 422, "resource.user.wrong_topic"),
            (Error::NoActivity, 422, "resource.user.no_activity"),
            (Error::Unavailable("x".into()), 503, "server.unavailable"),
            (Error::Internal("x".into()), 500, "server.internal_error"),
        ] {
            assert_eq!(
                (error.status().as_u16(), error.keys()),
                (status, vec![key.to_owned()]),
                "{error:?}"
            );
        }
    }

    #[test]
    fn every_parameter_fault_has_its_key_and_absence_its_status() {
        use ParameterFaultKind::{Blank, InvalidFormat, Missing, TooLong};
        for (parameter, kind, status, key) in [
            ("email", Missing, 400, "identity.user.missing_email"),
            ("email", Blank, 400, "identity.user.empty_email"),
            ("email", TooLong, 422, "identity.user.too_long_email"),
            (
                "reset_password_token",
                Missing,
                400,
                "identity.user.missing_pass_token",
            ),
            (
                "reset_password_token",
                Blank,
                400,
                "identity.user.empty_reset_password_token",
            ),
            (
                "captcha_response",
                InvalidFormat,
                422,
                "identity.user.invalid_captcha_format",
            ),
        ] {
            let error = Error::Parameters(vec![fault(parameter, kind)]);
            assert_eq!(
                (error.status().as_u16(), error.keys()),
                (status, vec![key.to_owned()])
            );
        }
    }

    #[test]
    fn a_chain_of_causes_is_told_without_repetition() {
        let inner = std::io::Error::other("refused");
        let outer = std::io::Error::other(inner);
        assert_eq!(causes(&outer), "refused");
    }
}
