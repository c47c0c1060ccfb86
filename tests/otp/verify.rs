//! `POST /resource/otp/verify`

use crate::harness::{Latchkey, all_at_once, latchkey, number, otp};

#[tokio::test]
async fn a_code_works_once_across_verify_disable_and_sign_in() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-verify").await;
    let step = otp::step();
    let code = otp::code_of(&authenticator.secret, step);
    latchkey
        .otp("verify", &user.session, &format!(" {code} "))
        .send()
        .await
        .is_empty(201);
    assert_eq!(
        number(&latchkey.user_item(&user).await, "otp_last_step"),
        step
    );
    for operation in ["verify", "disable"] {
        latchkey
            .refuses(
                &user,
                latchkey.otp(operation, &user.session, &code),
                422,
                &["resource.otp.invalid"],
            )
            .await;
    }
    latchkey
        .refuses(
            &user,
            latchkey.sign_in_with(&user, &code),
            403,
            &["identity.session.invalid_otp"],
        )
        .await;
    let next = otp::code_of(&authenticator.secret, step + 1);
    assert_eq!(latchkey.sign_in_with(&user, &next).send().await.status, 201);
    latchkey
        .refuses(
            &user,
            latchkey.otp("verify", &user.session, &next),
            422,
            &["resource.otp.invalid"],
        )
        .await;
}

#[tokio::test]
async fn a_recovery_code_is_rejected_and_stays_valid() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-verify-recovery").await;
    let code = &authenticator.recovery_codes[0];
    latchkey
        .refuses(
            &user,
            latchkey.otp("verify", &user.session, code),
            422,
            &["resource.otp.invalid"],
        )
        .await;
    assert_eq!(latchkey.sign_in_with(&user, code).send().await.status, 201);
}

#[tokio::test]
async fn a_wrong_code_is_rejected() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-verify-wrong").await;
    let far = otp::code_of(&authenticator.secret, otp::step() + 5);
    for code in [
        authenticator.wrong_code(),
        far,
        "12345".to_owned(),
        "nonsense".to_owned(),
    ] {
        latchkey
            .refuses(
                &user,
                latchkey.otp("verify", &user.session, &code),
                422,
                &["resource.otp.invalid"],
            )
            .await;
    }
}

#[tokio::test]
async fn without_an_enabled_second_factor_the_error_is_not_enabled() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("otp-verify-off").await;
    let secret = latchkey.generated_secret(&user).await;
    for code in [otp::code_of(&secret, otp::step()), "123456".to_owned()] {
        latchkey
            .refuses(
                &user,
                latchkey.otp("verify", &user.session, &code),
                400,
                &["resource.otp.not_enabled"],
            )
            .await;
    }
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_uses_of_one_code_succeeds() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("otp-verify-race").await;
    let code = authenticator.code();
    let requests = (0..16).map(|place| match place % 2 {
        0 => latchkey.otp("verify", &user.session, &code),
        _ => latchkey.sign_in_with(&user, &code),
    });
    let answers = all_at_once(requests).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(
        statuses.iter().filter(|&&status| status == 201).count(),
        1,
        "{statuses:?}"
    );
    for (place, answer) in answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.status != 201)
    {
        // A request that lost the race for the code has to be sent again.
        match place % 2 {
            0 => assert!([422, 429].contains(&answer.status), "{answer:?}"),
            _ => assert!([403, 429].contains(&answer.status), "{answer:?}"),
        }
    }
}
