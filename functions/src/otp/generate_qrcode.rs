//! `POST /resource/otp/generate_qrcode`: draws the secret of an authenticator.

use data_encoding::BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        user::{OtpSecret, User},
    },
    http::{Body, Form, Request, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
    store::Outcome,
};

use super::barcode::barcode;

/// What it works with.
pub struct GenerateQrcode {
    /// Lets in who is signed in.
    pub authenticator: Authenticator,
    /// What holds for every account.
    pub accounts: Accounts,
    /// The application, as people see it.
    pub application: Application,
}

#[derive(Serialize)]
struct Output {
    data: Enrolment,
}

#[derive(Serialize)]
struct Enrolment {
    /// A PNG image, in base64.
    barcode: String,
    url: String,
}

impl GenerateQrcode {
    /// Draws a secret, in the place of one that was drawn before, and tells it. It counts for
    /// nothing until a code of it is given.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        // No parameters, but the rules for bodies hold here too.
        Form::read(request).await?;
        let store = &self.authenticator.store;
        let user = &signed_in.user;
        if user.otp_secret.is_some() {
            return Err(Error::OtpAlreadyEnabled);
        }
        let secret = OtpSecret::draw();
        let url = url(&self.application.name, user, &secret);
        let barcode = BASE64.encode(&barcode(&url).map_err(Error::internal)?);
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&user.uid, Action::RequestQrCode);
        if store.draw_otp_secret(user, &secret, &activity).await? == Outcome::Conflict {
            return Err(Error::OtpAlreadyEnabled);
        }
        json(
            StatusCode::CREATED,
            &Output {
                data: Enrolment { barcode, url },
            },
        )
    }
}

/// What an authenticator reads:
/// <https://github.com/google/google-authenticator/wiki/Key-Uri-Format>.
fn url(app_name: &str, user: &User, secret: &OtpSecret) -> String {
    /// RFC 3986: what need not be encoded anywhere, and `@`, which need not in a path.
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b'@');
    /// Characters of an account's name in a picture of this size that a camera can still read.
    const LIMIT: usize = 300;
    let encode = |text: &str| utf8_percent_encode(text, KEPT).to_string();
    // A colon would end the issuer.
    let issuer = encode(&app_name.replace(':', " "));
    let account = Some(encode(user.email.as_typed())).filter(|account| account.len() <= LIMIT);
    let account = account.as_ref().unwrap_or(&user.uid);
    let secret = secret.reveal();
    format!(
        "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url_of(app_name: &str, email: &str) -> String {
        let user = serde_json::from_value(serde_json::json!({
            "uid": "ID0123456789", "email": email, "password_hash": "x", "state": "active", "role": "member", "level": 0,
            "session_epoch": 0, "created_at": 0, "updated_at": 60,
        }));
        let secret = serde_json::from_value(serde_json::json!("GEZDGNBVGY3TQOJQ")).unwrap();
        url(app_name, &user.unwrap(), &secret)
    }

    #[test]
    fn the_url_names_issuer_and_account_as_authenticators_read_them() {
        assert_eq!(
            url_of("Latchkey", "John.Doe@Example.com"),
            "otpauth://totp/Latchkey:John.Doe@Example.com?secret=GEZDGNBVGY3TQOJQ&issuer=Latchkey&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn what_means_something_in_a_url_is_encoded() {
        let url = url_of("Bits & Bobs: Ä/?#", "a+b%c&d=e?f#g@пошта.укр");
        let (label, parameters) = url
            .strip_prefix("otpauth://totp/")
            .unwrap()
            .split_once('?')
            .unwrap();
        let issuer = "Bits%20%26%20Bobs%20%20%C3%84%2F%3F%23";
        let account = "a%2Bb%25c%26d%3De%3Ff%23g@%D0%BF%D0%BE%D1%88%D1%82%D0%B0.%D1%83%D0%BA%D1%80";
        assert_eq!(label, format!("{issuer}:{account}"));
        assert_eq!(
            parameters,
            format!("secret=GEZDGNBVGY3TQOJQ&issuer={issuer}&algorithm=SHA1&digits=6&period=30")
        );
    }

    #[test]
    fn an_account_whose_address_no_camera_could_read_is_named_by_its_uid() {
        let address = |letters: usize| format!("{}@example.com", "ж".repeat(letters));
        assert!(url_of("Latchkey", &address(48)).contains("%D0%B6@example.com?"));
        assert!(
            url_of("Latchkey", &address(49)).starts_with("otpauth://totp/Latchkey:ID0123456789?")
        );
    }
}
