//! Counters of attempts and requests

use super::{NOW, at_once, session_of, signed_up, store, succeeded};
use crate::{
    domain::{
        activity::Action,
        email_address::AccountKeys,
        rate_limit::{Failures, Limits},
        user::User,
    },
    platform::clock::Timestamp,
    store::{Attempt, Store, items::read, keys::failures_key},
};

const LIMITS: Limits = Limits {
    sign_in_free_attempts: 5,
    requests_per_minute: 60,
    mail_interval: 60,
    mails_per_hour: 5,
};

fn jane() -> AccountKeys {
    AccountKeys::of("jane@example.com")
}

/// A counted attempt, or the seconds of the back-off.
async fn attempt(store: &Store, account: &AccountKeys, now: Timestamp) -> Result<Attempt, i64> {
    store
        .count_attempt(account, None, &LIMITS, now)
        .await
        .map_err(|error| error.retry_after().expect("a wait"))
}

/// Counts this number of wrong attempts, which must all be permitted.
async fn failures(store: &Store, account: &AccountKeys, count: usize) {
    for _ in 0..count {
        let _wrong = attempt(store, account, NOW).await.expect("an attempt");
    }
}

/// Opens a session with this attempt.
async fn succeeds(store: &Store, user: &User, attempt: &Attempt) {
    store
        .open_session(
            &session_of(user),
            attempt,
            &succeeded(user, Action::Login, NOW),
        )
        .await
        .expect("a session");
}

async fn waits(store: &Store, account: &AccountKeys, now: Timestamp) -> Option<i64> {
    attempt(store, account, now).await.err()
}

async fn counted(store: &Store, account: &AccountKeys) -> Option<Failures> {
    let request = store
        .client
        .get_item()
        .table_name(&store.grants)
        .set_key(Some(failures_key(account.account())));
    let item = request
        .consistent_read(true)
        .send()
        .await
        .expect("an answer")
        .item;
    item.map(|item| read(item).expect("a counter"))
}

#[tokio::test]
async fn five_wrong_attempts_are_free_and_the_sixth_starts_a_back_off() {
    let store = store().await;
    failures(&store, &jane(), 6).await;
    assert_eq!(waits(&store, &jane(), NOW).await, Some(1));
    assert_eq!(
        counted(&store, &jane()).await.expect("a counter").count,
        6,
        "an attempt during the back-off is not counted"
    );
    let _seventh = attempt(&store, &jane(), NOW + 1).await.expect("an attempt");
    assert_eq!(waits(&store, &jane(), NOW + 1).await, Some(2));
    assert_eq!(waits(&store, &jane(), NOW + 2).await, Some(1));
}

#[tokio::test]
async fn concurrent_attempts_are_permitted_in_the_same_number_as_sequential_ones() {
    let store = store().await;
    // Attempts are counted in the same way for addresses without an account.
    signed_up(&store, "jane@example.com").await;
    for address in ["jane@example.com", "unknown@example.com", "no address"] {
        let account = AccountKeys::of(address);
        for (round, permitted) in [6, 1, 1].into_iter().enumerate() {
            let now = NOW + 60 * i64::try_from(round).expect("a number");
            let outcomes = at_once(20, |_| {
                let store = store.clone();
                let account = account.clone();
                async move { attempt(&store, &account, now).await.map(drop) }
            })
            .await;
            assert_eq!(
                outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
                permitted,
                "{address}: {outcomes:?}"
            );
            let wait = 1 << round;
            assert!(
                outcomes
                    .iter()
                    .all(|outcome| outcome.is_ok() || *outcome == Err(wait)),
                "{address}: {outcomes:?}"
            );
        }
        assert_eq!(
            counted(&store, &account)
                .await
                .map(|failures| failures.count),
            Some(8),
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_refunded_free_attempt_does_not_count() {
    let store = store().await;
    failures(&store, &jane(), 4).await;
    for _ in 0..10 {
        let right = attempt(&store, &jane(), NOW).await.expect("an attempt");
        store.refund(&right).await.expect("an answer");
        assert_eq!(
            counted(&store, &jane()).await.expect("a counter").count,
            4,
            "a refund does not clear the counter"
        );
    }
    failures(&store, &jane(), 2).await;
    assert_eq!(waits(&store, &jane(), NOW).await, Some(1));
}

#[tokio::test]
async fn a_refund_of_an_attempt_that_starts_a_back_off_ends_the_back_off() {
    let store = store().await;
    failures(&store, &jane(), 5).await;
    for _ in 0..3 {
        let before = counted(&store, &jane()).await;
        let right = attempt(&store, &jane(), NOW).await.expect("an attempt");
        assert_eq!(waits(&store, &jane(), NOW).await, Some(1));
        store.refund(&right).await.expect("an answer");
        assert_eq!(counted(&store, &jane()).await, before);
    }
    failures(&store, &jane(), 1).await;
    let right = attempt(&store, &jane(), NOW + 1).await.expect("an attempt");
    store.refund(&right).await.expect("an answer");
    let _wrong = attempt(&store, &jane(), NOW + 1).await.expect("an attempt");
    assert_eq!(waits(&store, &jane(), NOW + 1).await, Some(2));
}

#[tokio::test]
async fn concurrent_refunded_attempts_do_not_change_the_count() {
    let store = store().await;
    failures(&store, &jane(), 2).await;
    at_once(20, |_| {
        let store = store.clone();
        async move {
            // Some attempts are rejected while others are pending.
            if let Ok(right) = attempt(&store, &jane(), NOW).await {
                store.refund(&right).await.expect("an answer");
            }
        }
    })
    .await;
    assert_eq!(counted(&store, &jane()).await.expect("a counter").count, 2);
    assert_eq!(waits(&store, &jane(), NOW).await, None);
}

#[tokio::test]
async fn a_refund_after_a_success_does_not_create_a_counter() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let free = attempt(&store, &jane(), NOW).await.expect("an attempt");
    let other = attempt(&store, &jane(), NOW).await.expect("an attempt");
    succeeds(&store, &user, &other).await;
    assert_eq!(counted(&store, &jane()).await, None);
    store.refund(&free).await.expect("an answer");
    assert_eq!(counted(&store, &jane()).await, None);
    failures(&store, &jane(), 5).await;
    let waiting = attempt(&store, &jane(), NOW).await.expect("an attempt");
    succeeds(
        &store,
        &user,
        &attempt(&store, &jane(), NOW + 1).await.expect("an attempt"),
    )
    .await;
    store.refund(&waiting).await.expect("an answer");
    assert_eq!(counted(&store, &jane()).await, None);
}

#[tokio::test]
async fn a_sign_in_clears_only_the_count_of_its_address() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let other = signed_up(&store, "john@example.com").await;
    failures(&store, &jane(), 6).await;
    failures(&store, &other.email.account_keys(), 6).await;
    succeeds(
        &store,
        &user,
        &attempt(&store, &jane(), NOW + 1).await.expect("an attempt"),
    )
    .await;
    assert_eq!(counted(&store, &jane()).await, None);
    failures(&store, &jane(), 6).await;
    assert_eq!(
        waits(&store, &other.email.account_keys(), NOW).await,
        Some(1)
    );
}

#[tokio::test]
async fn a_sole_success_keeps_its_counter_and_does_not_count_later() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    for round in 0..3 {
        let now = NOW + 900 * round;
        succeeds(
            &store,
            &user,
            &attempt(&store, &jane(), now).await.expect("an attempt"),
        )
        .await;
        assert_eq!(
            counted(&store, &jane())
                .await
                .map(|failures| failures.count),
            Some(1)
        );
    }
    let now = NOW + 1801;
    let outcomes = at_once(20, |_| {
        let store = store.clone();
        async move { attempt(&store, &jane(), now).await.map(drop) }
    })
    .await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        6,
        "five attempts are free, the sixth starts a back-off"
    );
    assert_eq!(attempt(&store, &jane(), now).await.err(), Some(1));
    let left = counted(&store, &jane()).await.expect("a counter");
    assert_eq!((left.count, left.pending), (6, None));
    // The next success deletes the counter.
    succeeds(
        &store,
        &user,
        &attempt(&store, &jane(), now + 1).await.expect("an attempt"),
    )
    .await;
    assert_eq!(counted(&store, &jane()).await, None);
}

#[tokio::test]
async fn a_first_attempt_that_was_wrong_or_refunded_is_not_a_success() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    store
        .refund(&attempt(&store, &jane(), NOW).await.expect("an attempt"))
        .await
        .expect("an answer");
    let right = attempt(&store, &jane(), NOW).await.expect("an attempt");
    succeeds(&store, &user, &right).await;
    assert_eq!(
        counted(&store, &jane()).await,
        None,
        "the pending attempt of the counter is the refunded one"
    );
    failures(&store, &jane(), 6).await;
    assert_eq!(attempt(&store, &jane(), NOW).await.err(), Some(1));
}

#[tokio::test]
async fn failures_are_forgotten_after_15_minutes_without_an_attempt() {
    let store = store().await;
    failures(&store, &jane(), 4).await;
    let _fifth = attempt(&store, &jane(), NOW + 899)
        .await
        .expect("an attempt");
    assert_eq!(counted(&store, &jane()).await.expect("a counter").count, 5);
    let _first = attempt(&store, &jane(), NOW + 899 + 900)
        .await
        .expect("an attempt");
    assert_eq!(counted(&store, &jane()).await.expect("a counter").count, 1);
    // After a back-off, the 15 minutes begin when the back-off ends.
    let other = &AccountKeys::of("john@example.com");
    failures(&store, other, 6).await;
    let _seventh = attempt(&store, other, NOW + 900).await.expect("an attempt");
    assert_eq!(counted(&store, other).await.expect("a counter").count, 7);
    let _first = attempt(&store, other, NOW + 900 + 2 + 900)
        .await
        .expect("an attempt");
    assert_eq!(counted(&store, other).await.expect("a counter").count, 1);
}

#[tokio::test]
async fn a_refund_after_the_15_minutes_does_not_remove_another_attempt() {
    let store = store().await;
    failures(&store, &jane(), 4).await;
    let later = NOW + 900;
    let right = attempt(&store, &jane(), later).await.expect("an attempt");
    let _wrong = attempt(&store, &jane(), later).await.expect("an attempt");
    store.refund(&right).await.expect("an answer");
    let left = counted(&store, &jane()).await.expect("a counter");
    assert_eq!(
        (left.count, left.retry_at, left.expires_at),
        (1, later.milliseconds(), later + 900)
    );
}

#[tokio::test]
async fn nothing_is_counted_if_the_limits_are_0() {
    let store = store().await;
    let off = Limits {
        sign_in_free_attempts: 0,
        requests_per_minute: 0,
        ..LIMITS
    };
    for _ in 0..100 {
        let attempt = store
            .count_attempt(&jane(), None, &off, NOW)
            .await
            .expect("an attempt");
        store.refund(&attempt).await.expect("an answer");
        store
            .count_request("192.0.2.1", &off, NOW)
            .await
            .expect("a request");
    }
    assert_eq!(counted(&store, &jane()).await, None);
}

#[tokio::test]
async fn sixty_of_64_concurrent_requests_of_an_address_are_permitted() {
    let store = store().await;
    let now = NOW + 18;
    let request = async |network: &str, now| {
        store
            .count_request(network, &LIMITS, now)
            .await
            .err()
            .and_then(|error| error.retry_after())
    };
    let outcomes = at_once(64, |_| {
        let store = store.clone();
        async move {
            store
                .count_request("192.0.2.1", &LIMITS, now)
                .await
                .err()
                .and_then(|error| error.retry_after())
        }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|wait| wait.is_none()).count(), 60);
    // The delay ends with the calendar minute.
    assert!(
        outcomes
            .iter()
            .all(|wait| wait.is_none() || *wait == Some(42)),
        "{outcomes:?}"
    );
    assert_eq!(request("192.0.2.1", NOW + 59).await, Some(1));
    assert_eq!(request("192.0.2.1", NOW + 60).await, None);
    assert_eq!(request("192.0.2.2", now).await, None);
}
