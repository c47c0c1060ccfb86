//! The errors of operations, with one table that maps each to a status code and error keys.

mod faults;

use lambda_http::http::StatusCode;

pub use faults::{FieldFault, ParameterFault, ParameterFaultKind};

use crate::BoxError;

/// Why an operation failed. The last two variants are failures of the service: their cause is
/// logged, and no response contains it. All others are errors of the request.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub enum Error {
    /// The body does not match its media type or is not valid base64, or a value is not text.
    MalformedBody,
    /// The media type of the body is missing or not supported.
    UnsupportedMediaType,
    /// The body is larger than 16 KiB.
    BodyTooLarge,
    /// Parameters are missing, blank, too long or of the wrong type.
    Parameters(Vec<ParameterFault>),
    /// Values are invalid, in the order of the parameters.
    Fields(Vec<FieldFault>),
    /// The address is unknown or the password is wrong. Both are one error, so that the response
    /// does not disclose which addresses have an account.
    InvalidCredentials,
    /// The password is correct, but the account is banned.
    AccountBanned,
    /// The password is correct, but the account is deleted.
    AccountDeleted,
    /// The password is correct, but the account is in another state that forbids sign-in.
    AccountNotActive,
    /// The password is correct, but the account has a second factor and the code is missing.
    OtpMissing,
    /// The password is correct, but the code of the second factor is wrong or was used before.
    OtpInvalid,
    /// A sign-out presents neither a session cookie nor a bearer token.
    SessionMissing,
    /// A sign-out presents a token that is forged or expired, or whose session has ended.
    SessionNotFound,
    /// No account has the address of a password reset, or the account is deleted.
    UserDoesntExist,
    /// The password and its repetition differ.
    PasswordsDontMatch,
    /// The token is malformed, forged, expired or issued for another purpose.
    TokenInvalid,
    /// The token was used, or a newer one was issued.
    TokenUtilized,
    /// The user, session, label or passkey that the request names does not exist, or what it asks
    /// for is not configured.
    RecordNotFound,
    /// The user of the token does not exist, or their address needs no confirmation.
    NothingToConfirm,
    /// The referral does not have the form of a uid.
    ReferralInvalid,
    /// No user has the uid of the referral.
    ReferralUnknown,
    /// A rate limit or a back-off rejects the request.
    TooManyAttempts {
        /// Seconds until the next attempt is accepted, at least 1.
        retry_after: i64,
    },
    /// The operation requires a captcha, and the request has no captcha response.
    CaptchaRequired,
    /// The response of `GeeTest` lacks one of its three fields.
    CaptchaFieldsMissing,
    /// The captcha response is wrong, or the provider could not verify it.
    CaptchaRefused,
    /// The request did not come through the CDN that is configured.
    DirectAccessDenied,
    /// A page of another site made a browser send the request.
    CrossSiteRequest,
    /// The request presents no live session, or live sessions of two users.
    NotSignedIn,
    /// The client differs from the one that opened the session, or its address is unknown.
    ClientMismatch,
    /// The request presents the session as a cookie and lacks the CSRF token.
    CsrfTokenMissing,
    /// The CSRF token is not the one of the session.
    CsrfTokenMismatch,
    /// The account of the session is neither active nor pending.
    UserNotActive,
    /// The operation requires a more recent authentication.
    ReauthenticationRequired,
    /// The password that the confirmation of an address requires is wrong.
    ConfirmationPasswordWrong,
    /// The password with which a signed-in user confirms an operation is wrong.
    AccountPasswordWrong,
    /// That password is correct, but the account has a second factor and the code is missing or
    /// blank.
    AccountCodeAbsent(ParameterFault),
    /// That password is correct, but the code of the second factor is wrong or was used before.
    AccountCodeWrong,
    /// The second factor requires a confirmed address.
    OtpEmailNotConfirmed,
    /// The change of the address requires that the current one is confirmed.
    EmailNotConfirmed,
    /// The new address is the current one, perhaps in another spelling.
    EmailUnchanged,
    /// The new password and its repetition differ.
    NewPasswordsDontMatch,
    /// The current password of a password change is wrong.
    PreviousPasswordWrong,
    /// The new password equals the current one.
    PasswordUnchanged,
    /// The account has a second factor already.
    OtpAlreadyEnabled,
    /// The account has no second factor.
    OtpNotEnabled,
    /// A signed-in user entered a code that is wrong or was used before.
    OtpRefused,
    /// Passkeys require a confirmed address.
    PasskeyEmailNotConfirmed,
    /// The user has as many passkeys as possible.
    PasskeyLimit,
    /// The new credential is malformed, or its verification failed.
    PasskeyInvalid,
    /// A passkey with this credential id exists.
    PasskeyTaken,
    /// Only the service and operators write labels with this key.
    LabelPrivate,
    /// The user has as many public labels as possible.
    LabelLimit,
    /// The activity log has no such topic.
    TopicUnknown,
    /// The user has no activities of the topic.
    NoActivity,
    /// The request could not be completed in time, for example because DynamoDB did not respond.
    Unavailable(BoxError),
    /// An unexpected failure.
    Internal(BoxError),
}

impl Error {
    /// The status code of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.row().status
    }

    /// The error keys of the response, in the order of the parameters.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.row().keys
    }

    /// Seconds until the client may retry (`Retry-After`, RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> Option<i64> {
        self.row().retry_after
    }

    /// The cause of a failure of the service, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&BoxError> {
        self.row().cause
    }

    /// The text for the log.
    fn text(&self) -> String {
        let keys = self.keys().join(", ");
        match self.cause() {
            Some(cause) => format!("{keys}: {cause}"),
            None => keys,
        }
    }

    /// The table. It has no `_` arm, so that a new variant does not compile without a row.
    #[expect(clippy::too_many_lines, reason = "the table has a row for each error")]
    fn row(&self) -> Row<'_> {
        match self {
            Self::MalformedBody => Row::of(StatusCode::BAD_REQUEST, "request.malformed_body"),
            Self::UnsupportedMediaType => Row::of(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "request.unsupported_media_type",
            ),
            Self::BodyTooLarge => Row::of(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large"),
            Self::Parameters(faults) => {
                let is_absent = faults.iter().any(|fault| {
                    matches!(
                        fault.kind,
                        ParameterFaultKind::Missing | ParameterFaultKind::Blank
                    )
                });
                let status = if is_absent {
                    StatusCode::BAD_REQUEST
                } else {
                    StatusCode::UNPROCESSABLE_ENTITY
                };
                Row::of_keys(status, faults.iter().map(ToString::to_string).collect())
            }
            Self::Fields(faults) => Row::of_keys(
                StatusCode::UNPROCESSABLE_ENTITY,
                faults.iter().map(|fault| fault.key().to_owned()).collect(),
            ),
            Self::InvalidCredentials => {
                Row::of(StatusCode::NOT_FOUND, "identity.session.invalid_params")
            }
            Self::AccountBanned => Row::of(StatusCode::UNAUTHORIZED, "identity.session.banned"),
            Self::AccountDeleted => Row::of(StatusCode::UNAUTHORIZED, "identity.session.deleted"),
            Self::AccountNotActive => {
                Row::of(StatusCode::UNAUTHORIZED, "identity.session.not_active")
            }
            Self::OtpMissing => Row::of(StatusCode::UNAUTHORIZED, "identity.session.missing_otp"),
            Self::OtpInvalid => Row::of(StatusCode::FORBIDDEN, "identity.session.invalid_otp"),
            Self::SessionMissing => {
                Row::of(StatusCode::BAD_REQUEST, "identity.session.missing_session")
            }
            Self::SessionNotFound => Row::of(StatusCode::NOT_FOUND, "identity.session.not_found"),
            Self::UserDoesntExist => {
                Row::of(StatusCode::NOT_FOUND, "identity.password.user_doesnt_exist")
            }
            Self::PasswordsDontMatch => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.user.passwords_doesnt_match",
            ),
            Self::TokenInvalid => {
                Row::of(StatusCode::UNPROCESSABLE_ENTITY, "jwt.decode_and_verify")
            }
            Self::TokenUtilized => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.user.utilized_token",
            ),
            Self::RecordNotFound => Row::of(StatusCode::NOT_FOUND, "record.not_found"),
            Self::NothingToConfirm => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.user.active_or_doesnt_exist",
            ),
            Self::ReferralInvalid => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.user.invalid_referral_format",
            ),
            Self::ReferralUnknown => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.user.referral_doesnt_exist",
            ),
            Self::TooManyAttempts { retry_after } => Row {
                retry_after: Some(*retry_after),
                ..Row::of(StatusCode::TOO_MANY_REQUESTS, "request.too_many_attempts")
            },
            Self::CaptchaRequired => Row::of(StatusCode::BAD_REQUEST, "identity.captcha.required"),
            Self::CaptchaFieldsMissing => {
                Row::of(StatusCode::BAD_REQUEST, "identity.captcha.mandatory_fields")
            }
            Self::CaptchaRefused => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.captcha.verification_failed",
            ),
            Self::DirectAccessDenied => {
                Row::of(StatusCode::FORBIDDEN, "authz.direct_access_denied")
            }
            Self::CrossSiteRequest => Row::of(StatusCode::FORBIDDEN, "authz.cross_site_request"),
            Self::NotSignedIn => Row::of(StatusCode::UNAUTHORIZED, "authz.invalid_session"),
            Self::ClientMismatch => {
                Row::of(StatusCode::UNAUTHORIZED, "authz.client_session_mismatch")
            }
            Self::CsrfTokenMissing => Row::of(StatusCode::UNAUTHORIZED, "authz.missing_csrf_token"),
            Self::CsrfTokenMismatch => {
                Row::of(StatusCode::UNAUTHORIZED, "authz.csrf_token_mismatch")
            }
            Self::UserNotActive => Row::of(StatusCode::UNAUTHORIZED, "authz.user_not_active"),
            Self::ReauthenticationRequired => {
                Row::of(StatusCode::UNAUTHORIZED, "authz.reauthentication_required")
            }
            Self::ConfirmationPasswordWrong => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "identity.user.invalid_password",
            ),
            Self::AccountPasswordWrong => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.user.invalid_password",
            ),
            Self::AccountCodeAbsent(fault) => {
                Row::of(StatusCode::UNPROCESSABLE_ENTITY, &fault.to_string())
            }
            Self::AccountCodeWrong => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.user.invalid_otp",
            ),
            Self::OtpEmailNotConfirmed => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.otp.email_not_confirmed",
            ),
            Self::EmailNotConfirmed => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.user.email_not_confirmed",
            ),
            Self::EmailUnchanged => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.user.no_change_provided",
            ),
            Self::NewPasswordsDontMatch => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.password.doesnt_match",
            ),
            Self::PreviousPasswordWrong => Row::of(
                StatusCode::BAD_REQUEST,
                "resource.password.prev_pass_not_correct",
            ),
            Self::PasswordUnchanged => Row::of(
                StatusCode::BAD_REQUEST,
                "resource.password.no_change_provided",
            ),
            Self::OtpAlreadyEnabled => {
                Row::of(StatusCode::BAD_REQUEST, "resource.otp.already_enabled")
            }
            Self::OtpNotEnabled => Row::of(StatusCode::BAD_REQUEST, "resource.otp.not_enabled"),
            Self::OtpRefused => Row::of(StatusCode::UNPROCESSABLE_ENTITY, "resource.otp.invalid"),
            Self::PasskeyEmailNotConfirmed => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.passkey.email_not_confirmed",
            ),
            Self::PasskeyLimit => {
                Row::of(StatusCode::UNPROCESSABLE_ENTITY, "resource.passkey.limit")
            }
            Self::PasskeyInvalid => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.passkey.invalid_credential",
            ),
            Self::PasskeyTaken => {
                Row::of(StatusCode::UNPROCESSABLE_ENTITY, "resource.passkey.taken")
            }
            Self::LabelPrivate => Row::of(StatusCode::BAD_REQUEST, "resource.labels.private"),
            Self::LabelLimit => Row::of(StatusCode::UNPROCESSABLE_ENTITY, "resource.labels.limit"),
            Self::TopicUnknown => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.user.wrong_topic",
            ),
            Self::NoActivity => Row::of(
                StatusCode::UNPROCESSABLE_ENTITY,
                "resource.user.no_activity",
            ),
            Self::Unavailable(cause) => Row {
                retry_after: Some(1),
                cause: Some(cause),
                ..Row::of(StatusCode::SERVICE_UNAVAILABLE, "server.unavailable")
            },
            Self::Internal(cause) => Row {
                cause: Some(cause),
                ..Row::of(StatusCode::INTERNAL_SERVER_ERROR, "server.internal_error")
            },
        }
    }

    /// An [`Error::Internal`] with this cause.
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        Self::Internal(cause.into())
    }
}

/// A row of the table.
struct Row<'a> {
    status: StatusCode,
    keys: Vec<String>,
    /// In seconds.
    retry_after: Option<i64>,
    cause: Option<&'a BoxError>,
}

impl Row<'_> {
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

/// The text of an error and of its sources, without repetitions.
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
    #[expect(clippy::too_many_lines, reason = "the table has a row for each error")]
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
                Error::CaptchaFieldsMissing,
                400,
                "identity.captcha.mandatory_fields",
            ),
            (
                Error::CaptchaRefused,
                422,
                "identity.captcha.verification_failed",
            ),
            (Error::DirectAccessDenied, 403, "authz.direct_access_denied"),
            (Error::CrossSiteRequest, 403, "authz.cross_site_request"),
            (Error::NotSignedIn, 401, "authz.invalid_session"),
            (Error::ClientMismatch, 401, "authz.client_session_mismatch"),
            (Error::CsrfTokenMissing, 401, "authz.missing_csrf_token"),
            (Error::CsrfTokenMismatch, 401, "authz.csrf_token_mismatch"),
            (Error::UserNotActive, 401, "authz.user_not_active"),
            (
                Error::ReauthenticationRequired,
                401,
                "authz.reauthentication_required",
            ),
            (
                Error::ConfirmationPasswordWrong,
                422,
                "identity.user.invalid_password",
            ),
            (
                Error::AccountPasswordWrong,
                422,
                "resource.user.invalid_password",
            ),
            (
                Error::AccountCodeAbsent(ParameterFault {
                    module: "resource.user",
                    parameter: "otp_code",
                    kind: ParameterFaultKind::Blank,
                }),
                422,
                "resource.user.empty_otp_code",
            ),
            (Error::AccountCodeWrong, 422, "resource.user.invalid_otp"),
            (
                Error::OtpEmailNotConfirmed,
                422,
                "resource.otp.email_not_confirmed",
            ),
            (
                Error::EmailNotConfirmed,
                422,
                "resource.user.email_not_confirmed",
            ),
            (
                Error::EmailUnchanged,
                422,
                "resource.user.no_change_provided",
            ),
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
            (
                Error::PasskeyEmailNotConfirmed,
                422,
                "resource.passkey.email_not_confirmed",
            ),
            (Error::PasskeyLimit, 422, "resource.passkey.limit"),
            (
                Error::PasskeyInvalid,
                422,
                "resource.passkey.invalid_credential",
            ),
            (Error::PasskeyTaken, 422, "resource.passkey.taken"),
            (Error::LabelPrivate, 400, "resource.labels.private"),
            (Error::LabelLimit, 422, "resource.labels.limit"),
            (
                Error::Fields(vec![FieldFault::KeyInvalid]),
                422,
                "key.invalid",
            ),
            (Error::Fields(vec![FieldFault::KeyTaken]), 422, "key.taken"),
            (
                Error::Fields(vec![FieldFault::ValueInvalid]),
                422,
                "value.invalid",
            ),
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
    fn every_parameter_fault_has_its_key_and_missing_or_blank_parameters_return_400() {
        use ParameterFaultKind::{Blank, Invalid, InvalidFormat, Missing, TooLong};
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
            ("lang", Invalid, 422, "identity.user.invalid_lang"),
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
    fn the_text_of_an_error_contains_each_source_once() {
        let inner = std::io::Error::other("refused");
        let outer = std::io::Error::other(inner);
        assert_eq!(causes(&outer), "refused");
    }
}
