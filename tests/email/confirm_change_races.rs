//! `POST /resource/users/email/confirm`: concurrent requests, lost answers, and accounts of earlier
//! versions

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::harness::{Fault, Faulty, Latchkey, PASSWORD, User, all_at_once, latchkey, otp};

const ME: &str = "/resource/users/me";

#[tokio::test]
async fn one_of_sixteen_concurrent_confirmations_succeeds() {
    let latchkey = Latchkey::start(&otp::FOR_RACES[1..]).await;
    let user = latchkey.confirmed("race-move").await;
    let token = latchkey
        .email_change_token(&user, "race-moved@example.com")
        .await;
    let requests = (0..16).map(|_| latchkey.confirm_email_change(&user, &token));
    let answers = all_at_once(requests).await;
    let (done, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(done.len(), 1);
    for answer in refused {
        answer.is_refused(422, &["identity.user.utilized_token"]);
    }
    let activities = latchkey.activities(&user).await;
    assert_eq!(
        activities
            .iter()
            .filter(|text| *text == "change email succeed")
            .count(),
        1
    );
    assert_eq!(
        latchkey
            .sign_in("race-moved@example.com", PASSWORD)
            .send()
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn one_of_two_users_who_change_to_one_address_gets_it() {
    let latchkey = Latchkey::start(&otp::FOR_RACES[1..]).await;
    for round in 0..4 {
        let email = format!("race-one-{round}@example.com");
        let mut users = Vec::new();
        for name in ["a", "b"] {
            let user = latchkey.confirmed(&format!("race-{round}-{name}")).await;
            let token = latchkey.email_change_token(&user, &email).await;
            users.push((user, token));
        }
        let requests = users
            .iter()
            .map(|(user, token)| latchkey.confirm_email_change(user, token));
        let answers = all_at_once(requests).await;
        let won = answers.iter().filter(|answer| answer.status == 201);
        assert_eq!(won.count(), 1, "{answers:?}");
        for ((user, _), answer) in users.iter().zip(&answers) {
            let me = latchkey.by(user, "GET", ME).send().await.json();
            if answer.status == 201 {
                assert_eq!(me["email"], json!(email));
            } else {
                answer.is_refused(422, &["email.taken"]);
                assert_eq!(me["email"], json!(user.email));
                latchkey.signed_in(user).await;
            }
        }
    }
}

#[tokio::test]
async fn one_of_a_sign_up_and_a_change_to_one_address_gets_it() {
    let latchkey = Latchkey::start(&otp::FOR_RACES[1..]).await;
    for round in 0..4 {
        let email = format!("race-sign-up-{round}@example.com");
        let user = latchkey
            .confirmed(&format!("race-sign-up-by-{round}"))
            .await;
        let token = latchkey.email_change_token(&user, &email).await;
        let body = json!({ "email": email, "password": PASSWORD });
        let answers = all_at_once([
            latchkey.post("/identity/users").json(&body),
            latchkey.confirm_email_change(&user, &token),
        ])
        .await;
        let won = answers.iter().filter(|answer| answer.status == 201);
        assert_eq!(won.count(), 1, "{answers:?}");
        let refused = answers.iter().find(|answer| answer.status != 201).unwrap();
        refused.is_refused(422, &["email.taken"]);
    }
}

#[tokio::test]
async fn every_request_of_the_session_during_the_move_is_answered() {
    let latchkey = Latchkey::start(&otp::FOR_RACES[1..]).await;
    let user = latchkey.confirmed("race-session").await;
    for round in 0..4 {
        let email = format!("race-session-{round}@example.com");
        let token = latchkey.email_change_token(&user, &email).await;
        let confirm = latchkey.confirm_email_change(&user, &token);
        let reads = (0..8).flat_map(|_| {
            [
                latchkey.get(ME).cookie(&user.session),
                latchkey
                    .get("/auth/orders")
                    .header("x-original-method", "GET")
                    .cookie(&user.session),
            ]
        });
        let answers = all_at_once([confirm].into_iter().chain(reads)).await;
        assert_eq!(answers[0].status, 201, "{:?}", answers[0]);
        for answer in &answers[1..] {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_session_stays_with_its_user_if_another_one_signs_up_with_the_previous_address() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("race-previous").await;
    let token = latchkey
        .email_change_token(&user, "race-next@example.com")
        .await;
    let answer = latchkey.confirm_email_change(&user, &token).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let other = latchkey.signed_up("race-previous").await;
    assert_eq!(other.email, user.email);
    for (user, email) in [(&user, "race-next@example.com"), (&other, &other.email)] {
        let me = latchkey.by(user, "GET", ME).send().await.json();
        assert_eq!(
            (&me["email"], &me["uid"]),
            (&json!(email), &json!(user.uid))
        );
    }
}

#[tokio::test]
async fn a_confirmation_whose_answer_is_lost_succeeds_once() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    for (number, fault) in [Fault::AnswerLost, Fault::AnswerCut, Fault::BodyCut]
        .into_iter()
        .enumerate()
    {
        let user = latchkey.confirmed(&format!("lost-move-{number}")).await;
        let email = format!("lost-moved-{number}@example.com");
        let token = latchkey.email_change_token(&user, &email).await;
        faulty.fail("TransactWriteItems", 1, fault);
        let answer = latchkey.confirm_email_change(&user, &token).send().await;
        assert_eq!(
            (answer.status, answer.json()["email"].as_str()),
            (201, Some(email.as_str()))
        );
        assert_eq!(faulty.calls("TransactWriteItems"), 2);
        latchkey
            .mail_to(&user.email, 2, crate::harness::Mail::is_notice)
            .await;
        latchkey
            .confirm_email_change(&user, &token)
            .send()
            .await
            .is_refused(422, &["identity.user.utilized_token"]);
    }
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_counts_once() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.confirmed("lost-ask").await;
    for number in 0..5 {
        faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
        let email = format!("lost-ask-{number}@example.com");
        latchkey
            .change_email(&user, &email)
            .send()
            .await
            .is_empty(201);
    }
    faulty.heal();
    let answer = latchkey
        .change_email(&user, "lost-ask-9@example.com")
        .send()
        .await;
    assert_eq!(answer.status, 429, "{answer:?}");
}

#[tokio::test]
async fn a_confirmation_that_a_transaction_conflict_cancels_is_repeated() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.confirmed("conflict-move").await;
    let token = latchkey
        .email_change_token(&user, "conflict-moved@example.com")
        .await;
    // The second write is that of the new item: the address is not taken, another write holds it.
    let reasons = &["None", "TransactionConflict"];
    faulty.fail("TransactWriteItems", 1, Fault::Cancelled(reasons));
    let answer = latchkey.confirm_email_change(&user, &token).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn an_imported_address_without_a_valid_key_can_be_changed() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("race-imported").await;
    let earlier = "josé.imported@example.com";
    let mut item = latchkey.user_item(&user).await;
    for (name, value) in [
        ("pk", format!("USER#{earlier}")),
        ("email", "José.Imported@example.com".to_owned()),
    ] {
        item.insert(name.to_owned(), AttributeValue::S(value));
    }
    latchkey.restore_item(item).await;
    latchkey.delete_user(&user).await;
    latchkey.redirect_uid(&user, earlier).await;
    let user = User {
        email: "José.Imported@example.com".to_owned(),
        ..user
    };
    let user = latchkey.with_new_session(&user).await;

    let email = "jose.imported@example.com";
    let token = latchkey.email_change_token(&user, email).await;
    let answer = latchkey.confirm_email_change(&user, &token).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let stored = latchkey.stored().await;
    assert!(!stored.contains_key(&format!("UsersTable USER#{earlier} ")));
    let moved = User {
        email: email.to_owned(),
        ..user
    };
    latchkey.signed_in(&moved).await;
    let me = latchkey.by(&moved, "GET", ME).send().await;
    assert_eq!(me.json()["email"], json!(email));
}
