//! The Lambda authorizer of other HTTP APIs

use serde_json::{Value, json};
use shared::{
    domain::{email_address::AccountKey, token_id::TokenId, user::Uid},
    platform::clock,
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};

use crate::harness::{Latchkey, User, event, forgeries, latchkey, now, number};

const FUNCTION: &str = "AuthorizeFunction";

/// The event of a request to another API.
fn authorizer_event(method: &str, headers: Value) -> Value {
    let mut event = event(method, "/orders");
    event["type"] = json!("REQUEST");
    event["identitySource"] = json!(["127.0.0.1"]);
    event["requestContext"]["http"]["sourceIp"] = json!("127.0.0.1");
    event["headers"] = headers;
    event
}

fn with_cookie(method: &str, user: &User) -> Value {
    let mut event = authorizer_event(method, json!({}));
    event["cookies"] = json!(["theme=dark", format!("_barong_session={}", user.session)]);
    event
}

fn with_bearer(method: &str, token: &str) -> Value {
    authorizer_event(
        method,
        json!({ "authorization": format!("Bearer {token}") }),
    )
}

async fn refuses(latchkey: &Latchkey, user: &User, event: Value) {
    let before = latchkey.items_of(user).await;
    // The response gives no reason.
    assert_eq!(
        latchkey.invoke(FUNCTION, event).await,
        Ok(json!({ "isAuthorized": false }))
    );
    assert_eq!(latchkey.items_of(user).await, before);
}

#[track_caller]
fn is_allowed(answer: Result<Value, String>) -> Value {
    let answer = answer.unwrap();
    assert_eq!(answer["isAuthorized"], true, "{answer}");
    answer["context"].clone()
}

#[tokio::test]
async fn a_valid_session_is_allowed_with_the_user_in_the_context() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize").await;
    let mut cookie_in_headers = authorizer_event(
        "GET",
        json!({ "cookie": format!("a=b; _barong_session={}", user.session) }),
    );
    cookie_in_headers["cookies"] = Value::Null;
    let mut with_csrf = with_cookie("DELETE", &user);
    with_csrf["headers"]["x-csrf-token"] = json!(user.csrf_token);
    for event in [
        with_cookie("GET", &user),
        cookie_in_headers,
        with_bearer("GET", &user.session),
        with_bearer("POST", &user.session),
        with_csrf,
    ] {
        let mut context = is_allowed(latchkey.invoke(FUNCTION, event).await);
        let token = context["token"].take();
        let expected = json!({ "uid": user.uid, "email": user.email, "role": "member", "level": 0, "state": "pending", "token": null });
        assert_eq!(context, expected);
        let claims = latchkey
            .verified(token.as_str().unwrap())
            .await
            .expect("a genuine token");
        assert_eq!(claims["uid"], user.uid);
    }
}

#[tokio::test]
async fn a_request_without_a_valid_session_is_denied_without_a_reason() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize-out").await;
    let other = latchkey.signed_up("authorize-other").await;
    refuses(latchkey, &user, authorizer_event("GET", json!({}))).await;
    for (_, forged) in forgeries(&user.session, &other.session) {
        refuses(latchkey, &user, with_bearer("GET", &forged)).await;
    }
    let ended = latchkey.signed_in(&user).await;
    is_allowed(latchkey.invoke(FUNCTION, with_bearer("GET", &ended)).await);
    latchkey.sign_out(&ended).send().await.is_empty(204);
    refuses(latchkey, &user, with_bearer("GET", &ended)).await;
    latchkey.set_state(&user, "banned").await;
    refuses(latchkey, &user, with_cookie("GET", &user)).await;
}

#[tokio::test]
async fn an_access_token_does_not_work_as_a_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize-kinds").await;
    let context = is_allowed(latchkey.invoke(FUNCTION, with_cookie("GET", &user)).await);
    refuses(
        latchkey,
        &user,
        with_bearer("GET", context["token"].as_str().unwrap()),
    )
    .await;
}

#[tokio::test]
async fn a_state_changing_request_with_a_cookie_requires_the_csrf_token() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize-csrf").await;
    let other = latchkey.signed_up("authorize-csrf-2").await;
    for method in [
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "QUERY",
        "get",
        "",
        "no method",
    ] {
        let mut event = with_cookie(method, &user);
        refuses(latchkey, &user, event.clone()).await;
        event["headers"]["x-csrf-token"] = json!(other.csrf_token);
        refuses(latchkey, &user, event.clone()).await;
        event["headers"]["x-csrf-token"] = json!(user.csrf_token);
        is_allowed(latchkey.invoke(FUNCTION, event).await);
    }
}

#[tokio::test]
async fn a_request_from_another_client_ends_the_session() {
    let latchkey = Latchkey::start(&[("IDENTITY_SESSION_BINDING", "client")]).await;
    for (name, change, value) in [
        ("agent", "/headers/user-agent", "Other/2"),
        ("address", "/requestContext/http/sourceIp", "198.51.100.1"),
    ] {
        let user = latchkey.signed_up(&format!("authorize-{name}")).await;
        let mut event = with_cookie("GET", &user);
        event["headers"]["user-agent"] = json!("");
        is_allowed(latchkey.invoke(FUNCTION, event.clone()).await);
        *event.pointer_mut(change).unwrap() = json!(value);
        assert_eq!(
            latchkey.invoke(FUNCTION, event).await,
            Ok(json!({ "isAuthorized": false }))
        );
        assert_eq!(
            latchkey.session_item(&user, &user.session).await,
            None,
            "{name}"
        );
    }
}

#[tokio::test]
async fn by_default_another_network_is_allowed_and_another_user_agent_is_not() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize-agent-binding").await;
    let mut event = with_cookie("GET", &user);
    event["requestContext"]["http"]["sourceIp"] = json!("198.51.100.1");
    is_allowed(latchkey.invoke(FUNCTION, event.clone()).await);
    event["headers"]["user-agent"] = json!("Other/2");
    assert_eq!(
        latchkey.invoke(FUNCTION, event).await,
        Ok(json!({ "isAuthorized": false }))
    );
    assert_eq!(latchkey.session_item(&user, &user.session).await, None);
}

#[tokio::test]
async fn the_forwarded_address_is_ignored() {
    let variables = [
        ("IDENTITY_TRUSTED_PROXIES", "203.0.113.0/24"),
        ("IDENTITY_SESSION_BINDING", "client"),
    ];
    let latchkey = Latchkey::start(&variables).await;
    let user = latchkey.signed_up("authorize-proxy").await;
    let mut event = with_cookie("GET", &user);
    event["requestContext"]["http"]["sourceIp"] = json!("203.0.113.7");
    event["headers"]["x-forwarded-for"] = json!("127.0.0.1, 203.0.113.7");
    assert_eq!(
        latchkey.invoke(FUNCTION, event).await,
        Ok(json!({ "isAuthorized": false }))
    );
}

#[tokio::test]
async fn a_malformed_event_is_an_error_that_quotes_nothing() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("authorize-odd").await;
    let before = latchkey.items_of(&user).await;
    let without = |pointer: &str, name: &str| {
        let mut event = with_cookie("GET", &user);
        event
            .pointer_mut(pointer)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(name);
        event
    };
    let with = |pointer: &str, value: Value| {
        let mut event = with_cookie("GET", &user);
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    for event in [
        json!(null),
        json!([]),
        json!("event"),
        json!({}),
        without("", "requestContext"),
        without("/requestContext/http", "sourceIp"),
        without("/requestContext/http", "method"),
        with("/requestContext/http/sourceIp", Value::Null),
        with("/cookies", json!(user.session)),
        with("/headers", json!(user.session)),
        with("/headers", json!({ "authorization": [user.session] })),
    ] {
        let answer = latchkey.invoke(FUNCTION, event.clone()).await;
        assert!(
            answer
                .as_ref()
                .is_err_and(|error| error.contains("not an authorizer event")),
            "{event}: {answer:?}"
        );
    }
    assert_eq!(latchkey.items_of(&user).await, before);
    assert!(
        latchkey
            .log()
            .iter()
            .all(|line| !line.contains(&user.session))
    );
}

#[tokio::test]
async fn headers_with_invalid_names_or_values_are_ignored() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize-headers").await;
    let bearer = format!("Bearer {}", user.session);
    for headers in [
        json!({ "": bearer, "author ization": bearer, "\u{e9}": bearer }),
        json!({ "authorization": format!("{bearer}\r\nx: y") }),
        json!({ "authorization": format!("{bearer}\u{1f40e}") }),
        Value::Null,
    ] {
        refuses(latchkey, &user, authorizer_event("GET", headers)).await;
    }
    let mut with_invalid_headers = with_cookie("GET", &user);
    with_invalid_headers["headers"] =
        json!({ "": "x", "a b": "\r\n", "x-odd": "\u{0}", "X-Upper": "\u{1f40e}" });
    is_allowed(latchkey.invoke(FUNCTION, with_invalid_headers).await);
}

#[tokio::test]
async fn without_the_database_the_invocation_fails_instead_of_a_decision() {
    let latchkey = Latchkey::start(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")]).await;
    let signing_keys = SigningKeys::from_secrets(&latchkey.token_secret().await, None).unwrap();
    let now = clock::now();
    let claims = Claims::new(
        Purpose::Session,
        TokenId::generate(),
        Uid::parse("ID0123456789").unwrap(),
        AccountKey::of("a@example.com"),
        now,
        now + 60,
    );
    let event = with_bearer("GET", &signing_keys.sign(&claims).unwrap());
    let answer = latchkey.invoke(FUNCTION, event).await;
    assert!(
        answer
            .as_ref()
            .is_err_and(|error| error.contains("Reported")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn the_sample_events_are_parsed_and_denied() {
    let latchkey = latchkey().await;
    for name in ["authorize", "authorize-bearer"] {
        let file = crate::harness::workspace().join(format!("events/{name}.json"));
        let event = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(
            latchkey.invoke(FUNCTION, event).await,
            Ok(json!({ "isAuthorized": false })),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_request_extends_the_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize-touch").await;
    latchkey.age_session(&user, &user.session, 1700).await;
    let before = now();
    is_allowed(latchkey.invoke(FUNCTION, with_cookie("GET", &user)).await);
    let session = latchkey.session_item(&user, &user.session).await.unwrap();
    assert!(number(&session, "last_used_at") >= before);
}
