//! Recovery codes at sign-in

use crate::harness::{Answer, Latchkey, Request, User, all_at_once, latchkey, number, otp};

async fn recovery_codes_left(latchkey: &Latchkey, user: &User) -> usize {
    latchkey
        .user_item(user)
        .await
        .get("otp_recovery_codes")
        .map_or(0, |codes| codes.as_ss().unwrap().len())
}

#[tokio::test]
async fn each_recovery_code_works_once_in_any_spelling() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("recovery").await;
    let spell: [fn(&str) -> String; 5] = [
        str::to_owned,
        str::to_lowercase,
        |code| code.replace('-', ""),
        |code| format!("  {}\n", code.to_lowercase().replace('-', " ")),
        |code| code.split_at(3).0.to_owned() + "-" + code.split_at(3).1,
    ];
    for (used, code) in authenticator.recovery_codes.iter().enumerate() {
        let answer = latchkey
            .sign_in_with(&user, &spell[used % spell.len()](code))
            .send()
            .await;
        assert_eq!(
            (answer.status, &answer.json()["otp"]),
            (201, &serde_json::json!(true)),
            "{used}"
        );
        assert_eq!(recovery_codes_left(&latchkey, &user).await, 9 - used);
        let again = latchkey.sign_in_with(&user, &spell[(used + 1) % spell.len()](code));
        latchkey
            .refuses(&user, again, 403, &["identity.session.invalid_otp"])
            .await;
    }
    // TOTP codes still work when all recovery codes are used.
    assert_eq!(
        latchkey
            .sign_in_with(&user, &authenticator.code())
            .send()
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_wrong_recovery_code_counts_and_a_right_one_resets_the_count() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("recovery-wrong").await;
    let (other, _) = latchkey.enrolled("recovery-other").await;
    let own = &authenticator.recovery_codes[0];
    let altered = format!(
        "{}{}",
        if own.starts_with('A') { 'B' } else { 'A' },
        &own[1..]
    );
    for (count, code) in ["ABCDE-FGH23", &altered].into_iter().enumerate() {
        latchkey
            .refuses(
                &user,
                latchkey.sign_in_with(&user, code),
                403,
                &["identity.session.invalid_otp"],
            )
            .await;
        assert_eq!(
            number(&latchkey.user_item(&user).await, "recovery_failures"),
            i64::try_from(count).unwrap() + 1
        );
    }
    latchkey
        .refuses(
            &user,
            latchkey.sign_in_with(&user, &own[..10]),
            403,
            &["identity.session.invalid_otp"],
        )
        .await;
    latchkey
        .refuses(
            &other,
            latchkey.sign_in_with(&other, own),
            403,
            &["identity.session.invalid_otp"],
        )
        .await;
    assert_eq!(latchkey.sign_in_with(&user, own).send().await.status, 201);
    assert_eq!(
        latchkey.user_item(&user).await.get("recovery_failures"),
        None
    );
}

#[tokio::test]
async fn a_wrong_password_does_not_use_the_recovery_code() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("recovery-order").await;
    let stranger = User {
        password: "Wrong-Horse-7-Battery".to_owned(),
        ..user.clone()
    };
    let code = &authenticator.recovery_codes[0];
    latchkey
        .refuses(
            &user,
            latchkey.sign_in_with(&stranger, code),
            404,
            &["identity.session.invalid_params"],
        )
        .await;
    assert_eq!(latchkey.sign_in_with(&user, code).send().await.status, 201);
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_sign_ins_with_one_recovery_code_succeeds() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("recovery-race").await;
    let code = &authenticator.recovery_codes[0];
    let answers = all_at_once((0..16).map(|_| latchkey.sign_in_with(&user, code))).await;
    let (winners, losers): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(
        (winners.len(), recovery_codes_left(&latchkey, &user).await),
        (1, 9)
    );
    for loser in losers {
        // A request that lost the race has to be sent again, and then finds the code used.
        assert!([403, 429].contains(&loser.status), "{loser:?}");
    }
}

#[tokio::test]
async fn concurrent_sign_ins_with_different_recovery_codes_all_succeed() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("recovery-two").await;
    let requests: Vec<Request> = authenticator
        .recovery_codes
        .iter()
        .map(|code| latchkey.sign_in_with(&user, code))
        .collect();
    let statuses: Vec<u16> = all_at_once(requests)
        .await
        .iter()
        .map(|answer| answer.status)
        .collect();
    assert_eq!(statuses, [201; 10]);
    assert_eq!(recovery_codes_left(&latchkey, &user).await, 0);
}

#[tokio::test]
async fn a_recovery_code_works_in_only_one_of_two_concurrent_requests() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("recovery-disable").await;
    let code = &authenticator.recovery_codes[0];
    let requests = [
        latchkey.sign_in_with(&user, code),
        latchkey.otp("disable", &user.session, code),
    ];
    let statuses: Vec<u16> = all_at_once(requests)
        .await
        .iter()
        .map(|answer| answer.status)
        .collect();
    let is_off = !latchkey.user_item(&user).await.contains_key("otp_secret");
    // A sign-in after the second factor is disabled requires no code.
    assert!(
        matches!(
            (&statuses[..], is_off),
            ([201, 422], false) | ([403 | 429 | 201, 200], true)
        ),
        "{statuses:?} {is_off}"
    );
}
