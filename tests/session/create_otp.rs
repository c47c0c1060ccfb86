//! `POST /identity/sessions` for users with a second factor

use aws_sdk_dynamodb::types::AttributeValue;

use crate::harness::{
    Answer, Latchkey, Request, User, all_at_once, latchkey, now, number, otp, text,
};

/// A new user with a second factor.
async fn with_otp(latchkey: &Latchkey, name: &str) -> User {
    let user = latchkey.signed_up(name).await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    user
}

fn sign_in(latchkey: &Latchkey, user: &User, code: &str) -> Request {
    latchkey.post("/identity/sessions").form(&[
        ("email", &user.email),
        ("password", &user.password),
        ("otp_code", code),
    ])
}

#[track_caller]
fn is_signed_in(answer: &Answer) {
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["otp"], true);
}

#[tokio::test]
async fn a_missing_or_empty_code_is_rejected() {
    let latchkey = latchkey().await;
    let user = with_otp(latchkey, "otp-missing").await;
    for request in [
        latchkey.sign_in(&user.email, &user.password),
        sign_in(latchkey, &user, ""),
        sign_in(latchkey, &user, " \t"),
    ] {
        latchkey
            .refuses(&user, request, 401, &["identity.session.missing_otp"])
            .await;
    }
}

#[tokio::test]
async fn a_wrong_code_is_rejected() {
    let latchkey = latchkey().await;
    let user = with_otp(latchkey, "otp-wrong").await;
    let right = otp::code(otp::step());
    let codes = [
        &otp::wrong_code(),
        &right[1..],
        &format!("{right}0"),
        &format!("0{right}"),
        &format!("+{}", &right[1..]),
        "abcdef",
        "-00001",
        "0",
        "999999999999999999999",
    ];
    for code in codes {
        latchkey
            .refuses(
                &user,
                sign_in(latchkey, &user, code),
                403,
                &["identity.session.invalid_otp"],
            )
            .await;
    }
    is_signed_in(&sign_in(latchkey, &user, &right).send().await);
}

#[tokio::test]
async fn a_code_works_once() {
    let latchkey = latchkey().await;
    let user = with_otp(latchkey, "otp-once").await;
    let step = otp::step();
    is_signed_in(&sign_in(latchkey, &user, &otp::code(step)).send().await);
    assert_eq!(
        number(&latchkey.user_item(&user).await, "otp_last_step"),
        step
    );
    latchkey
        .refuses(
            &user,
            sign_in(latchkey, &user, &otp::code(step)),
            403,
            &["identity.session.invalid_otp"],
        )
        .await;
}

#[tokio::test]
async fn only_one_of_five_concurrent_sign_ins_with_one_code_succeeds() {
    let latchkey = latchkey().await;
    let user = with_otp(latchkey, "otp-race").await;
    let code = otp::code(otp::step());
    let answers = all_at_once((0..5).map(|_| sign_in(latchkey, &user, &code))).await;
    let (winners, losers): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(winners.len(), 1);
    for loser in losers {
        // A request that lost the race has to be sent again, and then finds the code used.
        assert!([403, 429].contains(&loser.status), "{loser:?}");
    }
    // The sessions of the sign-up and of the winner.
    let sessions = latchkey
        .items_of(&user)
        .await
        .into_keys()
        .filter(|key| key.contains("SESSION#"))
        .count();
    assert_eq!(sessions, 2);
}

#[tokio::test]
async fn a_code_of_the_previous_step_is_accepted() {
    let latchkey = latchkey().await;
    let user = with_otp(latchkey, "otp-before").await;
    // If a step ends during the request, the result is inconclusive and the request is repeated.
    let answer = loop {
        let step = otp::step();
        let answer = sign_in(latchkey, &user, &otp::code(step - 1)).send().await;
        if otp::step() == step {
            break answer;
        }
    };
    is_signed_in(&answer);
}

#[tokio::test]
async fn a_code_of_the_next_step_is_accepted_and_invalidates_earlier_ones() {
    let latchkey = latchkey().await;
    let user = with_otp(latchkey, "otp-after").await;
    let step = otp::step();
    is_signed_in(&sign_in(latchkey, &user, &otp::code(step + 1)).send().await);
    for spent in [step + 1, step, step - 1] {
        latchkey
            .refuses(
                &user,
                sign_in(latchkey, &user, &otp::code(spent)),
                403,
                &["identity.session.invalid_otp"],
            )
            .await;
    }
}

#[tokio::test]
async fn codes_of_other_steps_are_rejected() {
    let latchkey = latchkey().await;
    let user = with_otp(latchkey, "otp-far").await;
    for distance in [-100, -3, -2, 3, 100] {
        let request = sign_in(latchkey, &user, &otp::code(otp::step() + distance));
        latchkey
            .refuses(&user, request, 403, &["identity.session.invalid_otp"])
            .await;
    }
}

#[tokio::test]
async fn a_wrong_password_or_a_closed_account_does_not_use_the_code() {
    let latchkey = latchkey().await;
    let user = with_otp(latchkey, "otp-order").await;
    let code = otp::code(otp::step());
    let stranger = User {
        password: "Wrong-Horse-7-Battery".to_owned(),
        ..user.clone()
    };
    latchkey
        .refuses(
            &user,
            sign_in(latchkey, &stranger, &code),
            404,
            &["identity.session.invalid_params"],
        )
        .await;
    latchkey.set_state(&user, "banned").await;
    latchkey
        .refuses(
            &user,
            sign_in(latchkey, &user, &code),
            401,
            &["identity.session.banned"],
        )
        .await;
    latchkey
        .refuses(
            &user,
            latchkey.sign_in(&user.email, &user.password),
            401,
            &["identity.session.banned"],
        )
        .await;
    latchkey.set_state(&user, "active").await;
    is_signed_in(&sign_in(latchkey, &user, &code).send().await);
}

#[tokio::test]
async fn without_a_second_factor_a_code_is_ignored() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("otp-off").await;
    for code in ["", "123456", "nonsense"] {
        let answer = sign_in(latchkey, &user, code).send().await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.json()["otp"], false);
    }
}

#[tokio::test]
async fn a_code_is_accepted_as_people_type_it() {
    let latchkey = latchkey().await;
    for (name, typed) in [
        ("otp-typed-space", |code: &str| {
            format!(" {} {}\n", &code[..3], &code[3..])
        }),
        ("otp-typed-dash", |code: &str| {
            format!("{}\u{2013}{}", &code[..3], &code[3..])
        }),
        ("otp-typed-wide", |code: &str| {
            code.chars()
                .map(|digit| char::from_u32(u32::from(digit) - 0x30 + 0xff10).unwrap())
                .collect()
        }),
        ("otp-typed-arabic", |code: &str| {
            code.chars()
                .map(|digit| char::from_u32(u32::from(digit) - 0x30 + 0x660).unwrap())
                .collect()
        }),
    ] as [(&str, fn(&str) -> String); 4]
    {
        let user = with_otp(latchkey, name).await;
        let code = typed(&otp::code(otp::step()));
        is_signed_in(&sign_in(latchkey, &user, &code).send().await);
    }
}

/// The wrong TOTP codes counted in the account.
async fn wrong_codes(latchkey: &Latchkey, user: &User) -> i64 {
    let item = latchkey.user_item(user).await;
    item.get("totp_failures")
        .map_or(0, |_| number(&item, "totp_failures"))
}

async fn set_wrong_codes(latchkey: &Latchkey, user: &User, count: i64, wait: i64) {
    latchkey
        .edit_user(user, |item| {
            for (name, value) in [("totp_failures", count), ("totp_retry_at", now() + wait)] {
                let value = AttributeValue::N(value.to_string());
                drop(item.insert(name.to_owned(), value));
            }
        })
        .await;
}

#[tokio::test]
async fn wrong_codes_count_in_the_account_and_only_a_right_code_clears_them() {
    let latchkey = latchkey().await;
    let user = with_otp(latchkey, "otp-count").await;
    for count in 1..=5 {
        sign_in(latchkey, &user, &otp::wrong_code())
            .send()
            .await
            .is_refused(403, &["identity.session.invalid_otp"]);
        assert_eq!(wrong_codes(latchkey, &user).await, count);
    }
    assert_eq!(
        latchkey.failures(&user.email).await,
        0,
        "a right password is no wrong one"
    );
    // A text without the form of a code, and a sign-in without a code, do not count.
    sign_in(latchkey, &user, "12345")
        .send()
        .await
        .is_refused(403, &["identity.session.invalid_otp"]);
    latchkey
        .sign_in(&user.email, &user.password)
        .send()
        .await
        .is_refused(401, &["identity.session.missing_otp"]);
    assert_eq!(wrong_codes(latchkey, &user).await, 5);
    // However long ago they were.
    set_wrong_codes(latchkey, &user, 5, -100_000_000).await;
    sign_in(latchkey, &user, &otp::wrong_code())
        .send()
        .await
        .is_refused(403, &["identity.session.invalid_otp"]);
    assert_eq!(wrong_codes(latchkey, &user).await, 6);
    set_wrong_codes(latchkey, &user, 6, 0).await;
    is_signed_in(
        &sign_in(latchkey, &user, &otp::code(otp::step()))
            .send()
            .await,
    );
    assert_eq!(wrong_codes(latchkey, &user).await, 0);
}

#[tokio::test]
async fn during_the_back_off_no_code_is_verified_and_a_right_password_is_still_recognised() {
    let latchkey = latchkey().await;
    let user = with_otp(latchkey, "otp-back-off").await;
    set_wrong_codes(latchkey, &user, 12, 600).await;
    for code in [otp::code(otp::step()), otp::wrong_code()] {
        let answer = sign_in(latchkey, &user, &code).send().await;
        answer.is_refused(429, &["request.too_many_attempts"]);
        let seconds: i64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((500..=600).contains(&seconds), "{seconds}");
    }
    assert_eq!(wrong_codes(latchkey, &user).await, 12);
    latchkey
        .sign_in(&user.email, &user.password)
        .send()
        .await
        .is_refused(401, &["identity.session.missing_otp"]);
}

#[tokio::test]
async fn after_a_hundred_wrong_codes_only_a_recovery_code_signs_in() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-locked").await;
    set_wrong_codes(latchkey, &user, 100, -1).await;
    let answer = latchkey
        .sign_in_with(&user, &authenticator.code())
        .send()
        .await;
    answer.is_refused(429, &["request.too_many_attempts"]);
    assert_eq!(answer.header("retry-after"), Some("86400"));
    is_signed_in(
        &latchkey
            .sign_in_with(&user, &authenticator.recovery_codes[0])
            .send()
            .await,
    );
    assert_eq!(wrong_codes(latchkey, &user).await, 0);
    is_signed_in(
        &latchkey
            .sign_in_with(&user, &authenticator.code())
            .send()
            .await,
    );
}

#[tokio::test]
async fn one_of_sixteen_concurrent_wrong_codes_is_verified() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let user = with_otp(&latchkey, "otp-wrong-race").await;
    let answers = all_at_once((0..16).map(|_| sign_in(&latchkey, &user, &otp::wrong_code()))).await;
    let verified = answers.iter().filter(|answer| answer.status == 403).count();
    assert!(verified >= 1);
    assert_eq!(
        wrong_codes(&latchkey, &user).await,
        i64::try_from(verified).unwrap(),
        "every released verdict is counted"
    );
    for answer in answers.iter().filter(|answer| answer.status != 403) {
        answer.is_refused(429, &["request.too_many_attempts"]);
    }
}

#[tokio::test]
async fn the_third_wrong_code_in_a_row_mails_that_the_password_is_known() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-known").await;
    for _ in 0..4 {
        latchkey
            .sign_in_with(&user, &authenticator.wrong_code())
            .send()
            .await;
    }
    let notices = latchkey.queued_mails(&user).await;
    let notices = notices
        .iter()
        .filter(|mail| text(mail, "kind") == "password_known")
        .count();
    assert_eq!(notices, 1, "at most one a day");
}

#[tokio::test]
async fn a_used_recovery_code_is_recorded_and_mailed() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-recovery-used").await;
    let code = &authenticator.recovery_codes[0];
    is_signed_in(&latchkey.sign_in_with(&user, code).send().await);
    let recorded = "use recovery code succeed".to_owned();
    assert!(latchkey.activities(&user).await.contains(&recorded));
    let notices = latchkey.queued_mails(&user).await;
    assert!(
        notices
            .iter()
            .any(|mail| text(mail, "kind") == "recovery_code_used")
    );
}
