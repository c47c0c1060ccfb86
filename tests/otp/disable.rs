//! `POST /resource/otp/disable`

use crate::harness::{Answer, Latchkey, Mail, all_at_once, latchkey, number, otp};

#[tokio::test]
async fn a_totp_code_or_a_recovery_code_disables_the_second_factor_and_deletes_its_data() {
    let latchkey = latchkey().await;
    for name in ["otp-disable-code", "otp-disable-recovery"] {
        let (user, authenticator) = latchkey.enrolled(name).await;
        let code = if name.ends_with("code") {
            authenticator.code()
        } else {
            authenticator.recovery_codes[3].to_lowercase()
        };
        latchkey
            .otp("disable", &user.session, &code)
            .send()
            .await
            .is_empty(200);
        let names: Vec<String> = latchkey
            .user_item(&user)
            .await
            .into_keys()
            .filter(|name| name.starts_with("otp"))
            .collect();
        assert!(names.is_empty(), "{names:?}");
        let answer = latchkey.sign_in(&user.email, &user.password).send().await;
        assert_eq!(
            (answer.status, &answer.json()["otp"]),
            (201, &serde_json::json!(false))
        );
        let recorded = [
            "request QR code for 2FA succeed",
            "enable 2FA succeed",
            "disable 2FA succeed",
        ];
        assert_eq!(latchkey.otp_activities(&user).await, recorded);
        let is_notice =
            |mail: &Mail| mail.subject == "Two-factor authentication is off for Latchkey";
        latchkey.mail_to(&user.email, 1, is_notice).await;
        let again = latchkey.otp("disable", &user.session, &authenticator.recovery_codes[4]);
        latchkey
            .refuses(&user, again, 400, &["resource.otp.not_enabled"])
            .await;
    }
}

#[tokio::test]
async fn disabling_ends_every_other_session() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-disable-sessions").await;
    let other = latchkey
        .sign_in_with(&user, &authenticator.recovery_codes[0])
        .send()
        .await
        .session();
    latchkey
        .otp("disable", &user.session, &authenticator.code())
        .send()
        .await
        .is_empty(200);
    latchkey
        .sign_out(&other)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    latchkey.sign_out(&user.session).send().await.is_empty(204);
}

#[tokio::test]
async fn a_wrong_code_is_rejected_and_recorded() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-disable-wrong").await;
    let spent = &authenticator.recovery_codes[0];
    assert_eq!(latchkey.sign_in_with(&user, spent).send().await.status, 201);
    for code in [
        &authenticator.wrong_code(),
        "ABCDE-FGH23",
        spent,
        "nonsense",
    ] {
        latchkey
            .refuses(
                &user,
                latchkey.otp("disable", &user.session, code),
                422,
                &["resource.otp.invalid"],
            )
            .await;
    }
    assert_eq!(
        latchkey.otp_activities(&user).await[2..],
        ["disable 2FA failed"; 4]
    );
}

#[tokio::test]
async fn a_disabled_second_factor_cannot_be_disabled() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("otp-disable-off").await;
    let secret = latchkey.generated_secret(&user).await;
    for code in [
        otp::code_of(&secret, otp::step()),
        "123456".to_owned(),
        "ABCDE-FGH23".to_owned(),
    ] {
        latchkey
            .refuses(
                &user,
                latchkey.otp("disable", &user.session, &code),
                400,
                &["resource.otp.not_enabled"],
            )
            .await;
    }
    assert_eq!(latchkey.failures(&user.email).await, 0);
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_requests_with_one_code_disables() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("otp-disable-race").await;
    let code = authenticator.code();
    let answers = all_at_once((0..16).map(|_| latchkey.otp("disable", &user.session, &code))).await;
    let (winners, losers): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(winners.len(), 1);
    for loser in losers {
        assert!([400, 401, 422, 429].contains(&loser.status), "{loser:?}");
    }
    assert_eq!(
        latchkey.queued_mails(&user).await.len(),
        3,
        "a confirmation and two notices"
    );
}

#[tokio::test]
async fn a_new_secret_has_its_own_last_step_and_recovery_codes() {
    let latchkey = latchkey().await;
    let (user, before) = latchkey.enrolled("otp-disable-again").await;
    let step = otp::step();
    let last = latchkey
        .otp(
            "disable",
            &user.session,
            &otp::code_of(&before.secret, step + 1),
        )
        .send()
        .await;
    last.is_empty(200);
    let secret = latchkey.generated_secret(&user).await;
    // A step that is lower than the last one of the previous secret.
    let answer = latchkey
        .otp("enable", &user.session, &otp::code_of(&secret, step))
        .send()
        .await;
    let after = otp::recovery_codes(&answer);
    assert_eq!(
        number(&latchkey.user_item(&user).await, "otp_last_step"),
        step
    );
    let with_old = latchkey.sign_in_with(&user, &before.recovery_codes[0]);
    latchkey
        .refuses(&user, with_old, 403, &["identity.session.invalid_otp"])
        .await;
    assert_eq!(
        latchkey.sign_in_with(&user, &after[0]).send().await.status,
        201
    );
}
