//! TOTP codes (RFC 6238): SHA-1, six digits, time steps of 30 seconds, and a tolerance of one time
//! step in either direction for clock drift.

use totp_rs::{Builder, Secret};

use crate::{BoxError, domain::user::OtpSecret, platform::clock::Timestamp};

/// The time step of a code. Returns `None` if the code is wrong, or its time step is not after
/// `last_step`, the last one that was accepted (RFC 6238, section 5.2).
///
/// The caller must store the time step, on condition that the stored one is lower.
///
/// # Errors
/// If the secret is not base32.
pub fn accepted_step(
    secret: &OtpSecret,
    code: &str,
    last_step: Option<u64>,
    now: Timestamp,
) -> Result<Option<u64>, BoxError> {
    let code = code.trim();
    let is_code = code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
    let secret = Secret::try_from_base32(secret.reveal())
        .map_err(|_| "a stored OTP secret is not base32")?;
    let totp = Builder::new().with_secret(secret).build_noncompliant();
    let step = if is_code {
        totp.check(code, u64::try_from(now.seconds())?)
    } else {
        None
    };
    Ok(step.filter(|&step| last_step.is_none_or(|last| step > last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238's test vectors.
    fn secret() -> OtpSecret {
        OtpSecret::import("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").expect("a secret")
    }

    fn step(code: &str, last: Option<u64>, now: i64) -> Option<u64> {
        accepted_step(&secret(), code, last, Timestamp::from_seconds(now)).expect("a good secret")
    }

    #[test]
    fn the_test_vectors_of_the_rfc_are_accepted() {
        for (now, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_234_567_890, "005924"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(
                step(code, None, now),
                Some(u64::try_from(now / 30).expect("a step"))
            );
        }
    }

    #[test]
    fn only_codes_within_one_time_step_are_accepted() {
        for (now, accepted) in [
            (0, true),
            (30, true),
            (60, true),
            (89, true),
            (90, false),
            (120, false),
        ] {
            assert_eq!(step("287082", None, now).is_some(), accepted, "{now}");
        }
    }

    #[test]
    fn a_time_step_at_or_before_the_last_accepted_one_is_rejected() {
        assert_eq!(step("287082", Some(0), 59), Some(1));
        assert_eq!(step("287082", Some(1), 59), None);
        assert_eq!(step("287082", Some(2), 59), None);
    }

    #[test]
    fn a_code_that_is_not_six_digits_is_rejected() {
        assert_eq!(step(" 287082 ", None, 59), Some(1));
        for code in [
            "", "28708", "2870820", "287 082", "94287082", "28708२", "-87082", "abcdef", "000000",
        ] {
            assert_eq!(step(code, None, 59), None, "{code:?}");
        }
    }
}
