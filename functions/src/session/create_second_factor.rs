//! The second factor at a sign-in, see [`Create`].

use shared::{
    Error,
    domain::{
        activity::{Action, Recorder},
        device::DeviceCodes,
        mail::{Kind, QueuedMail},
        otp::{CodeFailures, SecondFactor, SecondFactorCode, password_known_notice_is_due},
        user::User,
    },
    platform::{
        clock::Timestamp,
        telemetry::metrics::{self, SecurityEvent},
    },
    store::Outcome,
};

use super::create::Create;

impl Create {
    /// Verifies the code of the second factor. Returns `None` if no second factor is enabled. With
    /// `codes`, a wrong code counts on the device, and the back-off of the account does not apply.
    pub(super) async fn second_factor(
        &self,
        user: &User,
        code: Option<&str>,
        codes: Option<&DeviceCodes>,
        recorder: Recorder<'_>,
    ) -> Result<Option<SecondFactor>, Error> {
        if !user.has_otp() {
            return Ok(None);
        }
        let code = code.ok_or(Error::OtpMissing)?;
        let rejected = || recorder.failed(&user.uid, Action::LoginWithOtp, &Error::OtpInvalid);
        let Some(code) = SecondFactorCode::parse(code) else {
            self.store.record(&rejected()).await?;
            return Err(Error::OtpInvalid);
        };
        if codes.is_none() {
            CodeFailures::of(user, code.kind()).check(code.kind(), recorder.now)?;
        }
        let factor = self
            .otp_secrets
            .accepted(user, &code, &self.hasher, recorder.now)
            .await?;
        if factor.is_none() {
            let on_device = codes.map_or(0, |codes| codes.failures);
            let notice = self.password_known_notice(user, on_device, recorder.now);
            let counted = match codes {
                Some(codes) => {
                    self.store
                        .count_wrong_device_code(user, codes, &rejected(), notice.as_ref())
                        .await?
                }
                None => {
                    self.store
                        .count_wrong_code(user, code.kind(), &rejected(), notice.as_ref())
                        .await?
                }
            };
            require_uncontended(counted)?;
            metrics::security_event(SecurityEvent::WrongCode);
            return Err(Error::OtpInvalid);
        }
        Ok(factor)
    }

    fn password_known_notice(
        &self,
        user: &User,
        on_device: u32,
        now: Timestamp,
    ) -> Option<QueuedMail> {
        if !password_known_notice_is_due(user, on_device, now) {
            return None;
        }
        let language = user.mail_language(None, self.application.default_language);
        QueuedMail::notice(Kind::PasswordKnown, user, language, now)
    }
}

/// Requires that the wrong code was counted before the response is sent. If a user sends codes
/// concurrently, this succeeds for one; the others must be sent again.
fn require_uncontended(outcome: Outcome) -> Result<(), Error> {
    match outcome {
        Outcome::Written => Ok(()),
        Outcome::Conflict => Err(Error::TooManyAttempts { retry_after: 1 }),
    }
}
