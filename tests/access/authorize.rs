//! Authorizer of other HTTP APIs

use serde_json::{Value, json};
use shared::{
    platform::clock,
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};

use crate::harness::{Latchkey, User, event, forgeries, latchkey, now, number};

const FUNCTION: &str = "AuthorizeFunction";

/// A request to another API, as its API Gateway tells of it.
fn asked(method: &str, headers: Value) -> Value {
    let mut event = event(method, "/orders");
    event["type"] = json!("REQUEST");
    event["identitySource"] = json!(["127.0.0.1"]);
    event["requestContext"]["http"]["sourceIp"] = json!("127.0.0.1");
    event["headers"] = headers;
    event
}

fn with_cookie(method: &str, user: &User) -> Value {
    let mut event = asked(method, json!({}));
    event["cookies"] = json!(["theme=dark", format!("_barong_session={}", user.session)]);
    event
}

fn with_bearer(method: &str, token: &str) -> Value {
    asked(
        method,
        json!({ "authorization": format!("Bearer {token}") }),
    )
}

async fn refuses(latchkey: &Latchkey, user: &User, event: Value) {
    let before = latchkey.items_of(user).await;
    // Not a word of why.
    assert_eq!(
        latchkey.invoke(FUNCTION, event).await,
        Ok(json!({ "isAuthorized": false }))
    );
    assert_eq!(latchkey.items_of(user).await, before);
}

#[track_caller]
fn is_let_through(answer: Result<Value, String>) -> Value {
    let answer = answer.unwrap();
    assert_eq!(answer["isAuthorized"], true, "{answer}");
    answer["context"].clone()
}

#[tokio::test]
async fn who_is_signed_in_is_let_through_with_what_the_service_needs_to_know() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize").await;
    let mut in_the_headers = asked(
        "GET",
        json!({ "cookie": format!("a=b; _barong_session={}", user.session) }),
    );
    in_the_headers["cookies"] = Value::Null;
    let mut with_csrf = with_cookie("DELETE", &user);
    with_csrf["headers"]["x-csrf-token"] = json!(user.csrf_token);
    for event in [
        with_cookie("GET", &user),
        in_the_headers,
        with_bearer("GET", &user.session),
        with_bearer("POST", &user.session),
        with_csrf,
    ] {
        let mut context = is_let_through(latchkey.invoke(FUNCTION, event).await);
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
async fn who_is_not_signed_in_is_refused_without_a_reason() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize-out").await;
    let other = latchkey.signed_up("authorize-other").await;
    refuses(latchkey, &user, asked("GET", json!({}))).await;
    for (_, forged) in forgeries(&user.session, &other.session) {
        refuses(latchkey, &user, with_bearer("GET", &forged)).await;
    }
    let ended = latchkey.signed_in(&user).await;
    is_let_through(latchkey.invoke(FUNCTION, with_bearer("GET", &ended)).await);
    latchkey.sign_out(&ended).send().await.is_empty(204);
    refuses(latchkey, &user, with_bearer("GET", &ended)).await;
    latchkey.set_state(&user, "banned").await;
    refuses(latchkey, &user, with_cookie("GET", &user)).await;
}

#[tokio::test]
async fn an_access_token_opens_nothing_here() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize-kinds").await;
    let context = is_let_through(latchkey.invoke(FUNCTION, with_cookie("GET", &user)).await);
    refuses(
        latchkey,
        &user,
        with_bearer("GET", context["token"].as_str().unwrap()),
    )
    .await;
}

#[tokio::test]
async fn what_changes_something_needs_the_csrf_token_when_the_session_is_a_cookie() {
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
        is_let_through(latchkey.invoke(FUNCTION, event).await);
    }
}

#[tokio::test]
async fn a_session_that_another_client_uses_is_ended() {
    let latchkey = latchkey().await;
    for (name, change) in [
        ("agent", "/headers/user-agent"),
        ("address", "/requestContext/http/sourceIp"),
    ] {
        let user = latchkey.signed_up(&format!("authorize-{name}")).await;
        let mut event = with_cookie("GET", &user);
        event["headers"]["user-agent"] = json!("");
        *event.pointer_mut(change).unwrap() = json!("198.51.100.1");
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
async fn no_header_tells_where_the_client_is() {
    let latchkey = Latchkey::start(&[("IDENTITY_TRUSTED_PROXIES", "203.0.113.0/24")]).await;
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
async fn what_is_no_such_event_is_an_error_which_opens_nothing_and_quotes_nothing() {
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
                .is_err_and(|error| error.contains("no event of an authorizer")),
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
async fn headers_that_no_http_request_has_present_nothing() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize-headers").await;
    let bearer = format!("Bearer {}", user.session);
    for headers in [
        json!({ "": bearer, "author ization": bearer, "\u{e9}": bearer }),
        json!({ "authorization": format!("{bearer}\r\nx: y") }),
        json!({ "authorization": format!("{bearer}\u{1f40e}") }),
        Value::Null,
    ] {
        refuses(latchkey, &user, asked("GET", headers)).await;
    }
    let mut names_and_all = with_cookie("GET", &user);
    names_and_all["headers"] =
        json!({ "": "x", "a b": "\r\n", "x-odd": "\u{0}", "X-Upper": "\u{1f40e}" });
    is_let_through(latchkey.invoke(FUNCTION, names_and_all).await);
}

#[tokio::test]
async fn without_the_database_nobody_is_let_through_and_nobody_is_refused() {
    let latchkey = Latchkey::start(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")]).await;
    let signing_keys = SigningKeys::from_secrets(&latchkey.token_secret().await, None).unwrap();
    let now = clock::now();
    let claims = Claims::new(
        Purpose::Session,
        "a-session",
        "ID0123456789",
        "a@example.com",
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
async fn the_sample_events_are_understood_and_refused() {
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
async fn a_use_keeps_the_session_alive() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("authorize-touch").await;
    latchkey.age_session(&user, &user.session, 1700).await;
    let before = now();
    is_let_through(latchkey.invoke(FUNCTION, with_cookie("GET", &user)).await);
    let session = latchkey.session_item(&user, &user.session).await.unwrap();
    assert!(number(&session, "last_used_at") >= before);
}
