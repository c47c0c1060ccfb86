//! One-time codes of an authenticator (RFC 6238): SHA-1, six digits, 30 s, one step of tolerance to
//! either side.

use totp_rs::{Builder, Secret};

use crate::{BoxError, domain::user::OtpSecret, platform::clock::Timestamp};

/// The time step whose code this is, if it may still be used: later than the last one that was
/// accepted.
///
/// The caller must store the step under the condition that no later one was stored in between.
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
        serde_json::from_value(serde_json::json!("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"))
            .expect("a secret")
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
    fn one_step_to_either_side_is_tolerated_and_no_more() {
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
    fn a_step_at_or_below_the_last_one_is_used_up() {
        assert_eq!(step("287082", Some(0), 59), Some(1));
        assert_eq!(step("287082", Some(1), 59), None);
        assert_eq!(step("287082", Some(2), 59), None);
    }

    #[test]
    fn a_code_is_six_digits() {
        assert_eq!(step(" 287082 ", None, 59), Some(1));
        for code in [
            "", "28708", "2870820", "287 082", "94287082", "28708२", "-87082", "abcdef", "000000",
        ] {
            assert_eq!(step(code, None, 59), None, "{code:?}");
        }
    }
}
