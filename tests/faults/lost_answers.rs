//! Lost answers of DynamoDB: the function retries the executed call and still reports success

use crate::harness::{Fault, Faulty, Mail, PASSWORD, User, otp};

const OTHER: &str = "Other-Horse-7-Battery";

async fn stack() -> Faulty {
    Faulty::start(&otp::FOR_RACES[1..]).await
}

/// Whether the user can sign in with a password.
async fn opens(faulty: &Faulty, user: &User, password: &str) -> bool {
    faulty
        .latchkey
        .sign_in(&user.email, password)
        .send()
        .await
        .status
        == 201
}

#[tokio::test]
async fn a_retried_reset_succeeds_and_its_code_works_once() {
    let faulty = stack().await;
    for (number, fault) in [Fault::AnswerLost, Fault::AnswerCut, Fault::BodyCut]
        .into_iter()
        .enumerate()
    {
        let user = faulty
            .latchkey
            .signed_up(&format!("lost-reset-{number}"))
            .await;
        let token = faulty.latchkey.reset_token(&user).await;
        faulty.fail("TransactWriteItems", 1, fault);
        faulty
            .latchkey
            .confirm(&token, OTHER)
            .send()
            .await
            .is_empty(201);
        assert_eq!(faulty.calls("TransactWriteItems"), 2);
        assert!(opens(&faulty, &user, OTHER).await);
        faulty
            .latchkey
            .mail_to(&user.email, 1, Mail::is_notice)
            .await;
        faulty
            .latchkey
            .confirm(&token, PASSWORD)
            .send()
            .await
            .is_refused(422, &["identity.user.utilized_token"]);
    }
}

#[tokio::test]
async fn a_retried_sign_up_does_not_find_its_own_address_taken() {
    let faulty = stack().await;
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    let user = faulty.latchkey.signed_up("lost-sign-up").await;
    assert!(opens(&faulty, &user, PASSWORD).await);
    faulty.latchkey.mail_to(&user.email, 1, |_| true).await;
}

#[tokio::test]
async fn a_retried_sign_in_opens_one_session() {
    let faulty = stack().await;
    let user = faulty.latchkey.signed_up("lost-sign-in").await;
    faulty.fail("BatchWriteItem", 1, Fault::AnswerLost);
    let session = faulty.latchkey.signed_in(&user).await;
    assert_eq!(faulty.calls("BatchWriteItem"), 2);
    assert!(
        faulty
            .latchkey
            .session_item(&user, &session)
            .await
            .is_some()
    );
    assert_eq!(faulty.latchkey.session_ids(&user).await.len(), 2);
}

#[tokio::test]
async fn a_retried_sign_in_does_not_find_its_own_code_used() {
    let faulty = stack().await;
    let user = faulty.latchkey.signed_up("lost-otp").await;
    faulty.latchkey.set_otp_secret(&user, otp::SECRET).await;
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    let code = otp::code(otp::step());
    let fields = [
        ("email", user.email.as_str()),
        ("password", PASSWORD),
        ("otp_code", &code),
    ];
    assert_eq!(
        faulty
            .latchkey
            .post("/identity/sessions")
            .form(&fields)
            .send()
            .await
            .status,
        201
    );
    faulty
        .latchkey
        .post("/identity/sessions")
        .form(&fields)
        .send()
        .await
        .is_refused(403, &["identity.session.invalid_otp"]);
}

#[tokio::test]
async fn a_retried_addition_and_removal_of_a_passkey_succeed_once() {
    let faulty = stack().await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.confirmed("lost-key").await;
    let ceremony = latchkey.passkey_creation(&user).await;
    let credential = latchkey.authenticator().register(&ceremony.options);
    let create = || latchkey.create_passkey(&user, &ceremony, &credential);
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    let passkey = create().send().await;
    assert_eq!(passkey.status, 201, "{passkey:?}");
    assert_eq!(faulty.calls("TransactWriteItems"), 2);
    assert_eq!(latchkey.passkeys(&user).await, [passkey.json()]);
    let utilized = ["identity.user.utilized_token"];
    create().send().await.is_refused(422, &utilized);

    let id = passkey.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/resource/passkeys/{id}");
    let remove = || latchkey.by(&user, "DELETE", &path);
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    remove().send().await.is_empty(204);
    assert_eq!(faulty.calls("TransactWriteItems"), 2);
    let not_found = ["record.not_found"];
    remove().send().await.is_refused(404, &not_found);
    assert!(latchkey.passkey_items(&user).await.is_empty());
    latchkey.mail_to(&user.email, 2, Mail::is_notice).await;
}

#[tokio::test]
async fn a_retried_sign_in_with_a_passkey_does_not_find_its_own_state_used() {
    let faulty = stack().await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.confirmed("lost-passkey").await;
    let mut authenticator = latchkey.authenticator();
    latchkey.add_passkey(&user, &mut authenticator).await;
    let ceremony = latchkey.passkey_request().await;
    let credential = authenticator.sign_in(&ceremony.options);
    let request = || {
        latchkey
            .post("/identity/sessions/passkey")
            .json(&ceremony.body(&credential))
    };
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    let answer = request().send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(faulty.calls("TransactWriteItems"), 2);
    let session = answer.session();
    assert!(latchkey.session_item(&user, &session).await.is_some());
    request()
        .send()
        .await
        .is_refused(422, &["identity.user.utilized_token"]);
}

#[tokio::test]
async fn a_sign_in_with_a_passkey_that_the_database_refuses_can_be_repeated() {
    let faulty = stack().await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.confirmed("refused-passkey").await;
    let mut authenticator = latchkey.authenticator();
    latchkey.add_passkey(&user, &mut authenticator).await;
    let ceremony = latchkey.passkey_request().await;
    let credential = authenticator.sign_in(&ceremony.options);
    let request = || {
        latchkey
            .post("/identity/sessions/passkey")
            .json(&ceremony.body(&credential))
    };
    for operation in ["BatchGetItem", "TransactWriteItems"] {
        faulty.fail_always(operation, Fault::Throttled);
        request()
            .send()
            .await
            .is_refused(503, &["server.unavailable"]);
        faulty.heal();
    }
    assert_eq!(request().send().await.status, 201);
}

#[tokio::test]
async fn a_retried_sign_out_succeeds() {
    let faulty = stack().await;
    let user = faulty.latchkey.signed_up("lost-sign-out").await;
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    faulty
        .latchkey
        .sign_out(&user.session)
        .send()
        .await
        .is_empty(204);
}

#[tokio::test]
async fn a_retried_confirmation_does_not_find_its_own_code_used() {
    let faulty = stack().await;
    let user = faulty.latchkey.signed_up("lost-confirmation").await;
    let mail = faulty.latchkey.mail_to(&user.email, 1, |_| true).await;
    let fields = [("token", mail.confirmation_token().unwrap())];
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    let answer = faulty
        .latchkey
        .post("/identity/users/email/confirm_code")
        .form(&fields)
        .cookie(&user.session)
        .send()
        .await;
    assert_eq!(
        (answer.status, answer.json()["state"].as_str()),
        (201, Some("active"))
    );
}

#[tokio::test]
async fn a_retried_password_change_succeeds() {
    let faulty = stack().await;
    let user = faulty.latchkey.signed_up("lost-change").await;
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    faulty
        .latchkey
        .change_password(&user, PASSWORD, OTHER)
        .send()
        .await
        .is_empty(201);
    assert_eq!(faulty.calls("TransactWriteItems"), 2);
    assert!(opens(&faulty, &user, OTHER).await);
}

#[tokio::test]
async fn a_retried_closing_of_an_account_succeeds() {
    let faulty = stack().await;
    let (user, authenticator) = faulty.latchkey.enrolled("lost-closing").await;
    let code = authenticator.code();
    let fields = [("password", PASSWORD), ("otp_code", code.as_str())];
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    faulty
        .latchkey
        .by(&user, "DELETE", "/resource/users/me")
        .form(&fields)
        .send()
        .await
        .is_empty(200);
    assert_eq!(faulty.calls("TransactWriteItems"), 2);
    let activities = faulty.latchkey.activities(&user).await;
    assert_eq!(activities.last().unwrap(), "close account succeed");
}

#[tokio::test]
async fn a_retried_erasure_of_an_account_succeeds() {
    let faulty = stack().await;
    let user = faulty.latchkey.closed("lost-erasure").await;
    faulty.latchkey.age_closing(&user, 31).await;
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    let event = serde_json::json!({});
    let summary = faulty.latchkey.invoke("AccountEraseFunction", event).await;
    assert_eq!(summary.unwrap()["erased"], 1);
    let stored = faulty.latchkey.stored().await;
    assert!(!stored.keys().any(|key| key.contains(&user.uid)));
}

#[tokio::test]
async fn a_retried_update_of_the_data_is_recorded_once() {
    let faulty = stack().await;
    let user = faulty.latchkey.signed_up("lost-update").await;
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    let update = faulty.latchkey.by(&user, "PUT", "/resource/users/me");
    let answer = update.form(&[("data", "{}")]).send().await;
    assert_eq!(
        (answer.status, faulty.calls("TransactWriteItems")),
        (201, 2)
    );
    let expected = ["signup succeed", "update data succeed"];
    assert_eq!(faulty.latchkey.activities(&user).await, expected);
}

#[tokio::test]
async fn a_retried_creation_of_a_label_does_not_find_its_own_key_taken() {
    let faulty = stack().await;
    let user = faulty.latchkey.signed_up("lost-label").await;
    for (method, path, status, activity) in [
        ("POST", "/resource/labels", 201, "create label succeed"),
        (
            "PATCH",
            "/resource/labels/theme",
            200,
            "update label succeed",
        ),
        (
            "DELETE",
            "/resource/labels/theme",
            204,
            "delete label succeed",
        ),
    ] {
        faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
        let request = faulty.latchkey.by(&user, method, path);
        let answer = request
            .form(&[("key", "theme"), ("value", "dark")])
            .send()
            .await;
        assert_eq!(
            (answer.status, faulty.calls("TransactWriteItems")),
            (status, 2)
        );
        let recorded = faulty.latchkey.activities(&user).await;
        assert_eq!(recorded.iter().filter(|one| *one == activity).count(), 1);
    }
}

#[tokio::test]
async fn a_retried_take_back_lowers_the_count_once() {
    let faulty = stack().await;
    let user = faulty.latchkey.signed_up("lost-take-back").await;
    for _ in 0..3 {
        assert!(!opens(&faulty, &user, OTHER).await);
    }
    faulty.latchkey.set_state(&user, "banned").await;
    let mut seen = 0;
    faulty.plan(move |operation| {
        // The rejection is recorded by another kind of write.
        seen += usize::from(operation == "TransactWriteItems");
        (operation == "TransactWriteItems" && seen == 1).then_some(Fault::AnswerLost)
    });
    faulty
        .latchkey
        .sign_in(&user.email, PASSWORD)
        .send()
        .await
        .is_refused(401, &["identity.session.banned"]);
    assert_eq!(faulty.calls("TransactWriteItems"), 2);
    assert_eq!(faulty.latchkey.failures(&user.email).await, 3);
}

#[tokio::test]
async fn a_retried_claim_of_a_mail_sends_the_mail() {
    let faulty = stack().await;
    faulty.fail("UpdateItem", 1, Fault::AnswerLost);
    let user = faulty.latchkey.signed_up("lost-claim").await;
    faulty.latchkey.mail_to(&user.email, 1, |_| true).await;
}

#[tokio::test]
async fn a_wrong_password_counts_once_or_twice() {
    let faulty = stack().await;
    let user = faulty.latchkey.signed_up("lost-count").await;
    faulty.fail("UpdateItem", 2, Fault::AnswerLost);
    faulty
        .latchkey
        .sign_in(&user.email, OTHER)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    assert!((1..=2).contains(&faulty.latchkey.failures(&user.email).await));
}
