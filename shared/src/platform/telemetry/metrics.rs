//! Metrics, in the embedded format that `CloudWatch` reads out of the log. Few, for each
//! combination of a name and a dimension's value is paid for.
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

/// Values of a dimension, and the names that metrics have for them.
macro_rules! values {
    ($(#[$meta:meta])* $name:ident { $($(#[$value_meta:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$value_meta])* $value,)* }

        impl $name {
            /// Every name.
            pub const NAMES: &[&str] = &[$($text),*];

            fn name(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }
    };
}

values! {
    /// What came of a sign-in.
    SignIn {
        /// A session was opened.
        Succeeded = "succeeded",
        /// Unknown address or wrong password.
        WrongCredentials = "wrong_credentials",
        /// Right password, wrong code.
        WrongOtp = "wrong_otp",
        /// Right password, no code yet.
        OtpMissing = "otp_missing",
        /// Right password, an account that must not sign in.
        AccountClosed = "account_closed",
        /// Not looked at: too many attempts.
        Limited = "limited",
        /// Not looked at: no captcha, or a wrong one.
        Captcha = "captcha",
        /// Not looked at: parameters that cannot be right.
        Invalid = "invalid",
        /// A failure of the service.
        Failed = "failed",
    }
}

values! {
    /// How far the reset of a password came.
    PasswordReset {
        /// A code was stored.
        Requested = "asked",
        /// The mail with it was sent.
        Sent = "sent",
        /// It was used.
        Used = "used",
    }
}

values! {
    /// What became of a mail.
    Mail {
        /// SES took it.
        Sent = "sent",
        /// SES did not answer or was too busy; it is tried again.
        Failed = "failed",
        /// It will never be sent: SES refused it, or it cannot be read.
        Refused = "refused",
        /// It was not sent in time.
        Expired = "expired",
        /// Not sent, for mails to the address bounce.
        Suppressed = "suppressed",
        /// It came back for good.
        Bounced = "bounced",
        /// Its reader complained of it.
        Complained = "complained",
    }
}

/// What there is to know of a metric.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its one dimension, if it has one, and the values of that.
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

/// Every metric there is.
pub const ALL: &[Metric] = &[
    Metric::count_by("SignIns", "Outcome", SignIn::NAMES),
    Metric::count_by("PasswordResets", "Stage", PasswordReset::NAMES),
    Metric::count_by("Mails", "Outcome", Mail::NAMES),
    Metric::count("Throttles"),
    Metric::count("Unavailable"),
    Metric::count("CaptchaUnavailable"),
    Metric::count("BreachedPasswordsUnavailable"),
    Metric::milliseconds("HashTime"),
];

impl SignIn {
    /// What it came to.
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
            Error::CaptchaRequired | Error::CaptchaRefused => Self::Captcha,
            Error::Unavailable(_) | Error::Internal(_) => Self::Failed,
            // The rest of the list, without a catch-all: a new error has to choose its outcome.
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
            | Error::NotSignedIn
            | Error::ClientMismatch
            | Error::CsrfTokenMissing
            | Error::CsrfTokenMismatch
            | Error::UserNotActive
            | Error::NewPasswordsDontMatch
            | Error::PreviousPasswordWrong
            | Error::PasswordUnchanged
            | Error::OtpAlreadyEnabled
            | Error::OtpNotEnabled
            | Error::OtpRefused
            | Error::TopicUnknown
            | Error::NoActivity => Self::Invalid,
        }
    }
}

/// Counts a sign-in.
pub fn sign_in(outcome: SignIn) {
    counter!("SignIns", "Outcome" => outcome.name()).increment(1);
}

/// Counts a step of a reset.
pub fn password_reset(stage: PasswordReset) {
    counter!("PasswordResets", "Stage" => stage.name()).increment(1);
}

/// Counts what became of a mail.
pub fn mail(outcome: Mail) {
    counter!("Mails", "Outcome" => outcome.name()).increment(1);
}

/// Counts a captcha that could not be checked, so that nobody passed.
pub(crate) fn captcha_unavailable() {
    counter!("CaptchaUnavailable").increment(1);
}

/// Counts a password that was accepted without asking whether it is known.
pub(crate) fn breached_passwords_unavailable() {
    counter!("BreachedPasswordsUnavailable").increment(1);
}

/// How long a hash took.
pub fn hash_time(begun: Stopwatch) {
    histogram!("HashTime").record(begun.milliseconds());
}

pub(super) fn answered(status: u16) {
    match status {
        429 => counter!("Throttles").increment(1),
        503 => counter!("Unavailable").increment(1),
        _ => {}
    }
}

/// `IDENTITY_METRICS_NAMESPACE`: distinguishes the metrics of this stack from those of others.
pub(super) fn init() {
    let namespace = environment::variable("IDENTITY_METRICS_NAMESPACE")
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    match Builder::new().cloudwatch_namespace(namespace).init() {
        Ok(collector) => {
            for Metric { name, unit, .. } in ALL {
                // Which kind it is described as makes no difference.
                describe_counter!(*name, *unit, "");
            }
            let _ = COLLECTOR.set(collector);
        }
        Err(error) => tracing::error!(%error, "there will be no metrics"),
    }
}

/// Writes what was counted since the last time, with the id of the request that it belongs to.
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
    fn a_sign_in_has_one_outcome() {
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
        assert_eq!(of(Error::Unavailable("no answer".into())), "failed");
        assert_eq!(of(Error::Internal("impossible".into())), "failed");
    }
}
