//! The limit of changes of the password in sessions

use crate::harness::{Latchkey, PASSWORD, User, otp};

const TOO_MANY: &[&str] = &["request.too_many_attempts"];
const PASSWORDS: [&str; 2] = ["Second-Horse-7-Battery", PASSWORD];

/// A thief of a session, who knows the password, voids each reset link before its owner opens it.
#[tokio::test]
async fn a_thief_who_keeps_changing_the_password_cannot_keep_the_owner_from_a_reset() {
    let latchkey = Latchkey::start(&otp::FOR_RACES[1..]).await;
    let mut thief = latchkey.confirmed("change-limit").await;
    for number in 0..5 {
        let link = latchkey.reset_token(&thief).await;
        let new = PASSWORDS[number % 2];
        latchkey
            .change_password(&thief, &thief.password, new)
            .send()
            .await
            .is_empty(201);
        thief = User {
            password: new.to_owned(),
            ..thief
        };
        latchkey
            .confirm(&link, "Owner-Horse-7-Battery")
            .send()
            .await
            .is_refused(422, &["identity.user.utilized_token"]);
    }
    let link = latchkey.reset_token(&thief).await;
    let refused = latchkey.change_password(&thief, &thief.password, PASSWORDS[1]);
    latchkey.refuses(&thief, refused, 429, TOO_MANY).await;
    latchkey
        .confirm(&link, "Owner-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
    latchkey
        .change_password(&thief, &thief.password, PASSWORDS[1])
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    // The owner's own changes are limited by the same count until the hour is over.
    let owner = User {
        password: "Owner-Horse-7-Battery".to_owned(),
        ..thief
    };
    let owner = latchkey.with_new_session(&owner).await;
    let answer = latchkey
        .change_password(&owner, &owner.password, PASSWORDS[0])
        .send()
        .await;
    answer.is_refused(429, TOO_MANY);
    let seconds: i64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_rejected_change_is_not_counted() {
    let latchkey = Latchkey::start(&otp::FOR_RACES[1..]).await;
    let user = latchkey.confirmed("change-limit-rejected").await;
    for _ in 0..6 {
        latchkey
            .change_password(&user, PASSWORD, "weak")
            .send()
            .await
            .is_refused(422, &["password.requirements"]);
    }
    latchkey
        .change_password(&user, PASSWORD, PASSWORDS[0])
        .send()
        .await
        .is_empty(201);
}
