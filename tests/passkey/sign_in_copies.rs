//! Signature counters: copies of a passkey, and repeated requests

use serde_json::{Value, json};

use crate::harness::{Latchkey, Request, all_at_once, latchkey, number};

const REFUSED: &[&str] = &["identity.session.invalid_params"];

fn request(latchkey: &Latchkey, credential: &Value, state: &str) -> Request {
    latchkey
        .post("/identity/sessions/passkey")
        .json(&json!({ "credential": credential, "state": state }))
}

#[tokio::test]
async fn a_repeated_request_is_not_a_copy_of_the_passkey() {
    let latchkey = latchkey().await;
    let (user, mut authenticator) = latchkey.with_passkey("passkey-repeated").await;
    let ceremony = latchkey.passkey_request().await;
    let credential = authenticator.sign_in(&ceremony.options);
    let send = async || request(latchkey, &credential, &ceremony.state).send().await;
    assert_eq!(send().await.status, 201);
    for _ in 0..2 {
        send()
            .await
            .is_refused(422, &["identity.user.utilized_token"]);
    }
    let kinds = latchkey.kinds_of_mails(&user).await;
    assert!(!kinds.contains(&"passkey_clone_suspected".to_owned()));
}

#[tokio::test]
async fn a_counter_that_did_not_increase_is_refused_recorded_and_mailed_once_for_each_ceremony() {
    let latchkey = latchkey().await;
    let (user, mut authenticator) = latchkey.with_passkey("passkey-clone").await;
    let mut clone = authenticator.clone();
    for _ in 0..2 {
        let signed_in = latchkey.sign_in_with_passkey(&mut authenticator).await;
        assert_eq!(signed_in.send().await.status, 201);
    }
    let sessions = latchkey.session_ids(&user).await;
    let ceremony = latchkey.passkey_request().await;
    let credential = clone.sign_in(&ceremony.options);
    for _ in 0..3 {
        request(latchkey, &credential, &ceremony.state)
            .send()
            .await
            .is_refused(404, REFUSED);
    }
    let suspected = || async {
        let kinds = latchkey.kinds_of_mails(&user).await;
        let of_clone = kinds
            .iter()
            .filter(|kind| *kind == "passkey_clone_suspected");
        of_clone.count()
    };
    assert_eq!(suspected().await, 1);
    assert_eq!(latchkey.session_ids(&user).await, sessions);
    let failed = "login::passkey failed".to_owned();
    assert!(latchkey.activities(&user).await.contains(&failed));
    assert_eq!(number(&latchkey.passkey_item(&user).await, "sign_count"), 3);
    // The clone at another ceremony, now with the same counter.
    latchkey
        .sign_in_with_passkey(&mut clone)
        .await
        .send()
        .await
        .is_refused(404, REFUSED);
    assert_eq!(suspected().await, 2);
    // The owner's own authenticator still works.
    let signed_in = latchkey.sign_in_with_passkey(&mut authenticator).await;
    assert_eq!(signed_in.send().await.status, 201);
}

/// Two authenticators with one key sign at once, so both counters are higher than the stored one.
#[tokio::test]
async fn a_copy_that_loses_a_race_is_recorded_and_mailed() {
    const COPIES: usize = 4;
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.with_passkey("passkey-copies").await;
    let mut requests = Vec::new();
    for _ in 0..COPIES {
        let mut copy = authenticator.clone();
        requests.push(latchkey.sign_in_with_passkey(&mut copy).await);
    }
    let answers = all_at_once(requests).await;
    let (opened, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(opened.len(), 1);
    for answer in refused {
        answer.is_refused(404, REFUSED);
    }
    let kinds = latchkey.kinds_of_mails(&user).await;
    let suspected = kinds
        .iter()
        .filter(|kind| *kind == "passkey_clone_suspected");
    assert_eq!(suspected.count(), COPIES - 1);
    let failed = "login::passkey failed".to_owned();
    let activities = latchkey.activities(&user).await;
    let failed = activities.iter().filter(|one| **one == failed);
    assert_eq!(failed.count(), COPIES - 1);
}
