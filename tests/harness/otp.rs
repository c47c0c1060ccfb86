//! The authenticator app: RFC 6238 with SHA-1, six digits and thirty seconds.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;

use super::now;

/// The shared secret of those who have the second factor on: that of the standard's examples.
pub const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// The current time step.
pub fn step() -> i64 {
    now() / 30
}

/// The code of a step (RFC 4226, section 5.3).
pub fn code(step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &BASE32_NOPAD.decode(SECRET.as_bytes()).unwrap());
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let offset = usize::from(mac.as_ref()[19] & 0xf);
    let number = u32::from_be_bytes(mac.as_ref()[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// A code that no step near the present one has.
pub fn wrong_code() -> String {
    let near: Vec<String> = (-3..=3).map(|distance| code(step() + distance)).collect();
    (0..10).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap()
}

#[test]
fn the_codes_are_those_of_the_standard() {
    // RFC 6238, appendix B: the last six of its eight digits.
    for (time, expected) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (2_000_000_000, "279037")] {
        assert_eq!(code(time / 30), expected);
    }
}
