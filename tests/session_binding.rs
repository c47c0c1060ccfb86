//! The binding of sessions to their clients, and their idle expiry

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::harness::{Latchkey, User, event, latchkey, number};

const ME: &str = "/resource/users/me";
const INVALID: &str = "authz.invalid_session";
const OTHER_CLIENT: &str = "authz.client_session_mismatch";
const CHROME: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 \
                      (KHTML, like Gecko) Chrome/99.0.4844.51 Safari/537.36";
const UPDATED: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/605.1 \
                       (KHTML, like Gecko) Chrome/100.0.1 Safari/605";
const FIREFOX: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:99.0) Firefox/99.0";

/// A new session of the user, from this address.
async fn signed_in_at(latchkey: &Latchkey, user: &User, address: &str) -> User {
    let answer = latchkey
        .sign_in(&user.email, &user.password)
        .header("user-agent", CHROME)
        .send()
        .await;
    let person = User::from_answer(&answer, &user.password);
    latchkey
        .edit_session(user, &person.session, |item| {
            let address = AttributeValue::S(address.to_owned());
            drop(item.insert("user_ip".to_owned(), address));
        })
        .await;
    person
}

/// Status and error of `GET /resource/users/me` with the session, from a client.
async fn me(latchkey: &Latchkey, person: &User, address: &str, user_agent: &str) -> (u64, String) {
    let mut event = event("GET", ME);
    event["cookies"] = json!([format!("_barong_session={}", person.session)]);
    event["requestContext"]["http"]["sourceIp"] = json!(address);
    event["headers"]["user-agent"] = json!(user_agent);
    // The header must not replace the address that API Gateway reports.
    event["headers"]["x-forwarded-for"] = json!("127.0.0.1");
    let answer = latchkey.invoke("UserMeFunction", event).await.unwrap();
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let error = body["errors"][0].as_str().unwrap_or_default().to_owned();
    (answer["statusCode"].as_u64().unwrap(), error)
}

/// Asserts that the client is accepted, or that it ends the session.
async fn is_bound(
    latchkey: &Latchkey,
    user: &User,
    start: &str,
    client: (&str, &str),
    is_same: bool,
) {
    let person = signed_in_at(latchkey, user, start).await;
    let answer = me(latchkey, &person, client.0, client.1).await;
    if is_same {
        assert_eq!(answer, (200, String::new()), "{start} {client:?}");
        return;
    }
    let session = latchkey.session_item(user, &person.session).await;
    assert_eq!(
        (answer, session),
        ((401, OTHER_CLIENT.to_owned()), None),
        "{start} {client:?}"
    );
    let owner = me(latchkey, &person, start, CHROME).await;
    assert_eq!(owner, (401, INVALID.to_owned()));
}

#[tokio::test]
async fn by_default_browser_updates_and_other_networks_keep_the_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("bound-agent").await;
    for (client, is_same) in [
        (("198.51.100.7", CHROME), true),
        (("198.51.100.7", UPDATED), true),
        (("203.0.113.9", UPDATED), true),
        (("2001:db8::1", CHROME), true),
        (("198.51.100.7", FIREFOX), false),
        (("198.51.100.7", ""), false),
    ] {
        is_bound(latchkey, &user, "198.51.100.7", client, is_same).await;
    }
}

#[tokio::test]
async fn a_client_binding_requires_the_same_user_agent_and_network() {
    let latchkey = Latchkey::start(&[("IDENTITY_SESSION_BINDING", "client")]).await;
    let user = latchkey.signed_up("bound-client").await;
    for (start, client, is_same) in [
        ("198.51.100.7", ("198.51.100.7", CHROME), true),
        ("198.51.100.7", ("198.51.255.255", CHROME), true),
        ("198.51.100.7", ("198.52.100.7", CHROME), false),
        ("198.51.100.7", ("2001:db8::1", CHROME), false),
        ("198.51.100.7", ("127.0.0.1", CHROME), false),
        ("198.51.100.7", ("198.51.100.7", UPDATED), false),
        // IPv6 privacy addresses change in the last 64 bits.
        (
            "2001:db8:1:2:3:4:5:6",
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", CHROME),
            true,
        ),
        (
            "2001:db8:1:2:3:4:5:6",
            ("2001:db8:1:3:3:4:5:6", CHROME),
            false,
        ),
        ("2001:db8:1:2:3:4:5:6", ("198.51.100.7", CHROME), false),
    ] {
        is_bound(&latchkey, &user, start, client, is_same).await;
    }
}

#[tokio::test]
async fn without_a_binding_every_client_is_accepted() {
    let latchkey = Latchkey::start(&[("IDENTITY_SESSION_BINDING", "none")]).await;
    let user = latchkey.signed_up("bound-none").await;
    for client in [("203.0.113.9", FIREFOX), ("2001:db8::1", "")] {
        is_bound(&latchkey, &user, "198.51.100.7", client, true).await;
    }
}

#[tokio::test]
async fn a_session_in_use_does_not_idle_out() {
    for (idle, seconds) in [("60", 5), ("60", 59), ("300", 29), ("1800", 59)] {
        let latchkey = Latchkey::start(&[("IDENTITY_SESSION_EXPIRE_TIME", idle)]).await;
        let user = latchkey.signed_up("idle-used").await;
        for step in 1..=20 {
            latchkey.age_session(&user, &user.session, seconds).await;
            let answer = latchkey.get(ME).cookie(&user.session).send().await;
            assert_eq!(answer.status, 200, "{idle}: use {step}, every {seconds} s");
        }
    }
}

#[tokio::test]
async fn a_session_idles_out_after_the_idle_time_and_the_interval_of_records() {
    let latchkey = Latchkey::start(&[("IDENTITY_SESSION_EXPIRE_TIME", "600")]).await;
    let user = latchkey.signed_up("idle-out").await;
    // A use that is not recorded, and the whole idle time after it.
    latchkey.age_session(&user, &user.session, 57).await;
    let me = || latchkey.get(ME).cookie(&user.session);
    assert_eq!(me().send().await.status, 200);
    latchkey.age_session(&user, &user.session, 598).await;
    let item = latchkey.session_item(&user, &user.session).await.unwrap();
    assert!(
        crate::harness::now() - number(&item, "last_used_at") >= 655,
        "the use was recorded"
    );
    assert_eq!(me().send().await.status, 200);
    latchkey.age_session(&user, &user.session, 660).await;
    latchkey.refuses(&user, me(), 401, &[INVALID]).await;
}

#[tokio::test]
async fn a_session_may_last_ninety_days() {
    let days = |days: i64| days * 86_400;
    let latchkey = Latchkey::start(&[
        ("IDENTITY_SESSION_EXPIRE_TIME", "7776000"),
        ("IDENTITY_SESSION_MAX_AGE", "7776000"),
    ])
    .await;
    let user = latchkey.signed_up("ninety-days").await;
    let me = || latchkey.get(ME).cookie(&user.session);
    latchkey.age_session(&user, &user.session, days(89)).await;
    assert_eq!(me().send().await.status, 200);
    let answer = latchkey.sign_in(&user.email, &user.password).send().await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("Max-Age=7776000"), "{cookie}");
    latchkey
        .age_session(&user, &user.session, days(1) - 60)
        .await;
    assert_eq!(me().send().await.status, 200);
}
