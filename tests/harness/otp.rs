//! An authenticator app: RFC 6238 with SHA-1, six digits and steps of thirty seconds.

use aws_lc_rs::hmac;
use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::{BASE32_NOPAD, BASE64};

use super::{Answer, Request, User, items::number, now, stack::Latchkey};

/// The shared secret of the examples in RFC 6238.
pub const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// Variables of a stack for concurrent attempts: no back-off, and cheap hashes.
pub const FOR_RACES: [(&str, &str); 2] = [
    ("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "0"),
    ("IDENTITY_ARGON2", "m=8192,t=1,p=1"),
];

/// The current time step.
pub fn step() -> i64 {
    now() / 30
}

/// The code of a step for [`SECRET`].
pub fn code(step: i64) -> String {
    code_of(SECRET, step)
}

/// The code of a step (RFC 4226, section 5.3).
pub fn code_of(secret: &str, step: i64) -> String {
    let key = hmac::Key::new(
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        &BASE32_NOPAD.decode(secret.as_bytes()).unwrap(),
    );
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let offset = usize::from(mac.as_ref()[19] & 0xf);
    let number =
        u32::from_be_bytes(mac.as_ref()[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// A code that differs from those of all steps near the present one.
pub fn wrong_code() -> String {
    wrong_code_of(SECRET)
}

pub fn wrong_code_of(secret: &str) -> String {
    let near: Vec<String> = (-3..=3)
        .map(|distance| code_of(secret, step() + distance))
        .collect();
    (0..10)
        .map(|number| format!("{number:06}"))
        .find(|code| !near.contains(code))
        .unwrap()
}

/// The second factor of a user.
#[derive(Clone)]
pub struct Authenticator {
    pub secret: String,
    pub recovery_codes: Vec<String>,
}

impl Authenticator {
    /// The code of the present step.
    pub fn code(&self) -> String {
        code_of(&self.secret, step())
    }

    pub fn wrong_code(&self) -> String {
        wrong_code_of(&self.secret)
    }
}

/// Decodes a barcode: the size of the image in pixels and the text of its QR code.
pub fn scan_qr_code(barcode: &str) -> ((usize, usize), String) {
    let png = BASE64.decode(barcode.as_bytes()).unwrap();
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let size = reader.next_frame(&mut pixels).unwrap();
    let width = size.width as usize;
    let height = size.height as usize;
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    let (_, text) = image
        .detect_grids()
        .first()
        .expect("a QR code")
        .decode()
        .unwrap();
    ((width, height), text)
}

/// The value of a query parameter of an `otpauth` URL.
pub fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    url.split_once('?')?
        .1
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

impl Latchkey {
    /// A request of an operation of the second factor. A bearer token needs no CSRF token.
    pub fn otp(&self, operation: &str, session: &str, code: &str) -> Request {
        self.post(&format!("/resource/otp/{operation}"))
            .bearer(session)
            .form(&[("code", code)])
    }

    pub fn sign_in_with(&self, user: &User, code: &str) -> Request {
        let fields = [
            ("email", user.email.as_str()),
            ("password", &user.password),
            ("otp_code", code),
        ];
        self.post("/identity/sessions").form(&fields)
    }

    /// Confirms the user, generates a shared secret and returns it.
    pub async fn generated_secret(&self, user: &User) -> String {
        self.set_state(user, "active").await;
        let answer = self
            .post("/resource/otp/generate_qrcode")
            .bearer(&user.session)
            .send()
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        parameter(answer.json()["data"]["url"].as_str().unwrap(), "secret")
            .unwrap()
            .to_owned()
    }

    /// Enables the second factor, and moves the last used step back so that the code of the present
    /// step is unused.
    pub async fn enroll(&self, user: &User) -> Authenticator {
        let secret = self.generated_secret(user).await;
        let answer = self
            .otp("enable", &user.session, &code_of(&secret, step()))
            .send()
            .await;
        self.edit_user(user, |item| {
            let earlier = number(item, "otp_last_step") - 10;
            item.insert(
                "otp_last_step".to_owned(),
                AttributeValue::N(earlier.to_string()),
            );
        })
        .await;
        Authenticator {
            secret,
            recovery_codes: recovery_codes(&answer),
        }
    }

    /// A new user with the second factor enabled.
    pub async fn enrolled(&self, name: &str) -> (User, Authenticator) {
        let user = self.confirmed(name).await;
        let authenticator = self.enroll(&user).await;
        (user, authenticator)
    }

    /// The activities of the user's second factor as `enable 2FA succeed`, oldest first.
    pub async fn otp_activities(&self, user: &User) -> Vec<String> {
        let all = self.activities(user).await.into_iter();
        all.filter(|activity| activity.contains("2FA")).collect()
    }
}

/// The recovery codes in an answer.
#[track_caller]
pub fn recovery_codes(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 201, "{answer:?}");
    let codes = answer.json()["recovery_codes"].as_array().unwrap().clone();
    codes
        .iter()
        .map(|code| code.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn codes_match_the_examples_of_rfc_6238() {
    // Appendix B, the last six of its eight digits.
    for (time, expected) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
    ] {
        assert_eq!(code(time / 30), expected);
    }
}
