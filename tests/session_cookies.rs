//! The cookies of a request, at every operation that reads the session

use serde_json::{Value, json};

use crate::harness::{
    Answer, Latchkey, Request, bearer_of, event, latchkey, session_id, signed_in_operations,
};

const ME: &str = "/resource/users/me";
const SIGN_OUT: &str = "/identity/sessions";
const INVALID: &str = "authz.invalid_session";

/// A `Cookie` header with the sessions, in this order.
fn sessions(tokens: &[&str]) -> String {
    let cookies: Vec<String> = tokens
        .iter()
        .map(|token| format!("_barong_session={token}"))
        .collect();
    cookies.join("; ")
}

fn with_cookies(latchkey: &Latchkey, method: &str, path: &str, cookies: &[u8]) -> Request {
    latchkey
        .request(method.parse().unwrap(), path)
        .header("cookie", cookies)
        // As a gateway states the method to `/auth`.
        .header("x-original-method", method)
}

/// The decision of the Lambda authorizer about a request with these cookies.
async fn is_authorized(latchkey: &Latchkey, method: &str, cookies: &[&str], csrf: &str) -> bool {
    let mut event = event(method, "/orders");
    event["cookies"] = json!(cookies);
    event["headers"] = json!({ "x-csrf-token": csrf });
    let answer: Value = latchkey.invoke("AuthorizeFunction", event).await.unwrap();
    answer["isAuthorized"].as_bool().unwrap()
}

/// The id of the session that counts for a request.
fn current(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    let listed = answer.json();
    let current = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|session| session["current"] == true);
    current.unwrap()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn no_other_cookie_hides_the_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("cookie-other").await;
    let own = sessions(&[&user.session]);
    for other in [
        "city=Köln".as_bytes(),
        b"city=K\xf6ln",
        "a=\u{1f40e}".as_bytes(),
        b"a=\"x; y\"",
        b"a",
        b"=",
        b";;",
        b"_barong_session",
        b"_barong_session=",
    ] {
        for cookies in [
            [other, b"; ", own.as_bytes()].concat(),
            [own.as_bytes(), b"; ", other].concat(),
        ] {
            for (method, path) in [("GET", ME), ("GET", "/auth/x")] {
                let answer = with_cookies(latchkey, method, path, &cookies).send().await;
                assert_eq!(
                    answer.status,
                    200,
                    "{method} {path} {}",
                    String::from_utf8_lossy(&cookies)
                );
            }
        }
        let other = String::from_utf8_lossy(other);
        assert!(is_authorized(latchkey, "GET", &[&other, &own], "").await);
        assert!(is_authorized(latchkey, "GET", &[&own, &other], "").await);
    }
    for (method, path) in signed_in_operations() {
        let person = latchkey.with_new_session(&user).await;
        let cookies = format!("city=Köln; {}", sessions(&[&person.session]));
        let answer = with_cookies(latchkey, &method, &path, cookies.as_bytes())
            .csrf(&person.csrf_token)
            .send()
            .await;
        assert!(answer.status < 500 && answer.status != 401, "{answer:?}");
    }
    let cookies = format!(
        "city=Köln; {}",
        sessions(&[&latchkey.signed_in(&user).await])
    );
    with_cookies(latchkey, "DELETE", SIGN_OUT, cookies.as_bytes())
        .send()
        .await
        .is_empty(204);
}

#[tokio::test]
async fn a_stale_cookie_neither_shuts_a_user_out_nor_signs_them_in_as_someone_else() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("cookie-stale").await;
    let other = latchkey.signed_up("cookie-stale-other").await;
    let [ended, expired] = [
        latchkey.signed_in(&user).await,
        latchkey.signed_in(&user).await,
    ];
    latchkey.sign_out(&ended).send().await.is_empty(204);
    latchkey.age_session(&user, &expired, 1861).await;
    latchkey.sign_out(&other.session).send().await.is_empty(204);
    for stale in [&ended, &expired, &other.session, &"forged".to_owned()] {
        for order in [[stale, &user.session], [&user.session, stale]] {
            let cookies = sessions(&order.map(String::as_str));
            for (method, path) in [("GET", ME), ("GET", "/auth/x"), ("POST", "/auth/x")] {
                let answer = with_cookies(latchkey, method, path, cookies.as_bytes())
                    .csrf(&user.csrf_token)
                    .send()
                    .await;
                assert_eq!(answer.status, 200, "{method} {path} {answer:?}");
            }
            let me = with_cookies(latchkey, "GET", ME, cookies.as_bytes());
            assert_eq!(me.send().await.json()["uid"], user.uid);
            let cookies = order.map(|token| sessions(&[token]));
            let cookies = [cookies[0].as_str(), cookies[1].as_str()];
            assert!(is_authorized(latchkey, "POST", &cookies, &user.csrf_token).await);
        }
    }
}

#[tokio::test]
async fn of_several_sessions_the_one_of_the_csrf_token_counts_else_the_newest() {
    let latchkey = latchkey().await;
    let first = latchkey.signed_up("cookie-several").await;
    latchkey.age_session(&first, &first.session, 100).await;
    let second = latchkey.with_new_session(&first).await;
    latchkey.age_session(&second, &second.session, 50).await;
    let newest = latchkey.with_new_session(&first).await;
    let cookies = sessions(&[&second.session, &newest.session, &first.session]);
    let list = || with_cookies(latchkey, "GET", "/resource/sessions", cookies.as_bytes());
    assert_eq!(current(&list().send().await), session_id(&newest.session));
    assert_eq!(
        current(&list().csrf("wrong").send().await),
        session_id(&newest.session)
    );
    for person in [&first, &second, &newest] {
        let answer = list().csrf(&person.csrf_token).send().await;
        assert_eq!(current(&answer), session_id(&person.session));
        bearer_of(
            &with_cookies(latchkey, "POST", "/auth/x", cookies.as_bytes())
                .csrf(&person.csrf_token)
                .send()
                .await,
        );
    }
    for (csrf_token, key) in [
        ("", "authz.missing_csrf_token"),
        ("wrong", "authz.csrf_token_mismatch"),
    ] {
        for path in ["/resource/sessions", "/auth/x"] {
            let request = with_cookies(latchkey, "DELETE", path, cookies.as_bytes());
            latchkey
                .refuses(&first, request.csrf(csrf_token), 401, &[key])
                .await;
        }
    }
    // The operation ends all other sessions, and keeps the one of the CSRF token.
    with_cookies(latchkey, "DELETE", "/resource/sessions", cookies.as_bytes())
        .csrf(&second.csrf_token)
        .send()
        .await
        .is_empty(204);
    assert_eq!(current(&list().send().await), session_id(&second.session));
}

#[tokio::test]
async fn live_sessions_of_two_users_are_refused() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("cookie-two").await;
    let other = latchkey.signed_up("cookie-two-other").await;
    for order in [
        [&user.session, &other.session],
        [&other.session, &user.session],
    ] {
        let cookies = sessions(&order.map(String::as_str));
        for (method, path) in signed_in_operations()
            .into_iter()
            .chain([("GET".to_owned(), "/auth/x".to_owned())])
        {
            let request = with_cookies(latchkey, &method, &path, cookies.as_bytes());
            latchkey
                .refuses(&user, request.csrf(&user.csrf_token), 401, &[INVALID])
                .await;
        }
        let cookies = order.map(|token| sessions(&[token]));
        let cookies = [cookies[0].as_str(), cookies[1].as_str()];
        assert!(!is_authorized(latchkey, "GET", &cookies, "").await);
    }
    // A bearer token is considered alone.
    let cookies = sessions(&[&user.session, &other.session]);
    let answer = with_cookies(latchkey, "GET", ME, cookies.as_bytes())
        .bearer(&user.session)
        .send()
        .await;
    assert_eq!(answer.json()["uid"], user.uid);
}

#[tokio::test]
async fn a_sign_out_ends_every_session_that_it_presents() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("cookie-out").await;
    let other = latchkey.signed_up("cookie-out-other").await;
    let second = latchkey.signed_in(&user).await;
    let kept = latchkey.signed_in(&user).await;
    let cookies = sessions(&["forged", &user.session, &other.session, &second]);
    let sign_out = || with_cookies(latchkey, "DELETE", SIGN_OUT, cookies.as_bytes());
    // With a bearer token, only that session.
    let bearer = latchkey.signed_in(&user).await;
    sign_out().bearer(&bearer).send().await.is_empty(204);
    assert_eq!(latchkey.session_item(&user, &bearer).await, None);
    for (person, session) in [
        (&user, &user.session),
        (&user, &second),
        (&other, &other.session),
    ] {
        assert!(latchkey.session_item(person, session).await.is_some());
    }
    let answer = sign_out().send().await;
    answer.is_empty(204);
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    for (person, session) in [
        (&user, &user.session),
        (&user, &second),
        (&other, &other.session),
    ] {
        assert_eq!(latchkey.session_item(person, session).await, None);
        let activities = latchkey.activities(person).await;
        assert!(activities.contains(&"logout succeed".to_owned()));
    }
    assert!(latchkey.session_item(&user, &kept).await.is_some());
    let (status, key) = (404, "identity.session.not_found");
    latchkey.refuses(&user, sign_out(), status, &[key]).await;
}

#[tokio::test]
async fn the_cookie_header_and_the_cookies_of_an_event_count_alike() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("cookie-event").await;
    let own = sessions(&[&user.session]);
    for (cookies, header) in [
        (json!([own]), Value::Null),
        (json!(["city=Köln", own, "a=\u{1}"]), Value::Null),
        (json!(["city=Köln"]), json!(own)),
        (json!([]), json!(own)),
        (Value::Null, json!(format!("a=b; {own}"))),
    ] {
        for (function, method, path) in [
            ("UserMeFunction", "GET", ME),
            ("AuthFunction", "ANY", "/auth/{proxy+}"),
            ("AuthorizeFunction", "GET", "/orders"),
        ] {
            let mut event = event(method, path);
            event["requestContext"]["http"]["method"] = json!("GET");
            event["headers"] = match &header {
                Value::Null => json!({ "x-original-method": "GET" }),
                header => json!({ "cookie": header, "x-original-method": "GET" }),
            };
            event["cookies"] = cookies.clone();
            let answer = latchkey.invoke(function, event).await.unwrap();
            assert!(
                answer["isAuthorized"] == true || answer["statusCode"] == 200,
                "{function} {cookies} {header}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn the_sessions_of_several_cookies_are_read_in_one_round_trip() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("cookie-trips").await;
    let more = [
        latchkey.signed_in(&user).await,
        latchkey.signed_in(&user).await,
    ];
    let cookies = sessions(&[&user.session, &more[0], "forged", &more[1], &more[1]]);
    for _ in 0..2 {
        let me = with_cookies(&latchkey, "GET", ME, cookies.as_bytes());
        assert_eq!(me.send().await.status, 200);
    }
    // The first request also reads the public keys.
    for line in latchkey.invocations("user-me", "answered", 2).await {
        assert_eq!(line["round_trips"], 1, "{line}");
    }
}
