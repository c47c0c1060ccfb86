//! `ANY /auth/{proxy+}`

use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Latchkey, PASSWORD, Request, User, bearer_of, claims, event, forgeries, latchkey, now,
    number,
};

const PATH: &str = "/auth/request";
/// States the method of the client's request, as nginx does by convention.
const METHOD: &str = "x-original-method";
const ROUTE: &str = "/auth/{proxy+}";

/// Asserts a rejection with the key in the body and in `X-Auth-Error`, and that no item of the user
/// changes.
async fn refuses(latchkey: &Latchkey, user: &User, request: Request, key: &str) {
    let before = latchkey.items_of(user).await;
    is_refused(&request.send().await, key);
    assert_eq!(latchkey.items_of(user).await, before);
}

/// A request for a client's `GET` request.
fn get(latchkey: &Latchkey) -> Request {
    latchkey.get(PATH).header(METHOD, "GET")
}

#[track_caller]
fn is_refused(answer: &Answer, key: &str) {
    answer.is_refused(401, &[key]);
    assert_eq!(
        (
            answer.header("x-auth-error"),
            answer.header("authorization")
        ),
        (Some(key), None)
    );
}

#[tokio::test]
async fn a_valid_session_gets_an_access_token_with_the_claims_of_the_user() {
    let latchkey = latchkey().await;
    let referrer = latchkey.signed_up("auth-referrer").await;
    let before = now();
    let user = latchkey
        .signed_up_with("auth-User", &json!({ "refid": referrer.uid }))
        .await;
    latchkey
        .edit_user(&user, |item| {
            drop(item.insert("level".to_owned(), AttributeValue::N("3".to_owned())));
        })
        .await;
    for request in [
        get(latchkey).cookie(&user.session),
        latchkey.get(PATH).bearer(&user.session),
        latchkey.post(PATH).bearer(&user.session),
        latchkey
            .post(PATH)
            .cookie(&user.session)
            .header("x-csrf-token", &user.csrf_token),
    ] {
        let answer = request.send().await;
        let mut claims = latchkey
            .verified(bearer_of(&answer))
            .await
            .expect("a genuine token");
        assert_eq!(
            (answer.header("cache-control"), answer.header("set-cookie")),
            (Some("no-store"), None)
        );
        let issued_at = claims["iat"].as_i64().unwrap();
        assert!((before..=now()).contains(&issued_at), "{claims}");
        assert_eq!(claims["exp"], issued_at + 300);
        for name in ["iat", "exp", "jti"] {
            claims.as_object_mut().unwrap().remove(name);
        }
        let expected = json!({
            "iss": latchkey.domain(), "aud": "latchkey", "sub": "session", "uid": user.uid, "email": user.email, "role": "member",
            "email_verified": false, "level": 3, "state": "pending", "referral_id": referrer.uid, "referral_uid": referrer.uid,
        });
        assert_eq!(claims, expected);
    }
}

#[tokio::test]
async fn token_ids_are_unique_and_the_referral_is_null_without_a_referrer() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("auth-jti").await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let answer = latchkey.get(PATH).bearer(&user.session).send().await;
        tokens.push(latchkey.verified(bearer_of(&answer)).await.unwrap());
    }
    assert_ne!(tokens[0]["jti"], tokens[1]["jti"]);
    for name in ["referral_id", "referral_uid"] {
        assert_eq!(tokens[0].get(name), Some(&Value::Null), "{name}");
    }
}

#[tokio::test]
async fn issuer_and_audience_are_configurable() {
    for (audience, expected) in [
        ("shop", json!("shop")),
        ("peatio, barong,shop", json!(["peatio", "barong", "shop"])),
    ] {
        let variables = [
            ("IDENTITY_ACCESS_TOKEN_ISSUER", "https://id.example"),
            ("IDENTITY_ACCESS_TOKEN_AUDIENCE", audience),
        ];
        let latchkey = Latchkey::start(&variables).await;
        let user = latchkey.signed_up("auth-names").await;
        let answer = latchkey.get(PATH).bearer(&user.session).send().await;
        let claims = claims(bearer_of(&answer));
        assert_eq!(
            (&claims["iss"], &claims["aud"]),
            (&json!("https://id.example"), &expected)
        );
    }
}

#[tokio::test]
async fn a_confirmed_address_is_a_verified_email() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("auth-verified").await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    let fields = [
        ("token", mail.confirmation_token().unwrap()),
        ("password", PASSWORD),
    ];
    let confirm = latchkey.post("/identity/users/email/confirm_code");
    assert_eq!(confirm.form(&fields).send().await.status, 201);
    let session = latchkey.signed_in(&user).await;
    let answer = latchkey.get(PATH).bearer(&session).send().await;
    let claims = claims(bearer_of(&answer));
    assert_eq!(
        (
            &claims["email_verified"],
            &claims["state"],
            &claims["level"]
        ),
        (&json!(true), &json!("active"), &json!(1))
    );
}

#[tokio::test]
async fn method_path_and_body_do_not_affect_the_decision() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("auth-any").await;
    for method in ["GET", "PUT", "PATCH", "DELETE", "POST"] {
        for path in [
            "/auth/a",
            "/auth/api/v2/orders/1%2F2",
            "/auth/%20x?reset_token=y",
            "/auth/auth",
        ] {
            let request = || {
                latchkey
                    .request(method.parse().unwrap(), path)
                    .body("text/plain", vec![b'x'; 20_000])
            };
            bearer_of(&request().bearer(&user.session).send().await);
            refuses(latchkey, &user, request(), "authz.invalid_session").await;
        }
    }
}

#[tokio::test]
async fn a_request_without_a_valid_session_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("auth-out").await;
    let other = latchkey.signed_up("auth-other").await;
    refuses(latchkey, &user, latchkey.get(PATH), "authz.invalid_session").await;
    for (_, forged) in forgeries(&user.session, &other.session) {
        refuses(
            latchkey,
            &user,
            latchkey.get(PATH).bearer(&forged),
            "authz.invalid_session",
        )
        .await;
    }
    let ended = latchkey.signed_in(&user).await;
    latchkey.sign_out(&ended).send().await.is_empty(204);
    refuses(
        latchkey,
        &user,
        get(latchkey).cookie(&ended),
        "authz.invalid_session",
    )
    .await;
    latchkey.age_session(&user, &user.session, 1861).await;
    refuses(
        latchkey,
        &user,
        get(latchkey).cookie(&user.session),
        "authz.invalid_session",
    )
    .await;
}

#[tokio::test]
async fn an_access_token_does_not_work_as_a_session_and_vice_versa() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("auth-kinds").await;
    let answer = latchkey.get(PATH).bearer(&user.session).send().await;
    let access = bearer_of(&answer).to_owned();
    refuses(
        latchkey,
        &user,
        latchkey.get(PATH).bearer(&access),
        "authz.invalid_session",
    )
    .await;
    refuses(
        latchkey,
        &user,
        get(latchkey).cookie(&access),
        "authz.invalid_session",
    )
    .await;
    latchkey
        .refuses(
            &user,
            latchkey.sign_out(&access),
            404,
            &["identity.session.not_found"],
        )
        .await;
    assert_eq!(latchkey.verified(&user.session).await, None);
}

#[tokio::test]
async fn a_change_of_the_account_state_takes_effect_at_once() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("auth-state").await;
    for (state, is_allowed) in [
        ("active", true),
        ("banned", false),
        ("deleted", false),
        ("frozen", false),
        ("pending", true),
    ] {
        latchkey.set_state(&user, state).await;
        let request = get(latchkey).cookie(&user.session);
        if is_allowed {
            let answer = request.send().await;
            assert_eq!(
                latchkey.verified(bearer_of(&answer)).await.unwrap()["state"],
                state
            );
        } else {
            refuses(latchkey, &user, request, "authz.user_not_active").await;
        }
    }
}

#[tokio::test]
async fn a_request_from_another_client_ends_the_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("auth-client").await;
    let request = get(latchkey)
        .cookie(&user.session)
        .header("user-agent", "Other/2");
    is_refused(&request.send().await, "authz.client_session_mismatch");
    assert_eq!(latchkey.session_item(&user, &user.session).await, None);
    refuses(
        latchkey,
        &user,
        get(latchkey).cookie(&user.session),
        "authz.invalid_session",
    )
    .await;
}

#[tokio::test]
async fn a_state_changing_request_with_a_cookie_requires_the_csrf_token() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("auth-csrf").await;
    let other = latchkey.signed_up("auth-csrf-2").await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let request = || latchkey.request(method.clone(), PATH).cookie(&user.session);
        refuses(latchkey, &user, request(), "authz.missing_csrf_token").await;
        let foreign = request().header("x-csrf-token", &other.csrf_token);
        refuses(latchkey, &user, foreign, "authz.csrf_token_mismatch").await;
        bearer_of(
            &request()
                .header("x-csrf-token", &user.csrf_token)
                .send()
                .await,
        );
    }
}

#[tokio::test]
async fn a_method_header_can_require_but_not_waive_the_csrf_token() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("auth-method").await;
    for name in ["x-original-method", "x-forwarded-method"] {
        for method in ["POST", "DELETE", "post", "", "GET,POST"] {
            let request = || {
                latchkey
                    .get(PATH)
                    .cookie(&user.session)
                    .header(name, method)
            };
            refuses(latchkey, &user, request(), "authz.missing_csrf_token").await;
            bearer_of(
                &request()
                    .header("x-csrf-token", &user.csrf_token)
                    .send()
                    .await,
            );
        }
        bearer_of(
            &latchkey
                .get(PATH)
                .cookie(&user.session)
                .header(name, "HEAD")
                .send()
                .await,
        );
        let downgraded = latchkey
            .post(PATH)
            .cookie(&user.session)
            .header(name, "GET");
        refuses(latchkey, &user, downgraded, "authz.missing_csrf_token").await;
    }
}

#[tokio::test]
async fn a_request_that_states_no_method_requires_the_csrf_token() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("auth-unstated").await;
    for method in [Method::GET, Method::HEAD] {
        let request = || latchkey.request(method.clone(), PATH).cookie(&user.session);
        let answer = request().send().await;
        assert_eq!(
            (answer.status, answer.header("x-auth-error")),
            (401, Some("authz.missing_csrf_token"))
        );
        let answer = request().csrf(&user.csrf_token).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    refuses(
        latchkey,
        &user,
        latchkey.get(PATH).cookie(&user.session),
        "authz.missing_csrf_token",
    )
    .await;
    // A bearer token never needs one.
    bearer_of(&latchkey.get(PATH).bearer(&user.session).send().await);
}

#[tokio::test]
async fn where_the_gateway_uses_the_original_method_no_header_is_required() {
    let latchkey = Latchkey::start(&[("IDENTITY_AUTH_METHOD", "request")]).await;
    let user = latchkey.signed_up("auth-own-method").await;
    bearer_of(&latchkey.get(PATH).cookie(&user.session).send().await);
    let key = "authz.missing_csrf_token";
    let stated = |name, method| {
        latchkey
            .get(PATH)
            .cookie(&user.session)
            .header(name, method)
    };
    for request in [
        latchkey.post(PATH).cookie(&user.session),
        latchkey
            .post(PATH)
            .cookie(&user.session)
            .header(METHOD, "GET"),
        stated(METHOD, "DELETE"),
        stated("x-forwarded-method", "POST"),
    ] {
        refuses(&latchkey, &user, request, key).await;
    }
}

#[tokio::test]
async fn a_request_extends_the_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("auth-touch").await;
    latchkey.age_session(&user, &user.session, 1700).await;
    let before = now();
    bearer_of(&get(latchkey).cookie(&user.session).send().await);
    let session = latchkey.session_item(&user, &user.session).await.unwrap();
    assert!(number(&session, "last_used_at") >= before);
}

/// The response to a request from the reported address, with an `X-Forwarded-For` header.
async fn response_from(
    latchkey: &Latchkey,
    user: &User,
    reported: &str,
    forwarded_for: &str,
) -> Value {
    let mut event = event("ANY", ROUTE);
    event["requestContext"]["http"]["method"] = json!("GET");
    event["requestContext"]["http"]["sourceIp"] = json!(reported);
    event["headers"]["x-forwarded-for"] = json!(forwarded_for);
    event["headers"][METHOD] = json!("GET");
    event["cookies"] = json!([format!("_barong_session={}", user.session)]);
    latchkey.invoke("AuthFunction", event).await.unwrap()
}

const TRUSTED: (&str, &str) = ("IDENTITY_TRUSTED_PROXIES", "203.0.113.0/24,2001:db8::/32");
const BOUND_TO_CLIENT: (&str, &str) = ("IDENTITY_SESSION_BINDING", "client");

/// Status and error key of a response.
fn outcome(answer: &Value) -> (Option<u64>, Option<&str>) {
    (
        answer["statusCode"].as_u64(),
        answer["headers"]["x-auth-error"].as_str(),
    )
}

#[tokio::test]
async fn only_a_trusted_proxy_can_report_the_address_of_the_client() {
    let latchkey = Latchkey::start(&[TRUSTED, BOUND_TO_CLIENT]).await;
    for (number, (reported, forwarded_for, is_allowed)) in [
        ("203.0.113.7", "127.0.0.1, 203.0.113.7", true),
        ("203.0.113.7", "127.0.0.1, 2001:db8::1, 203.0.113.7", true),
        ("2001:db8::7", "198.51.100.1, 127.0.0.1, 2001:db8::7", true),
        ("127.0.0.1", "198.51.100.1, 127.0.0.1", true),
        // With ports and brackets.
        ("203.0.113.7", "127.0.0.1:4711, 203.0.113.7:443", true),
        (
            "203.0.113.7",
            "[::ffff:127.0.0.1]:4711, [2001:db8::1]:80",
            true,
        ),
        ("203.0.113.7", "198.51.100.1:4711, 203.0.113.7", false),
        // Addresses claimed by the client are ignored, with and without the proxy.
        ("203.0.113.7", "127.0.0.1, 198.51.100.1, 203.0.113.7", false),
        ("198.51.100.1", "127.0.0.1, 198.51.100.1", false),
        (
            "198.51.100.1",
            "127.0.0.1, 203.0.113.7, 198.51.100.1",
            false,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let user = latchkey.signed_up(&format!("proxy-{number}")).await;
        let answer = response_from(&latchkey, &user, reported, forwarded_for).await;
        let expected = if is_allowed {
            (Some(200), None)
        } else {
            (Some(401), Some("authz.client_session_mismatch"))
        };
        assert_eq!(
            outcome(&answer),
            expected,
            "{reported}: {forwarded_for}: {answer}"
        );
        let session = latchkey.session_item(&user, &user.session).await;
        assert_eq!(session.is_some(), is_allowed, "{reported}: {forwarded_for}");
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_report_the_client_ends_no_session() {
    let unreported = [
        "",
        "203.0.113.7",
        "203.0.113.8, 203.0.113.7",
        "127.0.0.1, unknown, 203.0.113.7",
        "127.0.0.1, _hidden, 203.0.113.7",
    ];
    let latchkey = Latchkey::start(&[TRUSTED, BOUND_TO_CLIENT]).await;
    let user = latchkey.signed_up("proxy-silent").await;
    for forwarded_for in unreported {
        let answer = response_from(&latchkey, &user, "203.0.113.7", forwarded_for).await;
        let refused = (Some(401), Some("authz.client_session_mismatch"));
        assert_eq!(outcome(&answer), refused, "{forwarded_for}: {answer}");
        bearer_of(&get(&latchkey).cookie(&user.session).send().await);
    }
    for binding in ["agent", "none"] {
        let latchkey = Latchkey::start(&[TRUSTED, ("IDENTITY_SESSION_BINDING", binding)]).await;
        let user = latchkey.signed_up("proxy-silent").await;
        for forwarded_for in unreported {
            let answer = response_from(&latchkey, &user, "203.0.113.7", forwarded_for).await;
            assert_eq!(outcome(&answer), (Some(200), None), "{forwarded_for}");
        }
    }
}

#[tokio::test]
async fn without_trusted_proxies_the_forwarded_address_is_ignored() {
    let latchkey = Latchkey::start(&[BOUND_TO_CLIENT]).await;
    let user = latchkey.signed_up("proxy-none").await;
    let answer = response_from(&latchkey, &user, "203.0.113.7", "127.0.0.1, 203.0.113.7").await;
    assert_eq!(
        answer["headers"]["x-auth-error"], "authz.client_session_mismatch",
        "{answer}"
    );
}
