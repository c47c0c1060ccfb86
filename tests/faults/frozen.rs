//! Instances frozen by Lambda, whose connections ended in that time

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::harness::{Fault, Faulty, Lambda, User, event, otp};

/// Duration of a freeze, longer than the timeout of any call.
const FROZEN: Duration = Duration::from_secs(5);
/// The timeout of one attempt of a call. A faster answer did not wait for a dead connection.
const AT_ONCE: Duration = Duration::from_millis(1400);

fn me(user: &User) -> Value {
    by(user, "/resource/users/me")
}

/// A request to a function that fetches the token secret.
fn auth(user: &User) -> Value {
    by(user, "/auth/{proxy+}")
}

fn by(user: &User, path: &str) -> Value {
    let mut event = event("GET", path);
    event["requestContext"]["http"]["sourceIp"] = json!("127.0.0.1");
    event["headers"] = json!({ "authorization": format!("Bearer {}", user.session) });
    event
}

/// Freezes the process, ends its connections, thaws it and invokes it. Asserts a prompt answer.
async fn answers_at_once_after_a_freeze(faulty: &Faulty, lambda: &mut Lambda, event: Value) {
    lambda.freeze();
    faulty.hang_up();
    // The test needs real time to pass: timeouts expire during the freeze.
    sleep(FROZEN).await;
    faulty.heal();
    lambda.thaw();
    let thawed = Instant::now();
    let answer = lambda.invoke(event).await;
    let elapsed = thawed.elapsed();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let calls = (faulty.calls("GetSecretValue"), faulty.calls("BatchGetItem"));
    println!("after the freeze: {elapsed:?}, {calls:?}");
    assert!(elapsed < AT_ONCE, "{elapsed:?}, {calls:?}");
    // At most one retry for each of the two versions of the secret.
    assert!(calls.0 <= 4 && calls.1 <= 2, "{calls:?}");
}

async fn stack(name: &str) -> (Faulty, User) {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let user = faulty.latchkey.signed_up(name).await;
    for path in ["/resource/users/me", "/auth/orders"] {
        let request = faulty.latchkey.get(path).bearer(&user.session);
        assert_eq!(request.send().await.status, 200);
    }
    (faulty, user)
}

#[tokio::test]
async fn an_instance_frozen_while_it_fetches_the_secret_answers_at_once() {
    let (faulty, user) = stack("frozen-fetching").await;
    faulty.fail_always("GetSecretValue", Fault::Silence);
    let mut lambda = Lambda::start(&faulty, "auth").await;
    lambda.has_polled(1).await;
    faulty.called("GetSecretValue", 2).await;
    answers_at_once_after_a_freeze(&faulty, &mut lambda, auth(&user)).await;
}

#[tokio::test]
async fn an_instance_frozen_after_init_and_between_events_answers_at_once() {
    let (faulty, user) = stack("frozen-between").await;
    faulty.heal();
    let mut lambda = Lambda::start(&faulty, "auth").await;
    lambda.has_polled(1).await;
    faulty.called("GetSecretValue", 2).await;
    for events in 1..=3 {
        answers_at_once_after_a_freeze(&faulty, &mut lambda, auth(&user)).await;
        lambda.has_polled(events + 1).await;
    }
    // A function without the secret.
    let mut lambda = Lambda::start(&faulty, "user-me").await;
    lambda.has_polled(1).await;
    answers_at_once_after_a_freeze(&faulty, &mut lambda, me(&user)).await;
}
