//! `POST /resource/otp/generate_qrcode`: generates a secret for an authenticator app.

use data_encoding::BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use shared::{
    Error,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        user::{Credentials, OtpField, OtpSecret, State, User},
    },
    http::{
        Body, Form, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator},
        json,
    },
    platform::clock::Timestamp,
    store::Outcome,
    tokens::otp_secrets::OtpSecrets,
};

use super::barcode::barcode;

pub struct GenerateQrcode {
    pub authenticator: Authenticator,
    pub otp_secrets: OtpSecrets,
    pub accounts: Accounts,
    pub application: Application,
    /// Seconds, see [`AuthenticatedSession::require_recent_authentication`].
    pub reauthentication_time: i64,
}

#[derive(Serialize)]
struct Output {
    data: Enrolment,
}

#[derive(Serialize)]
struct Enrolment {
    /// PNG image in base64.
    barcode: String,
    url: String,
}

impl GenerateQrcode {
    /// Stores a pending secret, which replaces an earlier one, and returns it. It has no effect
    /// until the second factor is enabled with a code of it.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .authenticator
            .authenticate_with_credentials(&request, now)
            .await?;
        signed_in.require_recent_authentication(self.reauthentication_time, now)?;
        // There are no parameters, but an invalid body is rejected as everywhere.
        Form::read(request).await?;
        let outcome = self.generate(&signed_in, now).await;
        if let Err(error @ (Error::OtpAlreadyEnabled | Error::OtpEmailNotConfirmed)) = &outcome {
            let failed = signed_in
                .recorder(self.accounts.activity_retention, now)
                .failed(&signed_in.user.uid, Action::RequestQrCode, error);
            self.authenticator.store.record(&failed).await?;
        }
        json(StatusCode::CREATED, &Output { data: outcome? })
    }

    async fn generate(
        &self,
        signed_in: &AuthenticatedSession<Credentials>,
        now: Timestamp,
    ) -> Result<Enrolment, Error> {
        let user = &signed_in.user;
        if user.has_otp() {
            return Err(Error::OtpAlreadyEnabled);
        }
        if user.state == State::Pending {
            return Err(Error::OtpEmailNotConfirmed);
        }
        let secret = OtpSecret::generate();
        let url = url(&self.application.name, user, &secret);
        let sealed = self
            .otp_secrets
            .seal(&user.uid, OtpField::Pending, &secret, now)
            .await?;
        let barcode = BASE64.encode(&barcode(&url).map_err(Error::internal)?);
        let activity = signed_in
            .recorder(self.accounts.activity_retention, now)
            .succeeded(&user.uid, Action::RequestQrCode);
        let store = &self.authenticator.store;
        match store
            .store_pending_otp_secret(user, &sealed, &activity)
            .await?
        {
            Outcome::Written => Ok(Enrolment { barcode, url }),
            Outcome::Conflict => Err(Error::OtpAlreadyEnabled),
        }
    }
}

/// The URI that authenticator apps read:
/// <https://github.com/google/google-authenticator/wiki/Key-Uri-Format>.
fn url(app_name: &str, user: &User, secret: &OtpSecret) -> String {
    /// All but the unreserved characters of RFC 3986, and `@`, which is allowed in a path.
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b'@');
    /// Maximum length of the account name at which a camera can read the code at its size.
    const LIMIT: usize = 300;
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    // A colon separates issuer and account name.
    let issuer = encode(&app_name.replace(':', " "));
    let account = Some(encode(user.email.as_typed())).filter(|account| account.len() <= LIMIT);
    let account = account.as_deref().unwrap_or_else(|| user.uid.as_str());
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
        let secret = OtpSecret::import("GEZDGNBVGY3TQOJQ").unwrap();
        url(app_name, &user.unwrap(), &secret)
    }

    #[test]
    fn the_url_has_the_format_of_authenticator_apps() {
        assert_eq!(
            url_of("Latchkey", "John.Doe@Example.com"),
            "otpauth://totp/Latchkey:John.Doe@Example.com?secret=GEZDGNBVGY3TQOJQ&issuer=Latchkey&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn reserved_characters_are_encoded() {
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
    fn the_uid_replaces_an_address_that_is_too_long_for_a_readable_code() {
        let address = |letters: usize| format!("{}@example.com", "ж".repeat(letters));
        assert!(url_of("Latchkey", &address(48)).contains("%D0%B6@example.com?"));
        assert!(
            url_of("Latchkey", &address(49)).starts_with("otpauth://totp/Latchkey:ID0123456789?")
        );
    }
}
