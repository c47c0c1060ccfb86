//! The life of a second factor: enrolment, loss of the authenticator, recovery

use data_encoding::BASE64;

use crate::harness::{Latchkey, Mail, otp};

#[tokio::test]
async fn a_user_enrols_loses_the_authenticator_and_recovers() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.confirmed("Mia.Story").await;
    let other_session = latchkey.signed_in(&user).await;

    // The authenticator app scans the QR code and shows a code.
    let generated = latchkey
        .post("/resource/otp/generate_qrcode")
        .bearer(&user.session)
        .send()
        .await;
    let picture = generated.json()["data"]["barcode"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, url) = otp::scan_qr_code(&picture);
    let secret = otp::parameter(&url, "secret").unwrap();
    let step = otp::step();
    let enabled = latchkey
        .otp("enable", &user.session, &otp::code_of(secret, step))
        .send()
        .await;
    let recovery_codes = otp::recovery_codes(&enabled);

    // Enrolment ends the user's other session and mails a notice.
    latchkey
        .sign_out(&other_session)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    let notice = latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
    assert_eq!(
        notice.subject,
        "Two-factor authentication is on for Latchkey"
    );

    // The password alone is no longer sufficient.
    latchkey
        .sign_in(&user.email, &user.password)
        .send()
        .await
        .is_refused(401, &["identity.session.missing_otp"]);
    let with_code = latchkey
        .sign_in_with(&user, &otp::code_of(secret, step + 1))
        .send()
        .await;
    assert_eq!(with_code.status, 201, "{with_code:?}");

    // The user loses the authenticator, signs in and disables the second factor with recovery
    // codes, and enrols again.
    let recovered = latchkey
        .sign_in_with(&user, &recovery_codes[0])
        .send()
        .await;
    assert_eq!(recovered.status, 201, "{recovered:?}");
    latchkey
        .otp("disable", &recovered.session(), &recovery_codes[0])
        .send()
        .await
        .is_refused(422, &["resource.otp.invalid"]);
    latchkey
        .otp("disable", &recovered.session(), &recovery_codes[1])
        .send()
        .await
        .is_empty(200);
    let is_off = |mail: &Mail| mail.subject == "Two-factor authentication is off for Latchkey";
    latchkey.mail_to(&user.email, 1, is_off).await;
    let recovered_user = crate::harness::User {
        session: recovered.session(),
        ..user.clone()
    };
    let authenticator = latchkey.enroll(&recovered_user).await;

    // The session opened with the lost authenticator has ended, and the old recovery codes are
    // void.
    latchkey
        .sign_out(&with_code.session())
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    latchkey
        .sign_in_with(&user, &recovery_codes[2])
        .send()
        .await
        .is_refused(403, &["identity.session.invalid_otp"]);
    assert_eq!(
        latchkey
            .sign_in_with(&user, &authenticator.code())
            .send()
            .await
            .status,
        201
    );

    // No log line contains a secret.
    let secrets = recovery_codes
        .iter()
        .chain(&authenticator.recovery_codes)
        .flat_map(|code| [code.clone(), code.replace('-', "")]);
    let secrets: Vec<String> = secrets
        .chain([secret.to_owned(), authenticator.secret, picture])
        .collect();
    for line in latchkey.log() {
        let logged = secrets.iter().find(|secret| {
            line.contains(*secret) || line.contains(&BASE64.encode(secret.as_bytes()))
        });
        assert_eq!(logged, None, "{line}");
    }
}
