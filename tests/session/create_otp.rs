//! `POST /identity/sessions` for users with a second factor

use crate::harness::{Answer, Latchkey, Request, User, all_at_once, latchkey, number, otp};

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
    let full_width: String = right
        .chars()
        .map(|digit| char::from_u32(u32::from(digit) - 0x30 + 0xff10).unwrap())
        .collect();
    let codes = [
        &otp::wrong_code(),
        &right[1..],
        &format!("{right}0"),
        &format!("0{right}"),
        &format!("+{}", &right[1..]),
        &full_width,
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
        latchkey.reset_failures(&user.email).await;
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
        loser.is_refused(403, &["identity.session.invalid_otp"]);
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
