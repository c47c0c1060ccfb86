//! What DynamoDB does under load and its emulator never: conflicts, throttled transactions, batches
//! that are done in part

use serde_json::json;

use super::services::{is_unavailable, loses_and_opens_nothing};
use crate::harness::{Fault, Faulty, PASSWORD, User, eventually, otp};

const CONFLICT: Fault = Fault::Cancelled(&["TransactionConflict"]);
/// What passes, alone and with other reasons.
const PASSING: [Fault; 6] = [
    CONFLICT,
    Fault::Cancelled(&["None", "TransactionConflict"]),
    Fault::Cancelled(&["ThrottlingError"]),
    Fault::Cancelled(&["None", "ProvisionedThroughputExceeded"]),
    Fault::Cancelled(&["TransactionConflict", "ThrottlingError"]),
    // Whether the first condition holds is not known, so the outcome is unknown.
    Fault::Cancelled(&["TransactionConflict", "ConditionalCheckFailed"]),
];
/// Retries that always fit into the budget.
const RETRIES: usize = 6;

async fn stack(name: &str) -> (Faulty, User) {
    let faulty = Faulty::start(&[
        otp::FOR_RACES[1],
        ("IDENTITY_REQUESTS_PER_MINUTE", "100000"),
    ])
    .await;
    let user = faulty.latchkey.signed_up(name).await;
    // The function that sends mails calls the database too.
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

/// Whether the session is one.
async fn is_live(faulty: &Faulty, session: &str) -> bool {
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
async fn a_transaction_that_loses_six_times_in_a_row_is_not_noticed() {
    let (faulty, user) = stack("contention-passing").await;
    for fault in PASSING {
        let session = faulty.latchkey.signed_in(&user).await;
        faulty.fail("TransactWriteItems", RETRIES, fault);
        faulty
            .latchkey
            .sign_out(&session)
            .send()
            .await
            .is_empty(204);
        assert_eq!(faulty.calls("TransactWriteItems"), RETRIES + 1, "{fault:?}");
        assert!(!is_live(&faulty, &session).await);
    }
}

#[tokio::test]
async fn all_tries_of_a_transaction_have_one_token() {
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
async fn a_lost_answer_and_then_a_conflict_are_still_a_success() {
    let (faulty, user) = stack("contention-lost-answer").await;
    let mut coming = vec![CONFLICT, Fault::AnswerLost];
    faulty.plan(move |operation| {
        if operation == "TransactWriteItems" {
            coming.pop()
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
async fn transactions_that_always_conflict_lose_and_open_nothing() {
    loses_and_opens_nothing(CONFLICT, &["TransactWriteItems"]).await;
}

#[tokio::test]
async fn transactions_that_always_fail_for_the_moment_are_unavailable() {
    let (faulty, user) = stack("contention-always").await;
    for fault in &PASSING[1..] {
        faulty.fail_always("TransactWriteItems", *fault);
        is_unavailable(&faulty.latchkey.sign_out(&user.session).send().await);
        assert!(faulty.calls("TransactWriteItems") > RETRIES, "{fault:?}");
    }
    assert!(is_live(&faulty, &user.session).await);
}

#[tokio::test]
async fn a_condition_that_is_known_to_be_lost_is_final_whatever_is_beside_it() {
    let (faulty, user) = stack("contention-lost").await;
    let token = faulty.latchkey.reset_token(&user).await;
    for (fault, status, key) in [
        (
            Fault::Cancelled(&["ConditionalCheckFailed", "TransactionConflict"]),
            404,
            "record.not_found",
        ),
        (
            Fault::Cancelled(&["None", "ConditionalCheckFailed", "ThrottlingError"]),
            422,
            "identity.user.utilized_token",
        ),
    ] {
        faulty.fail("TransactWriteItems", 1, fault);
        faulty
            .latchkey
            .confirm(&token, "Other-Horse-7-Battery")
            .send()
            .await
            .is_refused(status, &[key]);
        assert_eq!(faulty.calls("TransactWriteItems"), 1, "{fault:?}");
    }
    faulty.latchkey.signed_in(&user).await;
}

#[tokio::test]
async fn a_reason_that_is_not_known_is_neither_success_nor_a_lost_condition() {
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
        assert!(is_live(&faulty, &user.session).await);
    }
}

#[tokio::test]
async fn a_single_write_of_an_item_in_a_transaction_is_tried_again() {
    let (faulty, user) = stack("contention-single").await;
    faulty.fail("UpdateItem", 2, Fault::Conflict);
    faulty.latchkey.signed_in(&user).await;
    assert_eq!(
        faulty.calls("UpdateItem"),
        4,
        "the client's counter and the account's"
    );
    loses_and_opens_nothing(Fault::Conflict, &["UpdateItem"]).await;
}

#[tokio::test]
async fn a_batch_of_writes_that_is_done_in_parts_is_not_noticed_and_no_part_is_written_twice() {
    let (faulty, user) = stack("contention-writes").await;
    for fault in [Fault::SomeLeftOut, Fault::AllLeftOut] {
        faulty.fail("BatchWriteItem", 3, fault);
        let session = faulty.latchkey.signed_in(&user).await;
        assert!(is_live(&faulty, &session).await);
        // The second sign-in clears what the first left uncounted too.
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
async fn a_batch_of_writes_that_is_never_done_opens_nothing() {
    for fault in [Fault::SomeLeftOut, Fault::AllLeftOut] {
        loses_and_opens_nothing(fault, &["BatchWriteItem"]).await;
    }
}

#[tokio::test]
async fn a_batch_of_reads_that_is_done_in_parts_is_not_noticed() {
    let (faulty, user) = stack("contention-reads").await;
    for fault in [Fault::SomeLeftOut, Fault::AllLeftOut] {
        faulty.fail("BatchGetItem", RETRIES, fault);
        assert!(is_live(&faulty, &user.session).await);
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
async fn a_batch_of_reads_that_is_never_done_loses_and_opens_nothing() {
    for fault in [Fault::SomeLeftOut, Fault::AllLeftOut] {
        loses_and_opens_nothing(fault, &["BatchGetItem"]).await;
    }
}

#[tokio::test]
async fn a_user_is_erased_whole_although_batches_are_done_in_parts() {
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
