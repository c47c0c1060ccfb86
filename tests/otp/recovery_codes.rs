//! `POST /resource/otp/recovery_codes`

use crate::harness::{Latchkey, all_at_once, latchkey, otp, text};

#[tokio::test]
async fn new_recovery_codes_replace_the_old_ones_and_are_mailed() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("new-codes-replace").await;
    let answer = latchkey
        .otp("recovery_codes", &user.session, &authenticator.code())
        .send()
        .await;
    let codes = otp::recovery_codes(&answer);
    assert_eq!(codes.len(), 10);
    latchkey
        .sign_in_with(&user, &authenticator.recovery_codes[0])
        .send()
        .await
        .is_refused(403, &["identity.session.invalid_otp"]);
    assert_eq!(
        latchkey.sign_in_with(&user, &codes[0]).send().await.status,
        201
    );
    let recorded = "recovery codes succeed".to_owned();
    assert!(latchkey.activities(&user).await.contains(&recorded));
    assert!(
        latchkey
            .queued_mails(&user)
            .await
            .iter()
            .any(|mail| text(mail, "kind") == "recovery_codes_replaced")
    );
}

#[tokio::test]
async fn a_wrong_code_or_a_recovery_code_is_rejected_and_recorded() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("new-codes-wrong").await;
    for code in [
        &authenticator.wrong_code(),
        &authenticator.recovery_codes[0],
    ] {
        latchkey
            .refuses(
                &user,
                latchkey.otp("recovery_codes", &user.session, code),
                422,
                &["resource.otp.invalid"],
            )
            .await;
    }
    let failed = "recovery codes failed".to_owned();
    let recorded = latchkey.activities(&user).await.into_iter();
    assert_eq!(recorded.filter(|activity| *activity == failed).count(), 2);
}

#[tokio::test]
async fn without_an_enabled_second_factor_the_error_is_not_enabled() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("new-codes-off").await;
    latchkey
        .refuses(
            &user,
            latchkey.otp("recovery_codes", &user.session, "123456"),
            400,
            &["resource.otp.not_enabled"],
        )
        .await;
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_requests_with_one_code_replaces_the_codes() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("new-codes-race").await;
    let code = authenticator.code();
    let requests = (0..16).map(|_| latchkey.otp("recovery_codes", &user.session, &code));
    let answers = all_at_once(requests).await;
    let winners: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .collect();
    assert_eq!(winners.len(), 1);
    let codes = otp::recovery_codes(winners[0]);
    assert_eq!(
        latchkey.sign_in_with(&user, &codes[0]).send().await.status,
        201
    );
    for loser in answers.iter().filter(|answer| answer.status != 201) {
        assert!([422, 429].contains(&loser.status), "{loser:?}");
    }
}
