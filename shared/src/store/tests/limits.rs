//! Counters of what is tried.

use super::{NOW, at_once, done, session_of, signed_up, store};
use crate::{
    domain::{
        activity::Action,
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
const JANE: &str = "jane@example.com";

/// Lets an attempt through, or tells the wait.
async fn attempt(store: &Store, address: &str, now: Timestamp) -> Result<Attempt, i64> {
    store
        .count_attempt(address, &LIMITS, now)
        .await
        .map_err(|error| error.retry_after().expect("a wait"))
}

/// As many wrong attempts, which are all let through.
async fn failures(store: &Store, address: &str, count: usize) {
    for _ in 0..count {
        let _wrong = attempt(store, address, NOW).await.expect("an attempt");
    }
}

async fn succeeds(store: &Store, user: &User, attempt: &Attempt) {
    store
        .open_session(&session_of(user), attempt, &done(user, Action::Login, NOW))
        .await
        .expect("a session");
}

async fn waits(store: &Store, address: &str, now: Timestamp) -> Option<i64> {
    attempt(store, address, now).await.err()
}

async fn counted(store: &Store, address: &str) -> Option<Failures> {
    let request = store
        .client
        .get_item()
        .table_name(&store.grants)
        .set_key(Some(failures_key(address)));
    let item = request
        .consistent_read(true)
        .send()
        .await
        .expect("an answer")
        .item;
    item.map(|item| read(item).expect("a counter"))
}

#[tokio::test]
async fn five_wrong_attempts_are_free_and_the_sixth_starts_a_wait() {
    let store = store().await;
    failures(&store, JANE, 6).await;
    assert_eq!(waits(&store, JANE, NOW).await, Some(1));
    assert_eq!(
        counted(&store, JANE).await.expect("a counter").count,
        6,
        "what waits is not counted"
    );
    let _seventh = attempt(&store, JANE, NOW + 1).await.expect("an attempt");
    assert_eq!(waits(&store, JANE, NOW + 1).await, Some(2));
    assert_eq!(waits(&store, JANE, NOW + 2).await, Some(1));
}

#[tokio::test]
async fn of_twenty_attempts_at_once_as_many_are_let_through_as_one_after_the_other() {
    let store = store().await;
    // Addresses count alike whether or not they have an account.
    signed_up(&store, JANE).await;
    for address in [JANE, "nobody@example.com", "no address"] {
        for (round, let_through) in [6, 1, 1].into_iter().enumerate() {
            let now = NOW + 60 * i64::try_from(round).expect("a number");
            let outcomes = at_once(20, |_| {
                let store = store.clone();
                async move { attempt(&store, address, now).await.map(drop) }
            })
            .await;
            assert_eq!(
                outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
                let_through,
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
            counted(&store, address)
                .await
                .map(|failures| failures.count),
            Some(8),
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_free_attempt_that_is_taken_back_does_not_count() {
    let store = store().await;
    failures(&store, JANE, 4).await;
    for _ in 0..10 {
        let right = attempt(&store, JANE, NOW).await.expect("an attempt");
        store.refund(&right).await.expect("an answer");
        assert_eq!(
            counted(&store, JANE).await.expect("a counter").count,
            4,
            "nor does it reset"
        );
    }
    failures(&store, JANE, 2).await;
    assert_eq!(waits(&store, JANE, NOW).await, Some(1));
}

#[tokio::test]
async fn an_attempt_that_starts_a_wait_is_taken_back_with_its_wait() {
    let store = store().await;
    failures(&store, JANE, 5).await;
    for _ in 0..3 {
        let before = counted(&store, JANE).await;
        let right = attempt(&store, JANE, NOW).await.expect("an attempt");
        assert_eq!(waits(&store, JANE, NOW).await, Some(1));
        store.refund(&right).await.expect("an answer");
        assert_eq!(counted(&store, JANE).await, before);
    }
    failures(&store, JANE, 1).await;
    let right = attempt(&store, JANE, NOW + 1).await.expect("an attempt");
    store.refund(&right).await.expect("an answer");
    let _wrong = attempt(&store, JANE, NOW + 1).await.expect("an attempt");
    assert_eq!(waits(&store, JANE, NOW + 1).await, Some(2));
}

#[tokio::test]
async fn right_attempts_at_once_leave_the_count_as_it_was() {
    let store = store().await;
    failures(&store, JANE, 2).await;
    at_once(20, |_| {
        let store = store.clone();
        async move {
            // Some may have to wait while others are looked at.
            if let Ok(right) = attempt(&store, JANE, NOW).await {
                store.refund(&right).await.expect("an answer");
            }
        }
    })
    .await;
    assert_eq!(counted(&store, JANE).await.expect("a counter").count, 2);
    assert_eq!(waits(&store, JANE, NOW).await, None);
}

#[tokio::test]
async fn what_is_taken_back_after_a_success_makes_no_counter() {
    let store = store().await;
    let user = signed_up(&store, JANE).await;
    let free = attempt(&store, JANE, NOW).await.expect("an attempt");
    let other = attempt(&store, JANE, NOW).await.expect("an attempt");
    succeeds(&store, &user, &other).await;
    assert_eq!(counted(&store, JANE).await, None);
    store.refund(&free).await.expect("an answer");
    assert_eq!(counted(&store, JANE).await, None);
    failures(&store, JANE, 5).await;
    let waiting = attempt(&store, JANE, NOW).await.expect("an attempt");
    succeeds(
        &store,
        &user,
        &attempt(&store, JANE, NOW + 1).await.expect("an attempt"),
    )
    .await;
    store.refund(&waiting).await.expect("an answer");
    assert_eq!(counted(&store, JANE).await, None);
}

#[tokio::test]
async fn a_sign_in_clears_the_count_of_its_address_alone() {
    let store = store().await;
    let user = signed_up(&store, JANE).await;
    let other = signed_up(&store, "john@example.com").await;
    failures(&store, JANE, 6).await;
    failures(&store, &other.email.key(), 6).await;
    succeeds(
        &store,
        &user,
        &attempt(&store, JANE, NOW + 1).await.expect("an attempt"),
    )
    .await;
    assert_eq!(counted(&store, JANE).await, None);
    failures(&store, JANE, 6).await;
    assert_eq!(waits(&store, &other.email.key(), NOW).await, Some(1));
}

#[tokio::test]
async fn a_success_that_comes_first_is_left_where_it_is_and_does_not_count() {
    let store = store().await;
    let user = signed_up(&store, JANE).await;
    for round in 0..3 {
        let now = NOW + 900 * round;
        succeeds(
            &store,
            &user,
            &attempt(&store, JANE, now).await.expect("an attempt"),
        )
        .await;
        assert_eq!(
            counted(&store, JANE).await.map(|failures| failures.count),
            Some(1)
        );
    }
    let now = NOW + 1801;
    let outcomes = at_once(20, |_| {
        let store = store.clone();
        async move { attempt(&store, JANE, now).await.map(drop) }
    })
    .await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        6,
        "five are free, the sixth starts a wait"
    );
    assert_eq!(attempt(&store, JANE, now).await.err(), Some(1));
    let left = counted(&store, JANE).await.expect("a counter");
    assert_eq!((left.count, left.unsettled), (6, None));
    // The next one clears all of it.
    succeeds(
        &store,
        &user,
        &attempt(&store, JANE, now + 1).await.expect("an attempt"),
    )
    .await;
    assert_eq!(counted(&store, JANE).await, None);
}

#[tokio::test]
async fn a_first_attempt_that_was_wrong_or_taken_back_is_no_success() {
    let store = store().await;
    let user = signed_up(&store, JANE).await;
    store
        .refund(&attempt(&store, JANE, NOW).await.expect("an attempt"))
        .await
        .expect("an answer");
    let right = attempt(&store, JANE, NOW).await.expect("an attempt");
    succeeds(&store, &user, &right).await;
    assert_eq!(
        counted(&store, JANE).await,
        None,
        "it was not known for the only one"
    );
    failures(&store, JANE, 6).await;
    assert_eq!(attempt(&store, JANE, NOW).await.err(), Some(1));
}

#[tokio::test]
async fn failures_are_forgotten_after_fifteen_quiet_minutes() {
    let store = store().await;
    failures(&store, JANE, 4).await;
    let _fifth = attempt(&store, JANE, NOW + 899).await.expect("an attempt");
    assert_eq!(counted(&store, JANE).await.expect("a counter").count, 5);
    let _first = attempt(&store, JANE, NOW + 899 + 900)
        .await
        .expect("an attempt");
    assert_eq!(counted(&store, JANE).await.expect("a counter").count, 1);
    // After a wait the quiet time begins when the wait is over.
    let other = "john@example.com";
    failures(&store, other, 6).await;
    let _seventh = attempt(&store, other, NOW + 900).await.expect("an attempt");
    assert_eq!(counted(&store, other).await.expect("a counter").count, 7);
    let _first = attempt(&store, other, NOW + 900 + 2 + 900)
        .await
        .expect("an attempt");
    assert_eq!(counted(&store, other).await.expect("a counter").count, 1);
}

#[tokio::test]
async fn an_attempt_that_is_taken_back_after_the_quiet_time_takes_no_other_along() {
    let store = store().await;
    failures(&store, JANE, 4).await;
    let later = NOW + 900;
    let right = attempt(&store, JANE, later).await.expect("an attempt");
    let _wrong = attempt(&store, JANE, later).await.expect("an attempt");
    store.refund(&right).await.expect("an answer");
    let left = counted(&store, JANE).await.expect("a counter");
    assert_eq!(
        (left.count, left.retry_at, left.expires_at),
        (1, later.milliseconds(), later + 900)
    );
}

#[tokio::test]
async fn a_limit_of_0_counts_nothing() {
    let store = store().await;
    let off = Limits {
        sign_in_free_attempts: 0,
        requests_per_minute: 0,
        ..LIMITS
    };
    for _ in 0..100 {
        let attempt = store
            .count_attempt(JANE, &off, NOW)
            .await
            .expect("an attempt");
        store.refund(&attempt).await.expect("an answer");
        store
            .count_request("192.0.2.1", &off, NOW)
            .await
            .expect("a request");
    }
    assert_eq!(counted(&store, JANE).await, None);
}

#[tokio::test]
async fn of_sixty_four_requests_of_an_address_at_once_sixty_are_let_through() {
    let store = store().await;
    let now = NOW + 18;
    let request = async |address: &str, now| {
        store
            .count_request(address, &LIMITS, now)
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
    // Until the minute is over.
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
