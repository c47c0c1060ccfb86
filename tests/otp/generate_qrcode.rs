//! `POST /resource/otp/generate_qrcode`

use data_encoding::BASE32_NOPAD;
use serde_json::json;

use crate::harness::{Answer, Latchkey, User, latchkey, otp, text};

const PATH: &str = "/resource/otp/generate_qrcode";

async fn generate(latchkey: &Latchkey, user: &User) -> Answer {
    let answer = latchkey.post(PATH).bearer(&user.session).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

#[tokio::test]
async fn the_qr_code_contains_the_url() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("Otp.Draw+Qr").await;
    let answer = generate(latchkey, &user).await;
    answer.has_names(&["data"]);
    let data = answer.json()["data"].clone();
    assert_eq!(data.as_object().unwrap().len(), 2);
    let url = data["url"].as_str().unwrap();
    let (size, seen) = otp::scan_qr_code(data["barcode"].as_str().unwrap());
    assert_eq!((size, seen.as_str()), ((300, 300), url));

    let secret = otp::parameter(url, "secret").unwrap();
    assert_eq!(
        BASE32_NOPAD.decode(secret.as_bytes()).unwrap().len() * 8,
        160
    );
    let label = "otpauth://totp/Latchkey:Otp.Draw%2BQr@example.com";
    assert_eq!(
        url,
        format!("{label}?secret={secret}&issuer=Latchkey&algorithm=SHA1&digits=6&period=30")
    );
}

#[tokio::test]
async fn the_issuer_is_the_percent_encoded_app_name() {
    let latchkey = Latchkey::start(&[("IDENTITY_APP_NAME", "Bits & Bobs")]).await;
    let user = latchkey.confirmed("otp-issuer").await;
    let data = generate(&latchkey, &user).await.json()["data"].clone();
    let url = data["url"].as_str().unwrap();
    assert!(
        url.starts_with("otpauth://totp/Bits%20%26%20Bobs:otp-issuer@example.com?"),
        "{url}"
    );
    assert_eq!(otp::parameter(url, "issuer"), Some("Bits%20%26%20Bobs"));
    assert_eq!(otp::scan_qr_code(data["barcode"].as_str().unwrap()).1, url);
}

#[tokio::test]
async fn the_qr_code_of_the_longest_address_is_readable() {
    let latchkey = latchkey().await;
    for letter in ["x", "ｙ", "𝐳"] {
        let local = "x".repeat(64);
        let label = letter.repeat(63);
        let email = format!("{local}@{label}.{label}.{}", letter.repeat(61));
        let user = latchkey
            .signed_up_with("-", &json!({ "email": email }))
            .await;
        latchkey.set_state(&user, "active").await;
        let data = generate(latchkey, &user).await.json()["data"].clone();
        let (size, seen) = otp::scan_qr_code(data["barcode"].as_str().unwrap());
        assert_eq!(
            (size, Some(seen.as_str())),
            ((300, 300), data["url"].as_str())
        );
    }
}

#[tokio::test]
async fn a_generated_secret_has_no_effect_until_it_is_enabled() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("otp-draw-pending").await;
    let secret = latchkey.generated_secret(&user).await;
    let item = latchkey.user_item(&user).await;
    assert_eq!(item.get("otp_secret"), None);
    assert!(text(&item, "otp_pending_secret").starts_with("v1.1."));
    assert!(
        !format!("{item:?}").contains(&secret),
        "the secret is stored in plain text"
    );
    assert_eq!(
        latchkey
            .sign_in(&user.email, &user.password)
            .send()
            .await
            .json()["otp"],
        false
    );
    assert_eq!(
        latchkey.otp_activities(&user).await,
        ["request QR code for 2FA succeed"]
    );
}

#[tokio::test]
async fn a_new_secret_replaces_the_pending_one() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("otp-draw-twice").await;
    let first = latchkey.generated_secret(&user).await;
    let second = latchkey.generated_secret(&user).await;
    assert_ne!(first, second);
    let enable =
        |secret: &str| latchkey.otp("enable", &user.session, &otp::code_of(secret, otp::step()));
    latchkey
        .refuses(&user, enable(&first), 422, &["resource.otp.invalid"])
        .await;
    assert_eq!(enable(&second).send().await.status, 201);
}

#[tokio::test]
async fn no_secret_is_generated_while_the_second_factor_is_enabled() {
    let latchkey = latchkey().await;
    let (user, _) = latchkey.enrolled("otp-draw-on").await;
    let request = latchkey.post(PATH).bearer(&user.session);
    latchkey
        .refuses(&user, request, 400, &["resource.otp.already_enabled"])
        .await;
}
