//! Concurrent additions of passkeys with each other and with other changes of the account

use crate::harness::{
    Latchkey, Request, User, all_at_once, latchkey,
    passkeys::{Authenticator, LIMIT},
};

/// A request that adds a passkey, with another state.
async fn addition(latchkey: &Latchkey, user: &User) -> (Request, Authenticator) {
    let mut authenticator = latchkey.authenticator();
    let ceremony = latchkey.passkey_creation(user).await;
    let credential = authenticator.register(&ceremony.options);
    let request = latchkey.create_passkey(user, &ceremony, &credential);
    (request, authenticator)
}

#[tokio::test]
async fn concurrent_additions_of_different_passkeys_all_succeed() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-two").await;
    let mut requests = Vec::new();
    for _ in 0..4 {
        requests.push(addition(latchkey, &user).await.0);
    }
    for answer in all_at_once(requests).await {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!(latchkey.passkeys(&user).await.len(), 4);
}

#[tokio::test]
async fn of_sixteen_concurrent_additions_to_nineteen_passkeys_exactly_one_succeeds() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-nineteen").await;
    let mut requests = Vec::new();
    for _ in 0..16 {
        requests.push(addition(latchkey, &user).await.0);
    }
    latchkey.add_passkeys(&user, LIMIT - 1).await;
    let answers = all_at_once(requests).await;
    let (added, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(added.len(), 1);
    for answer in refused {
        answer.is_refused(422, &["resource.passkey.limit"]);
    }
    assert_eq!(latchkey.passkeys(&user).await.len(), LIMIT);
    assert_eq!(latchkey.passkey_items(&user).await.len(), LIMIT);
}

#[tokio::test]
async fn a_passkey_that_is_added_while_the_account_is_closed_does_not_survive() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-closing-race").await;
    let (request, mut authenticator) = addition(latchkey, &user).await;
    let answers = all_at_once([request, latchkey.close(&user)]).await;
    assert!([201, 401].contains(&answers[0].status), "{answers:?}");
    answers[1].is_empty(200);
    assert!(latchkey.passkey_items(&user).await.is_empty());
    let signed_in = latchkey.sign_in_with_passkey(&mut authenticator).await;
    let refused = ["identity.session.invalid_params"];
    signed_in.send().await.is_refused(404, &refused);
}

#[tokio::test]
async fn a_passkey_that_is_added_during_a_reset_does_not_survive_it() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-reset-race").await;
    let token = latchkey.reset_token(&user).await;
    let (request, _) = addition(latchkey, &user).await;
    let reset = latchkey.confirm(&token, "Other-Horse-7-Battery");
    let answers = all_at_once([request, reset]).await;
    assert!([201, 401].contains(&answers[0].status), "{answers:?}");
    answers[1].is_empty(201);
    // The reset ended the session, so that the addition fails if it comes later.
    assert!(latchkey.passkey_items(&user).await.is_empty());
    assert!(!latchkey.user_item(&user).await.contains_key("passkeys"));
}

#[tokio::test]
async fn a_passkey_that_is_added_during_a_change_of_the_address_is_kept() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("key-move").await;
    let token = latchkey
        .email_change_token(&user, "key-moved@example.com")
        .await;
    let (request, mut authenticator) = addition(latchkey, &user).await;
    let moved = latchkey.confirm_email_change(&user, &token);
    for answer in all_at_once([request, moved]).await {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let signed_in = latchkey.sign_in_with_passkey(&mut authenticator).await;
    let answer = signed_in.send().await;
    assert_eq!(answer.json()["email"], "key-moved@example.com");
}
