//! Who is let in to the operations for who is signed in: every one of them, the same way

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Latchkey, Request, User, event, forgeries, latchkey, now, number, session_id,
    signed_in_operations,
};

const ME: &str = "/resource/users/me";
const INVALID: &str = "authz.invalid_session";
const OTHER_CLIENT: &str = "authz.client_session_mismatch";

/// An operation of the list.
struct Operation<'a> {
    latchkey: &'a Latchkey,
    method: String,
    path: String,
}

impl Operation<'_> {
    fn anonymous(&self) -> Request {
        self.latchkey
            .request(self.method.parse().unwrap(), &self.path)
    }

    fn by(&self, user: &User) -> Request {
        self.latchkey.by(user, &self.method, &self.path)
    }

    fn changes_something(&self) -> bool {
        self.method != "GET"
    }

    /// Asserts that the request is refused with just this key, and changes nothing.
    async fn refuses(&self, user: &User, request: Request, key: &str) {
        let before = self.latchkey.items_of(user).await;
        self.is_refused(&request.send().await, key);
        assert_eq!(
            self.latchkey.items_of(user).await,
            before,
            "{} {}",
            self.method,
            self.path
        );
    }

    #[track_caller]
    fn is_refused(&self, answer: &Answer, key: &str) {
        let expected = json!({ "errors": [key] }).to_string();
        assert_eq!(
            (answer.status, answer.text()),
            (401, expected.as_str()),
            "{} {}",
            self.method,
            self.path
        );
        assert_eq!(answer.header("set-cookie"), None);
    }

    /// Asserts that the gate lets the request through, whatever is said of it behind.
    #[track_caller]
    fn is_let_in(&self, answer: &Answer) {
        assert!(
            answer.status != 401 && answer.status < 500,
            "{} {}: {answer:?}",
            self.method,
            self.path
        );
    }
}

/// Every operation that is only for who is signed in.
async fn all() -> Vec<Operation<'static>> {
    let latchkey = latchkey().await;
    let operations = signed_in_operations();
    assert!(operations.len() >= 10, "{operations:?}");
    operations
        .into_iter()
        .map(|(method, path)| Operation {
            latchkey,
            method,
            path,
        })
        .collect()
}

/// A change of what is stored of the user's session.
async fn set_session(latchkey: &Latchkey, user: &User, name: &str, value: AttributeValue) {
    latchkey
        .edit_session(user, &user.session, |item| {
            drop(item.insert(name.to_owned(), value));
        })
        .await;
}

/// What a function of the template answers to somebody who presents the session of the user from an
/// address.
async fn from_address(latchkey: &Latchkey, user: &User, address: &str) -> Value {
    let mut event = event("GET", ME);
    event["cookies"] = json!([format!("_barong_session={}", user.session)]);
    event["requestContext"]["http"]["sourceIp"] = json!(address);
    // No header tells where a request comes from.
    event["headers"]["x-forwarded-for"] = json!("127.0.0.1");
    latchkey.invoke("UserMeFunction", event).await.unwrap()
}

#[tokio::test]
async fn without_a_session_nobody_is_let_in() {
    let user = latchkey().await.signed_up("gate-none").await;
    for operation in all().await {
        for request in [
            operation.anonymous(),
            operation.anonymous().csrf(&user.csrf_token),
            operation.anonymous().header("cookie", "other=value"),
            operation.anonymous().cookie(""),
            operation
                .anonymous()
                .header("authorization", format!("Basic {}", user.session)),
            operation
                .anonymous()
                .header("authorization", user.session.clone()),
            operation
                .anonymous()
                .header("x-session", user.session.clone()),
        ] {
            operation.refuses(&user, request, INVALID).await;
        }
    }
}

#[tokio::test]
async fn a_forged_session_lets_nobody_in() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-forged").await;
    let other = latchkey.signed_up("gate-forger").await;
    for operation in all().await {
        let before = latchkey.items_of(&user).await;
        for (what, forged) in forgeries(&user.session, &other.session) {
            for request in [
                operation.anonymous().cookie(&forged).csrf(&user.csrf_token),
                operation.anonymous().bearer(&forged),
            ] {
                let answer = request.send().await;
                assert_eq!(
                    (answer.status, answer.text()),
                    (401, r#"{"errors":["authz.invalid_session"]}"#),
                    "{what}"
                );
            }
        }
        assert_eq!(latchkey.items_of(&user).await, before);
    }
}

#[tokio::test]
async fn a_token_of_another_purpose_lets_nobody_in() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-purpose").await;
    let reset = latchkey.reset_token(&user).await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    for operation in all().await {
        for token in [reset.as_str(), mail.confirmation_token().unwrap()] {
            operation
                .refuses(&user, operation.anonymous().bearer(token), INVALID)
                .await;
            operation
                .refuses(
                    &user,
                    operation.anonymous().cookie(token).csrf(&user.csrf_token),
                    INVALID,
                )
                .await;
        }
    }
}

#[tokio::test]
async fn a_session_that_is_over_lets_nobody_in() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-over").await;
    let [idle, old, of_before, ended] = [
        latchkey.signed_in_anew(&user).await,
        latchkey.signed_in_anew(&user).await,
        latchkey.signed_in_anew(&user).await,
        latchkey.signed_in_anew(&user).await,
    ];
    latchkey.age_session(&user, &idle.session, 1801).await;
    // Not `expires_at`, by which the table would be swept while the test looks at it.
    set_session(
        latchkey,
        &old,
        "began_at",
        AttributeValue::N((now() - 86_401).to_string()),
    )
    .await;
    set_session(
        latchkey,
        &of_before,
        "epoch",
        AttributeValue::N("7".to_owned()),
    )
    .await;
    latchkey.sign_out(&ended.session).send().await.is_empty(204);
    for operation in all().await {
        for over in [&idle, &old, &of_before, &ended] {
            operation.refuses(&user, operation.by(over), INVALID).await;
            operation
                .refuses(&user, operation.anonymous().bearer(&over.session), INVALID)
                .await;
        }
    }
    let gone = latchkey.signed_up("gate-gone").await;
    latchkey.delete_user(&gone).await;
    for operation in all().await {
        operation.is_refused(&operation.by(&gone).send().await, INVALID);
    }
}

#[tokio::test]
async fn a_use_moves_the_idle_end_on_but_not_the_absolute_one() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-until").await;
    let me = async || latchkey.get(ME).cookie(&user.session).send().await.status;
    // 47 times half an hour, each but for some seconds, is nearly a day.
    for _ in 0..47 {
        latchkey.age_session(&user, &user.session, 1790).await;
        assert_eq!(me().await, 200);
    }
    latchkey.age_session(&user, &user.session, 1790).await;
    assert_eq!(me().await, 200);
    latchkey
        .age_session(&user, &user.session, 86_400 - 48 * 1790)
        .await;
    latchkey.use_session(&user, &user.session).await;
    assert_eq!(me().await, 401);
}

#[tokio::test]
async fn a_use_is_noted_at_most_once_a_minute() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-noted").await;
    for operation in all().await {
        let person = latchkey.signed_in_anew(&user).await;
        let last_used = async || {
            number(
                &latchkey.session_item(&user, &person.session).await.unwrap(),
                "last_used_at",
            )
        };
        for (ago, is_noted) in [(20, false), (61, true)] {
            let before = now() - ago;
            set_session(
                latchkey,
                &person,
                "last_used_at",
                AttributeValue::N(before.to_string()),
            )
            .await;
            operation.is_let_in(&operation.by(&person).send().await);
            // Where the operation ended the others, this session goes on, with what was noted of
            // it.
            assert_eq!(
                last_used().await > before,
                is_noted,
                "{} {} {ago}",
                operation.method,
                operation.path
            );
        }
    }
    // A refusal is no use.
    let before = now() - 100;
    let fresh = latchkey.signed_in_anew(&user).await;
    set_session(
        latchkey,
        &fresh,
        "last_used_at",
        AttributeValue::N(before.to_string()),
    )
    .await;
    latchkey
        .request(reqwest::Method::DELETE, "/resource/sessions")
        .cookie(&fresh.session)
        .send()
        .await;
    assert_eq!(
        number(
            &latchkey.session_item(&user, &fresh.session).await.unwrap(),
            "last_used_at"
        ),
        before
    );
}

#[tokio::test]
async fn another_browser_ends_the_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-browser").await;
    let sign_in = || {
        latchkey
            .sign_in(&user.email, &user.password)
            .header("user-agent", "Mozilla/5.0")
    };
    for operation in all().await {
        for other in ["Other/2", "mozilla/5.0", ""] {
            let person = User::from_answer(&sign_in().send().await, &user.password);
            let mut expected = latchkey.items_of(&user).await;
            expected.retain(|key, _| !key.ends_with(&session_id(&person.session)));
            // Whether there is a csrf token is not asked before.
            let request = operation
                .anonymous()
                .cookie(&person.session)
                .header("user-agent", other);
            operation.is_refused(&request.send().await, OTHER_CLIENT);
            assert_eq!(
                latchkey.items_of(&user).await,
                expected,
                "{} {}",
                operation.method,
                operation.path
            );
            operation.is_refused(
                &operation
                    .by(&person)
                    .header("user-agent", "Mozilla/5.0")
                    .send()
                    .await,
                INVALID,
            );
        }
    }
}

#[tokio::test]
async fn an_address_far_from_that_of_the_sign_in_ends_the_session_at_every_operation() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-far").await;
    for operation in all().await {
        let person = latchkey.signed_in_anew(&user).await;
        set_session(
            latchkey,
            &person,
            "user_ip",
            AttributeValue::S("127.1.0.1".to_owned()),
        )
        .await;
        operation.is_refused(&operation.by(&person).send().await, OTHER_CLIENT);
        assert_eq!(latchkey.session_item(&user, &person.session).await, None);
        operation.is_refused(&operation.by(&person).send().await, INVALID);
    }
}

#[tokio::test]
async fn addresses_are_near_that_share_their_first_16_bits_or_96() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-near").await;
    for (signed_in_at, address, is_near) in [
        ("198.51.100.7", "198.51.100.7", true),
        ("198.51.100.7", "198.51.255.255", true),
        ("198.51.100.7", "198.52.100.7", false),
        ("198.51.100.7", "2001:db8::1", false),
        ("198.51.100.7", "127.0.0.1", false),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:ffff:ffff", true),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:5:5:6", false),
        ("2001:db8:1:2:3:4:5:6", "198.51.100.7", false),
    ] {
        let person = latchkey.signed_in_anew(&user).await;
        set_session(
            latchkey,
            &person,
            "user_ip",
            AttributeValue::S(signed_in_at.to_owned()),
        )
        .await;
        let answer = from_address(latchkey, &person, address).await;
        if is_near {
            assert_eq!(
                answer["statusCode"], 200,
                "{signed_in_at} {address}: {answer}"
            );
            continue;
        }
        assert_eq!(
            (&answer["statusCode"], &answer["body"]),
            (
                &json!(401),
                &json!(format!(r#"{{"errors":["{OTHER_CLIENT}"]}}"#))
            )
        );
        assert_eq!(
            latchkey.session_item(&user, &person.session).await,
            None,
            "{signed_in_at} {address}"
        );
        let answer = from_address(latchkey, &person, signed_in_at).await;
        assert_eq!(answer["body"], format!(r#"{{"errors":["{INVALID}"]}}"#));
    }
}

#[tokio::test]
async fn what_changes_something_needs_the_csrf_token_where_the_session_is_a_cookie() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-csrf").await;
    for operation in all().await {
        let person = latchkey.signed_in_anew(&user).await;
        let other = latchkey.signed_in_anew(&user).await;
        let cookie = || operation.anonymous().cookie(&person.session);
        if !operation.changes_something() {
            operation.is_let_in(&cookie().send().await);
            operation.is_let_in(&cookie().csrf("wrong").send().await);
            continue;
        }
        for request in [
            cookie(),
            cookie().csrf(""),
            cookie().csrf("  "),
            cookie().form(&[("csrf_token", person.csrf_token.as_str())]),
        ] {
            operation
                .refuses(&user, request, "authz.missing_csrf_token")
                .await;
        }
        let cut = &person.csrf_token[1..];
        for wrong in [
            "wrong",
            cut,
            &other.csrf_token,
            &person.csrf_token.to_uppercase(),
            &shared::platform::random::sha256_hex(&person.csrf_token),
        ] {
            operation
                .refuses(&user, cookie().csrf(wrong), "authz.csrf_token_mismatch")
                .await;
        }
        operation.is_let_in(&operation.by(&person).send().await);
        // Where both come, the bearer counts.
        let person = latchkey.signed_in_anew(&user).await;
        operation.is_let_in(
            &operation
                .anonymous()
                .bearer(&person.session)
                .cookie("forged")
                .send()
                .await,
        );
        let person = latchkey.signed_in_anew(&user).await;
        operation.is_let_in(
            &operation
                .anonymous()
                .bearer(&person.session)
                .csrf("wrong")
                .send()
                .await,
        );
    }
}

#[tokio::test]
async fn only_active_and_pending_accounts_are_let_in() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-state").await;
    for operation in all().await {
        latchkey.set_state(&user, "active").await;
        let person = latchkey.signed_in_anew(&user).await;
        for state in ["banned", "deleted", "locked", "", "Active"] {
            latchkey.set_state(&user, state).await;
            operation
                .refuses(&user, operation.by(&person), "authz.user_not_active")
                .await;
            operation
                .refuses(
                    &user,
                    operation.anonymous().bearer(&person.session),
                    "authz.user_not_active",
                )
                .await;
        }
        for state in ["active", "pending"] {
            latchkey.set_state(&user, state).await;
            operation.is_let_in(&operation.by(&person).send().await);
        }
    }
}

#[tokio::test]
async fn the_first_thing_that_is_not_in_order_is_told() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-order").await;
    for operation in all().await {
        latchkey.set_state(&user, "active").await;
        let [over, far, here] = [
            latchkey.signed_in_anew(&user).await,
            latchkey.signed_in_anew(&user).await,
            latchkey.signed_in_anew(&user).await,
        ];
        latchkey.age_session(&user, &over.session, 1801).await;
        latchkey.set_state(&user, "banned").await;
        let by = |person: &User| operation.anonymous().cookie(&person.session);
        operation.is_refused(
            &by(&over).header("user-agent", "Other/2").send().await,
            INVALID,
        );
        operation.is_refused(
            &by(&far).header("user-agent", "Other/2").send().await,
            OTHER_CLIENT,
        );
        if operation.changes_something() {
            operation.is_refused(&by(&here).send().await, "authz.missing_csrf_token");
            operation.is_refused(
                &by(&here).csrf("wrong").send().await,
                "authz.csrf_token_mismatch",
            );
        }
        operation.is_refused(
            &by(&here).csrf(&here.csrf_token).send().await,
            "authz.user_not_active",
        );
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_before_the_body_is_read() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-body").await;
    for operation in all().await.into_iter().filter(Operation::changes_something) {
        for (media_type, body) in [
            ("text/plain", b"x".to_vec()),
            ("application/json", b"{".to_vec()),
            ("application/json", vec![b' '; 16 * 1024 + 1]),
            ("multipart/form-data", b"x".to_vec()),
            ("application/x-www-form-urlencoded", b"code=%ff".to_vec()),
        ] {
            let with_body = |request: Request| request.body(media_type, body.clone());
            operation
                .refuses(&user, with_body(operation.anonymous()), INVALID)
                .await;
            operation
                .refuses(
                    &user,
                    with_body(operation.anonymous().cookie(&user.session)),
                    "authz.missing_csrf_token",
                )
                .await;
        }
    }
}
