//! `POST /resource/otp/enable`

use std::collections::HashSet;

use serde_json::json;

use crate::harness::{Answer, Latchkey, Mail, all_at_once, latchkey, number, otp, text};

#[tokio::test]
async fn a_right_code_enables_the_second_factor_and_returns_ten_recovery_codes() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("otp-enable").await;
    let secret = latchkey.generated_secret(&user).await;
    let step = otp::step();
    let answer = latchkey
        .otp("enable", &user.session, &otp::code_of(&secret, step))
        .send()
        .await;
    answer.has_names(&["recovery_codes"]);
    let codes: HashSet<String> = otp::recovery_codes(&answer).into_iter().collect();
    assert_eq!(codes.len(), 10);
    for code in &codes {
        let (front, back) = code.split_once('-').unwrap();
        let is_group = |group: &str| {
            group.len() == 5
                && group
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        };
        assert!(
            is_group(front) && is_group(back) && !code.contains(['0', 'O', '1', 'I']),
            "{code}"
        );
    }
    let item = latchkey.user_item(&user).await;
    assert!(text(&item, "otp_secret").starts_with("v1.1."));
    assert_eq!(number(&item, "otp_last_step"), step);
    assert_eq!(item.get("otp_pending_secret"), None);
    let stored = format!("{:?}", latchkey.items_of(&user).await);
    assert!(
        !stored.contains(&secret),
        "the secret is stored in plain text"
    );
    for code in &codes {
        assert!(
            !stored.contains(code) && !stored.contains(&code.replace('-', "")),
            "a recovery code is stored in plain text"
        );
    }
    assert_eq!(
        latchkey.otp_activities(&user).await,
        ["request QR code for 2FA succeed", "enable 2FA succeed"]
    );
    latchkey
        .sign_in(&user.email, &user.password)
        .send()
        .await
        .is_refused(401, &["identity.session.missing_otp"]);
    latchkey
        .sign_in_with(&user, &otp::code_of(&secret, step))
        .send()
        .await
        .is_refused(403, &["identity.session.invalid_otp"]);
    let answer = latchkey
        .sign_in_with(&user, &otp::code_of(&secret, step + 1))
        .send()
        .await;
    assert_eq!((answer.status, &answer.json()["otp"]), (201, &json!(true)));
}

#[tokio::test]
async fn enabling_ends_every_other_session_and_mails_a_notice_in_the_users_language() {
    let latchkey = latchkey().await;
    let user = latchkey
        .signed_up_with(
            "otp-enable-sessions",
            &json!({ "data": r#"{"language":"fr"}"# }),
        )
        .await;
    let other = latchkey.signed_in(&user).await;
    latchkey.enroll(&user).await;
    latchkey
        .otp("verify", &other, "123456")
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    latchkey
        .sign_out(&other)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    let notice = latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
    assert_eq!(
        notice.subject,
        "Double authentification activée pour Latchkey"
    );
    latchkey.sign_out(&user.session).send().await.is_empty(204);
}

#[tokio::test]
async fn a_wrong_code_is_rejected_and_recorded() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("otp-enable-wrong").await;
    let refused = async |code: &str| {
        latchkey
            .refuses(
                &user,
                latchkey.otp("enable", &user.session, code),
                422,
                &["resource.otp.invalid"],
            )
            .await;
    };
    refused("123456").await;
    let secret = latchkey.generated_secret(&user).await;
    for code in [
        otp::wrong_code_of(&secret),
        "ABCDE-FGH23".to_owned(),
        otp::code_of(&secret, otp::step() - 5),
    ] {
        refused(&code).await;
    }
    let generated = "request QR code for 2FA succeed";
    let failed = "enable 2FA failed";
    assert_eq!(
        latchkey.otp_activities(&user).await,
        [failed, generated, failed, failed, failed]
    );
    assert!(
        latchkey
            .mails_to(&user.email)
            .await
            .iter()
            .all(|mail| !mail.is_notice())
    );
}

#[tokio::test]
async fn an_enabled_second_factor_cannot_be_enabled_again() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-enable-on").await;
    for code in [
        authenticator.code(),
        authenticator.wrong_code(),
        authenticator.recovery_codes[0].clone(),
    ] {
        let request = latchkey.otp("enable", &user.session, &code);
        latchkey
            .refuses(&user, request, 400, &["resource.otp.already_enabled"])
            .await;
    }
    assert_eq!(latchkey.failures(&user.email).await, 0);
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_requests_enables_and_its_recovery_codes_work() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let user = latchkey.signed_up("otp-enable-race").await;
    let secret = latchkey.generated_secret(&user).await;
    let code = otp::code_of(&secret, otp::step());
    let answers = all_at_once((0..16).map(|_| latchkey.otp("enable", &user.session, &code))).await;
    let (winners, losers): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(winners.len(), 1);
    for loser in losers {
        // A loser finds it enabled, its session replaced, or ten attempts in progress.
        assert!([400, 422, 429].contains(&loser.status), "{loser:?}");
    }
    let codes = otp::recovery_codes(&winners[0]);
    assert_eq!(
        latchkey.sign_in_with(&user, &codes[9]).send().await.status,
        201
    );
    assert_eq!(
        latchkey.queued_mails(&user).await.len(),
        3,
        "a confirmation, one notice, and the notice of the recovery code"
    );
}

#[tokio::test]
async fn the_code_that_enables_works_in_no_concurrent_request() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let user = latchkey.signed_up("otp-enable-verify").await;
    let secret = latchkey.generated_secret(&user).await;
    let code = otp::code_of(&secret, otp::step());
    let operations = ["enable", "verify", "verify", "disable", "verify", "disable"];
    let answers =
        all_at_once(operations.map(|operation| latchkey.otp(operation, &user.session, &code)))
            .await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses[0], 201);
    // 400 before the second factor is enabled, 422 afterwards.
    assert!(
        statuses[1..]
            .iter()
            .all(|status| [400, 422, 429].contains(status)),
        "{statuses:?}"
    );
    // Of the next step, because the present one is used.
    let next = otp::code_of(&secret, otp::step() + 1);
    let verified = latchkey.otp("verify", &user.session, &next).send().await;
    assert_eq!(verified.status, 201, "{verified:?}");
}
