//! Metrics, which `CloudWatch` extracts from the log (embedded metric format). There are few of
//! them, because AWS charges for each combination of a name and a value of its dimension.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::{
    io::{Write, stdout},
    sync::OnceLock,
};

use metrics::{Unit, counter, describe_counter, histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};

use super::operation;
use crate::{
    Error,
    platform::{clock::Stopwatch, environment},
};

const DEFAULT_NAMESPACE: &str = "Latchkey";

static COLLECTOR: OnceLock<&'static Collector> = OnceLock::new();

/// Declares the values of a dimension, with their names in `CloudWatch`.
macro_rules! values {
    ($(#[$meta:meta])* $name:ident { $($(#[$value_meta:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$value_meta])* $value,)* }

        impl $name {
            /// The names of all values in `CloudWatch`.
            pub const NAMES: &[&str] = &[$($text),*];

            fn name(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }
    };
}

values! {
    /// Outcomes of a sign-in.
    SignIn {
        /// A session was opened.
        Succeeded = "succeeded",
        /// The address is unknown or the password is wrong.
        WrongCredentials = "wrong_credentials",
        /// The password is correct, the code of the second factor is wrong.
        WrongOtp = "wrong_otp",
        /// The password is correct, the code of the second factor is missing.
        OtpMissing = "otp_missing",
        /// The password is correct, the state of the account forbids sign-in.
        AccountClosed = "account_closed",
        /// Rejected by a rate limit or back-off, before the password was verified.
        Limited = "limited",
        /// Rejected because the captcha response is missing or wrong.
        Captcha = "captcha",
        /// Rejected because of its body or parameters.
        Invalid = "invalid",
        /// A failure of the service.
        Failed = "failed",
    }
}

values! {
    /// Stages of a password reset.
    PasswordReset {
        /// A code was stored, and its mail queued.
        Requested = "asked",
        /// SES accepted the mail with the code.
        Sent = "sent",
        /// The code was used.
        Used = "used",
    }
}

values! {
    /// Outcomes of a mail.
    Mail {
        /// SES accepted the mail.
        Sent = "sent",
        /// SES did not respond or throttled the call. The mail is retried.
        Failed = "failed",
        /// SES rejected the mail or denied access to the function, or the mail in the outbox is
        /// unreadable. It is not retried.
        Refused = "refused",
        /// The mail expired before it was sent.
        Expired = "expired",
        /// The mail was not sent, because mails to the address bounce.
        Suppressed = "suppressed",
        /// The mail bounced permanently.
        Bounced = "bounced",
        /// The recipient reported the mail as spam.
        Complained = "complained",
    }
}

values! {
    /// Events that may be part of an attack on accounts.
    SecurityEvent {
        /// A sign-in presented the right password and a wrong code of the second factor, which was
        /// counted.
        WrongCode = "wrong_code",
        /// A genuine device token was treated as absent: it is of another user or epoch, or has as
        /// many failures as it permits.
        DeviceRefused = "device_refused",
        /// A page of another site caused a request that may set a cookie.
        CrossSite = "cross_site",
        /// A re-authentication presented a wrong password or code.
        StepUpFailed = "step_up_failed",
        /// The signature counter of a passkey did not increase, which indicates a copy of it.
        PasskeyCloned = "passkey_cloned",
        /// The tenth wrong secret in a row ended a session.
        SessionEnded = "session_ended",
    }
}

values! {
    /// Outcomes of the erasure of an account that its owner closed.
    Erasure {
        /// The account was erased.
        Erased = "erased",
        /// The account was reopened, or an operator set its state, since it was closed.
        Kept = "kept",
        /// The erasure failed. The next run repeats it.
        Failed = "failed",
    }
}

/// The definition of a metric.
pub struct Metric {
    /// Name in `CloudWatch`.
    pub name: &'static str,
    /// Name and values of the dimension, if the metric has one.
    pub dimension: Option<(&'static str, &'static [&'static str])>,
    unit: Unit,
}

impl Metric {
    const fn count(name: &'static str) -> Self {
        Self {
            name,
            dimension: None,
            unit: Unit::Count,
        }
    }

    const fn count_by(
        name: &'static str,
        dimension: &'static str,
        values: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            dimension: Some((dimension, values)),
            unit: Unit::Count,
        }
    }

    const fn milliseconds(name: &'static str) -> Self {
        Self {
            name,
            dimension: None,
            unit: Unit::Milliseconds,
        }
    }
}

/// All metrics.
pub const ALL: &[Metric] = &[
    Metric::count_by("SignIns", "Outcome", SignIn::NAMES),
    Metric::count_by("PasswordResets", "Stage", PasswordReset::NAMES),
    Metric::count_by("Mails", "Outcome", Mail::NAMES),
    Metric::count_by("SecurityEvents", "Kind", SecurityEvent::NAMES),
    Metric::count_by("Erasures", "Outcome", Erasure::NAMES),
    Metric::count("Throttles"),
    Metric::count("Unavailable"),
    Metric::count("CaptchaUnavailable"),
    Metric::count("BreachedPasswordsUnavailable"),
    Metric::milliseconds("HashTime"),
];

impl SignIn {
    /// The outcome that the result of a sign-in counts as.
    #[must_use]
    pub fn of<T>(result: &Result<T, Error>) -> Self {
        let Err(error) = result else {
            return Self::Succeeded;
        };
        match error {
            Error::InvalidCredentials => Self::WrongCredentials,
            Error::OtpInvalid => Self::WrongOtp,
            Error::OtpMissing => Self::OtpMissing,
            Error::AccountBanned | Error::AccountDeleted | Error::AccountNotActive => {
                Self::AccountClosed
            }
            Error::TooManyAttempts { .. } => Self::Limited,
            Error::CaptchaRequired | Error::CaptchaFieldsMissing | Error::CaptchaRefused => {
                Self::Captcha
            }
            Error::Unavailable(_) | Error::Internal(_) => Self::Failed,
            // No `_` arm, so that a new error does not compile without an outcome.
            Error::MalformedBody
            | Error::UnsupportedMediaType
            | Error::BodyTooLarge
            | Error::Parameters(_)
            | Error::Fields(_)
            | Error::SessionMissing
            | Error::SessionNotFound
            | Error::UserDoesntExist
            | Error::PasswordsDontMatch
            | Error::TokenInvalid
            | Error::TokenUtilized
            | Error::RecordNotFound
            | Error::NothingToConfirm
            | Error::ReferralInvalid
            | Error::ReferralUnknown
            | Error::DirectAccessDenied
            | Error::CrossSiteRequest
            | Error::NotSignedIn
            | Error::ClientMismatch
            | Error::CsrfTokenMissing
            | Error::CsrfTokenMismatch
            | Error::UserNotActive
            | Error::ReauthenticationRequired
            | Error::ConfirmationPasswordWrong
            | Error::AccountPasswordWrong
            | Error::AccountCodeAbsent(_)
            | Error::AccountCodeWrong
            | Error::OtpEmailNotConfirmed
            | Error::EmailNotConfirmed
            | Error::EmailUnchanged
            | Error::NewPasswordsDontMatch
            | Error::PreviousPasswordWrong
            | Error::PasswordUnchanged
            | Error::OtpAlreadyEnabled
            | Error::OtpNotEnabled
            | Error::OtpRefused
            | Error::PasskeyEmailNotConfirmed
            | Error::PasskeyLimit
            | Error::PasskeyInvalid
            | Error::PasskeyTaken
            | Error::LabelPrivate
            | Error::LabelLimit
            | Error::TopicUnknown
            | Error::NoActivity => Self::Invalid,
        }
    }
}

/// Counts a sign-in.
pub fn sign_in(outcome: SignIn) {
    counter!("SignIns", "Outcome" => outcome.name()).increment(1);
}

/// Counts a stage of a password reset.
pub fn password_reset(stage: PasswordReset) {
    counter!("PasswordResets", "Stage" => stage.name()).increment(1);
}

/// Counts a mail.
pub fn mail(outcome: Mail) {
    counter!("Mails", "Outcome" => outcome.name()).increment(1);
}

/// Counts a security event.
pub fn security_event(kind: SecurityEvent) {
    counter!("SecurityEvents", "Kind" => kind.name()).increment(1);
}

/// Counts the erasure of a closed account.
pub fn erasure(outcome: Erasure) {
    counter!("Erasures", "Outcome" => outcome.name()).increment(1);
}

/// Counts a request that was rejected because the captcha provider did not verify its response.
pub(crate) fn captcha_unavailable() {
    counter!("CaptchaUnavailable").increment(1);
}

/// Counts a password that was accepted without a check against breached passwords, because the
/// service returned no usable response.
pub(crate) fn breached_passwords_unavailable() {
    counter!("BreachedPasswordsUnavailable").increment(1);
}

/// Records the duration of a password hash.
pub fn hash_time(duration: Stopwatch) {
    histogram!("HashTime").record(duration.milliseconds());
}

/// Counts a response that is an error of capacity.
pub(super) fn responded(status: u16) {
    match status {
        429 => counter!("Throttles").increment(1),
        503 => counter!("Unavailable").increment(1),
        _ => {}
    }
}

/// Sets up the metrics, in the namespace `IDENTITY_METRICS_NAMESPACE`, which distinguishes the
/// stack from others.
pub(super) fn init() {
    let namespace = environment::variable("IDENTITY_METRICS_NAMESPACE")
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    match Builder::new().cloudwatch_namespace(namespace).init() {
        Ok(collector) => {
            for Metric { name, unit, .. } in ALL {
                // Describes the units of histograms too.
                describe_counter!(*name, *unit, "");
            }
            let _ = COLLECTOR.set(collector);
        }
        Err(error) => tracing::error!(%error, "metrics could not be set up"),
    }
}

/// Writes the metrics since the last call, with the request id as a property.
pub(super) fn flush(request_id: &str) {
    let Some(collector) = COLLECTOR.get() else {
        return;
    };
    let mut lines = Vec::new();
    let written = collector
        .set_property("operation", operation())
        .set_property("request_id", request_id)
        .flush(&mut lines);
    if let Err(error) = written.and_then(|()| stdout().lock().write_all(&lines)) {
        tracing::error!(%error, "metrics could not be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_a_sign_in_has_its_outcome() {
        let of = |error| SignIn::of::<()>(&Err(error)).name();
        assert_eq!(SignIn::of(&Ok(())).name(), "succeeded");
        assert_eq!(of(Error::InvalidCredentials), "wrong_credentials");
        assert_eq!(of(Error::OtpInvalid), "wrong_otp");
        assert_eq!(of(Error::OtpMissing), "otp_missing");
        assert_eq!(of(Error::AccountBanned), "account_closed");
        assert_eq!(of(Error::TooManyAttempts { retry_after: 1 }), "limited");
        assert_eq!(of(Error::CaptchaRefused), "captcha");
        assert_eq!(of(Error::Parameters(Vec::new())), "invalid");
        assert_eq!(of(Error::MalformedBody), "invalid");
        assert_eq!(of(Error::Unavailable("no response".into())), "failed");
        assert_eq!(of(Error::Internal("unexpected".into())), "failed");
    }
}
