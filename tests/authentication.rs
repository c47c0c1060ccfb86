//! Authentication, checked on every operation that requires a session

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::{
    harness::{
        Answer, Latchkey, Request, User, forgeries, latchkey, now, number, session_id,
        signed_in_operations,
    },
    manage::users::manage,
};

const ME: &str = "/resource/users/me";
const INVALID: &str = "authz.invalid_session";
const OTHER_CLIENT: &str = "authz.client_session_mismatch";

/// An operation that requires a session.
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

    fn is_state_changing(&self) -> bool {
        self.method != "GET"
    }

    /// Asserts that the request is rejected with exactly this key, and changes no item of the user.
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

    /// Asserts that the request is authenticated. The operation may still reject it.
    #[track_caller]
    fn is_authenticated(&self, answer: &Answer) {
        assert!(
            answer.status != 401 && answer.status < 500,
            "{} {}: {answer:?}",
            self.method,
            self.path
        );
    }
}

/// Every operation that requires a session.
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

/// Sets an attribute of the user's stored session.
async fn set_session(latchkey: &Latchkey, user: &User, name: &str, value: AttributeValue) {
    latchkey
        .edit_session(user, &user.session, |item| {
            drop(item.insert(name.to_owned(), value));
        })
        .await;
}

#[tokio::test]
async fn a_request_without_a_session_is_rejected() {
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
async fn a_forged_session_is_rejected() {
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
async fn a_token_of_another_purpose_is_rejected() {
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
async fn an_ended_or_expired_session_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-over").await;
    let [idle, old, of_earlier_epoch, ended] = [
        latchkey.with_new_session(&user).await,
        latchkey.with_new_session(&user).await,
        latchkey.with_new_session(&user).await,
        latchkey.with_new_session(&user).await,
    ];
    latchkey.age_session(&user, &idle.session, 1861).await;
    // Not `expires_at`: the item could be deleted during the test.
    set_session(
        latchkey,
        &old,
        "began_at",
        AttributeValue::N((now() - 86_401).to_string()),
    )
    .await;
    set_session(
        latchkey,
        &of_earlier_epoch,
        "epoch",
        AttributeValue::N("7".to_owned()),
    )
    .await;
    latchkey.sign_out(&ended.session).send().await.is_empty(204);
    for operation in all().await {
        for invalid in [&idle, &old, &of_earlier_epoch, &ended] {
            operation
                .refuses(&user, operation.by(invalid), INVALID)
                .await;
            operation
                .refuses(
                    &user,
                    operation.anonymous().bearer(&invalid.session),
                    INVALID,
                )
                .await;
        }
    }
    let deleted = latchkey.signed_up("gate-gone").await;
    latchkey.delete_user(&deleted).await;
    for operation in all().await {
        operation.is_refused(&operation.by(&deleted).send().await, INVALID);
    }
}

#[tokio::test]
async fn use_extends_the_idle_expiry_but_not_the_absolute_one() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-until").await;
    let me = async || latchkey.get(ME).cookie(&user.session).send().await.status;
    // 47 steps of just under half an hour are nearly a day.
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
async fn the_last_use_is_stored_at_most_once_a_minute() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-noted").await;
    for operation in all().await {
        let person = latchkey.with_new_session(&user).await;
        let last_used = async || {
            number(
                &latchkey.session_item(&user, &person.session).await.unwrap(),
                "last_used_at",
            )
        };
        for (ago, is_stored) in [(20, false), (61, true)] {
            let before = now() - ago;
            set_session(
                latchkey,
                &person,
                "last_used_at",
                AttributeValue::N(before.to_string()),
            )
            .await;
            operation.is_authenticated(&operation.by(&person).send().await);
            // An operation that ends other sessions keeps this one and its last use.
            assert_eq!(
                last_used().await > before,
                is_stored,
                "{} {} {ago}",
                operation.method,
                operation.path
            );
        }
    }
    // A rejected request does not count as a use.
    let before = now() - 100;
    let fresh = latchkey.with_new_session(&user).await;
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
async fn another_user_agent_ends_the_session() {
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
            // The client is checked before the CSRF token.
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
async fn a_session_that_ended_with_its_account_is_answered_user_not_active() {
    let latchkey = latchkey().await;
    for state in ["banned", "deleted"] {
        let user = latchkey.signed_up(&format!("gate-{state}")).await;
        let reset = latchkey.with_new_session(&user).await;
        latchkey.sign_out(&reset.session).send().await.is_empty(204);
        let [expired, foreign] = [
            latchkey.with_new_session(&user).await,
            latchkey.with_new_session(&user).await,
        ];
        latchkey.age_session(&user, &expired.session, 1861).await;
        let set_state = async |state: &str| {
            let event = json!({ "action": "set-state", "uid": user.uid, "state": state });
            manage(latchkey, event).await;
        };
        set_state(state).await;
        for operation in all().await {
            for (request, key) in [
                (operation.by(&user), "authz.user_not_active"),
                (
                    operation.anonymous().bearer(&user.session),
                    "authz.user_not_active",
                ),
                (operation.by(&reset), INVALID),
                (operation.by(&expired), INVALID),
            ] {
                operation.refuses(&user, request, key).await;
            }
            if operation.is_state_changing() {
                let request = operation.anonymous().cookie(&user.session);
                operation
                    .refuses(&user, request, "authz.missing_csrf_token")
                    .await;
            }
        }
        let operation = &all().await[0];
        let other_agent = operation.by(&foreign).header("user-agent", "Other/2");
        operation.is_refused(&other_agent.send().await, OTHER_CLIENT);
        let sign_out = latchkey.sign_out(&user.session);
        latchkey
            .refuses(&user, sign_out, 404, &["identity.session.not_found"])
            .await;
        // A state that admits the user again does not revive the session.
        set_state("active").await;
        operation.refuses(&user, operation.by(&user), INVALID).await;
    }
}

#[tokio::test]
async fn a_state_changing_request_with_a_cookie_requires_the_csrf_token() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-csrf").await;
    for operation in all().await {
        let person = latchkey.with_new_session(&user).await;
        let other = latchkey.with_new_session(&user).await;
        let cookie = || operation.anonymous().cookie(&person.session);
        if !operation.is_state_changing() {
            operation.is_authenticated(&cookie().send().await);
            operation.is_authenticated(&cookie().csrf("wrong").send().await);
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
        let truncated = &person.csrf_token[1..];
        for wrong in [
            "wrong",
            truncated,
            &other.csrf_token,
            &person.csrf_token.to_uppercase(),
            &shared::platform::random::sha256_hex(&person.csrf_token),
        ] {
            operation
                .refuses(&user, cookie().csrf(wrong), "authz.csrf_token_mismatch")
                .await;
        }
        operation.is_authenticated(&operation.by(&person).send().await);
        // A bearer token takes precedence over the cookie.
        let person = latchkey.with_new_session(&user).await;
        operation.is_authenticated(
            &operation
                .anonymous()
                .bearer(&person.session)
                .cookie("forged")
                .send()
                .await,
        );
        let person = latchkey.with_new_session(&user).await;
        operation.is_authenticated(
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
async fn only_active_and_pending_accounts_are_authenticated() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-state").await;
    for operation in all().await {
        latchkey.set_state(&user, "active").await;
        let person = latchkey.with_new_session(&user).await;
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
            operation.is_authenticated(&operation.by(&person).send().await);
        }
    }
}

#[tokio::test]
async fn the_first_failed_check_determines_the_error() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-order").await;
    for operation in all().await {
        latchkey.set_state(&user, "active").await;
        let [expired, foreign, valid] = [
            latchkey.with_new_session(&user).await,
            latchkey.with_new_session(&user).await,
            latchkey.with_new_session(&user).await,
        ];
        latchkey.age_session(&user, &expired.session, 1861).await;
        latchkey.set_state(&user, "banned").await;
        let by = |person: &User| operation.anonymous().cookie(&person.session);
        operation.is_refused(
            &by(&expired).header("user-agent", "Other/2").send().await,
            INVALID,
        );
        operation.is_refused(
            &by(&foreign).header("user-agent", "Other/2").send().await,
            OTHER_CLIENT,
        );
        if operation.is_state_changing() {
            operation.is_refused(&by(&valid).send().await, "authz.missing_csrf_token");
            operation.is_refused(
                &by(&valid).csrf("wrong").send().await,
                "authz.csrf_token_mismatch",
            );
        }
        operation.is_refused(
            &by(&valid).csrf(&valid.csrf_token).send().await,
            "authz.user_not_active",
        );
    }
}

#[tokio::test]
async fn authentication_precedes_reading_the_body() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("gate-body").await;
    for operation in all().await.into_iter().filter(Operation::is_state_changing) {
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
