//! Contention in DynamoDB, which its emulator does not show: conflicts, throttled transactions and
//! partly executed batches

use serde_json::json;

use super::services::{is_unavailable, leads_to_503_without_effect};
use crate::harness::{Fault, Faulty, PASSWORD, User, eventually, otp};

const CONFLICT: Fault = Fault::Cancelled(&["TransactionConflict"]);
/// Transient cancellations, alone and with other reasons.
const TRANSIENT: [Fault; 6] = [
    CONFLICT,
    Fault::Cancelled(&["None", "TransactionConflict"]),
    Fault::Cancelled(&["ThrottlingError"]),
    Fault::Cancelled(&["None", "ProvisionedThroughputExceeded"]),
    Fault::Cancelled(&["TransactionConflict", "ThrottlingError"]),
    // The outcome is unknown: the condition of the first write was not evaluated.
    Fault::Cancelled(&["TransactionConflict", "ConditionalCheckFailed"]),
];
/// Number of retries that the time budget always allows.
const RETRIES: usize = 6;

async fn stack(name: &str) -> (Faulty, User) {
    let faulty = Faulty::start(&[
        otp::FOR_RACES[1],
        ("IDENTITY_REQUESTS_PER_MINUTE", "100000"),
    ])
    .await;
    let user = faulty.latchkey.signed_up(name).await;
    // The function `mail-send` calls the database too.
    let is_settled = async || {
        let mails = faulty.latchkey.queued_mails(&user).await;
        mails
            .iter()
            .all(|mail| mail.contains_key("settled_at"))
            .then_some(())
    };
    eventually("the mail is settled", is_settled).await;
    (faulty, user)
}

/// Whether the session is valid.
async fn is_valid(faulty: &Faulty, session: &str) -> bool {
    faulty
        .latchkey
        .get("/resource/users/me")
        .bearer(session)
        .send()
        .await
        .status
        == 200
}

#[tokio::test]
async fn a_transaction_succeeds_after_six_transient_cancellations() {
    let (faulty, user) = stack("contention-passing").await;
    for fault in TRANSIENT {
        let session = faulty.latchkey.signed_in(&user).await;
        faulty.fail("TransactWriteItems", RETRIES, fault);
        faulty
            .latchkey
            .sign_out(&session)
            .send()
            .await
            .is_empty(204);
        assert_eq!(faulty.calls("TransactWriteItems"), RETRIES + 1, "{fault:?}");
        assert!(!is_valid(&faulty, &session).await);
    }
}

#[tokio::test]
async fn all_attempts_of_a_transaction_have_the_same_token() {
    let (faulty, user) = stack("contention-token").await;
    faulty.fail("TransactWriteItems", 2, CONFLICT);
    faulty
        .latchkey
        .sign_out(&user.session)
        .send()
        .await
        .is_empty(204);
    let mut tokens: Vec<_> = faulty
        .requests("TransactWriteItems")
        .iter()
        .map(|request| request["ClientRequestToken"].to_string())
        .collect();
    tokens.dedup();
    assert_eq!(
        (faulty.calls("TransactWriteItems"), tokens.len()),
        (3, 1),
        "{tokens:?}"
    );
}

#[tokio::test]
async fn a_lost_answer_followed_by_a_conflict_is_still_a_success() {
    let (faulty, user) = stack("contention-lost-answer").await;
    let mut planned = vec![CONFLICT, Fault::AnswerLost];
    faulty.plan(move |operation| {
        if operation == "TransactWriteItems" {
            planned.pop()
        } else {
            None
        }
    });
    faulty
        .latchkey
        .sign_out(&user.session)
        .send()
        .await
        .is_empty(204);
    assert_eq!(faulty.calls("TransactWriteItems"), 3);
}

#[tokio::test]
async fn a_transaction_that_always_conflicts_leads_to_503_without_effect() {
    leads_to_503_without_effect(CONFLICT, &["TransactWriteItems"]).await;
}

#[tokio::test]
async fn a_transaction_that_is_always_cancelled_for_transient_reasons_leads_to_503() {
    let (faulty, user) = stack("contention-always").await;
    for fault in &TRANSIENT[1..] {
        faulty.fail_always("TransactWriteItems", *fault);
        is_unavailable(&faulty.latchkey.sign_out(&user.session).send().await);
        assert!(faulty.calls("TransactWriteItems") > RETRIES, "{fault:?}");
    }
    assert!(is_valid(&faulty, &user.session).await);
}

#[tokio::test]
async fn a_failed_condition_is_final_also_next_to_transient_reasons() {
    let (faulty, user) = stack("contention-lost").await;
    let token = faulty.latchkey.reset_token(&user).await;
    let sign_up = || {
        faulty.latchkey.post("/identity/users").form(&[
            ("email", "contention-new@example.com"),
            ("password", "Other-Horse-7-Battery"),
        ])
    };
    let reset = || faulty.latchkey.confirm(&token, "Other-Horse-7-Battery");
    for (fault, request, key) in [
        (
            Fault::Cancelled(&["ConditionalCheckFailed", "TransactionConflict"]),
            sign_up(),
            "email.taken",
        ),
        (
            Fault::Cancelled(&["None", "ConditionalCheckFailed", "ThrottlingError"]),
            reset(),
            "identity.user.utilized_token",
        ),
    ] {
        faulty.fail("TransactWriteItems", 1, fault);
        request.send().await.is_refused(422, &[key]);
        assert_eq!(faulty.calls("TransactWriteItems"), 1, "{fault:?}");
    }
    faulty.latchkey.signed_in(&user).await;
}

/// A reset whose user changed reads it again.
#[tokio::test]
async fn a_reset_that_conflicts_with_a_change_of_the_user_is_repeated() {
    let (faulty, user) = stack("contention-reset").await;
    let token = faulty.latchkey.reset_token(&user).await;
    faulty.fail(
        "TransactWriteItems",
        1,
        Fault::Cancelled(&["ConditionalCheckFailed"]),
    );
    faulty
        .latchkey
        .confirm(&token, "Other-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
    assert_eq!(faulty.calls("TransactWriteItems"), 2);
}

#[tokio::test]
async fn an_unknown_cancellation_reason_is_an_internal_error() {
    let (faulty, user) = stack("contention-unknown").await;
    for fault in [
        Fault::Cancelled(&["SomethingNew"]),
        Fault::Cancelled(&["SomethingNew", "ConditionalCheckFailed"]),
        Fault::Cancelled(&["TransactionConflict", "ValidationError"]),
        Fault::Cancelled(&["None"]),
    ] {
        faulty.fail("TransactWriteItems", 1, fault);
        faulty
            .latchkey
            .sign_out(&user.session)
            .send()
            .await
            .is_refused(500, &["server.internal_error"]);
        assert_eq!(faulty.calls("TransactWriteItems"), 1, "{fault:?}");
        assert!(is_valid(&faulty, &user.session).await);
    }
}

#[tokio::test]
async fn a_single_write_that_conflicts_with_a_transaction_is_retried() {
    let (faulty, user) = stack("contention-single").await;
    faulty.fail("UpdateItem", 2, Fault::Conflict);
    faulty.latchkey.signed_in(&user).await;
    assert_eq!(
        faulty.calls("UpdateItem"),
        4,
        "the client's counter and the account's"
    );
    leads_to_503_without_effect(Fault::Conflict, &["UpdateItem"]).await;
}

#[tokio::test]
async fn a_batch_of_writes_executed_in_parts_succeeds_and_writes_nothing_twice() {
    let (faulty, user) = stack("contention-writes").await;
    for fault in [Fault::SomeLeftOut, Fault::AllLeftOut] {
        faulty.fail("BatchWriteItem", 3, fault);
        let session = faulty.latchkey.signed_in(&user).await;
        assert!(is_valid(&faulty, &session).await);
        // The second sign-in also deletes the counter that the first one left unsettled.
        let sizes: Vec<usize> = faulty
            .requests("BatchWriteItem")
            .iter()
            .map(|request| {
                request["RequestItems"]["GrantsTable"]
                    .as_array()
                    .unwrap()
                    .len()
            })
            .collect();
        assert_eq!(
            sizes,
            if fault == Fault::AllLeftOut {
                [3, 3, 3, 3]
            } else {
                [2, 1, 1, 1]
            }
        );
    }
    assert_eq!(
        faulty.latchkey.activities(&user).await,
        ["signup succeed", "login succeed", "login succeed"]
    );
}

#[tokio::test]
async fn a_batch_of_writes_that_is_never_executed_leads_to_503_without_effect() {
    for fault in [Fault::SomeLeftOut, Fault::AllLeftOut] {
        leads_to_503_without_effect(fault, &["BatchWriteItem"]).await;
    }
}

#[tokio::test]
async fn a_batch_of_reads_executed_in_parts_succeeds() {
    let (faulty, user) = stack("contention-reads").await;
    // The instance reads the public keys once a minute.
    assert!(is_valid(&faulty, &user.session).await);
    for fault in [Fault::SomeLeftOut, Fault::AllLeftOut] {
        faulty.fail("BatchGetItem", RETRIES, fault);
        assert!(is_valid(&faulty, &user.session).await);
        assert_eq!(faulty.calls("BatchGetItem"), RETRIES + 1);
        let keys = |request: &serde_json::Value| {
            request["RequestItems"]
                .as_object()
                .unwrap()
                .values()
                .map(|table| table["Keys"].as_array().unwrap().len())
                .sum()
        };
        let sizes: Vec<usize> = faulty.requests("BatchGetItem").iter().map(keys).collect();
        assert_eq!(sizes[0], 2);
        assert!(
            sizes[1..]
                .iter()
                .all(|&size| size == if fault == Fault::AllLeftOut { 2 } else { 1 }),
            "{sizes:?}"
        );
    }
}

#[tokio::test]
async fn a_batch_of_reads_that_is_never_executed_leads_to_503_without_effect() {
    for fault in [Fault::SomeLeftOut, Fault::AllLeftOut] {
        leads_to_503_without_effect(fault, &["BatchGetItem"]).await;
    }
}

#[tokio::test]
async fn a_user_is_erased_completely_although_batches_are_executed_in_parts() {
    let (faulty, user) = stack("contention-erase").await;
    for _ in 0..4 {
        faulty.latchkey.signed_in(&user).await;
    }
    faulty.fail("BatchWriteItem", 3, Fault::SomeLeftOut);
    let answer = faulty
        .latchkey
        .invoke(
            "ManageUsersFunction",
            json!({ "action": "delete", "uid": user.uid }),
        )
        .await
        .unwrap();
    assert_eq!(answer["deleted"]["uid"], user.uid);
    assert!(
        faulty
            .latchkey
            .stored()
            .await
            .keys()
            .all(|key| !key.contains(&user.uid))
    );
    assert_eq!(
        faulty
            .latchkey
            .sign_in(&user.email, PASSWORD)
            .send()
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_confirmation_that_loses_a_race_does_not_count_as_a_wrong_password() {
    let (faulty, user) = stack("contention-confirm").await;
    let mail = faulty
        .latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    let fields = [
        ("token", mail.confirmation_token().unwrap()),
        ("password", PASSWORD),
    ];
    faulty.fail(
        "TransactWriteItems",
        1,
        Fault::Cancelled(&["ConditionalCheckFailed"]),
    );
    faulty
        .latchkey
        .post("/identity/users/email/confirm_code")
        .form(&fields)
        .send()
        .await
        .is_refused(422, &["identity.user.utilized_token"]);
    assert_eq!(faulty.latchkey.failures(&user.email).await, 0);
}
