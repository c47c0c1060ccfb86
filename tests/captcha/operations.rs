//! Captchas at the protected operations, independent of the provider

use serde_json::{Value, json};

use super::providers::{PROTECTED, everything, request};
use crate::harness::{
    ExternalServices, Latchkey, PASSWORD, all_at_once, borrowed,
    captcha::{self, SECRET, SECRET_NAME, solution},
};

const REQUIRED: &[&str] = &["identity.captcha.required"];
const REFUSED: &[&str] = &["identity.captcha.verification_failed"];

#[tokio::test]
async fn without_a_solution_a_protected_operation_has_no_effect_and_calls_no_provider() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_captcha("turnstile", &[]).await;
    let user = latchkey
        .signed_up_with("blank", &json!({ "captcha_response": "yes" }))
        .await;
    let before = everything(&latchkey).await;
    let calls = services.requests().len();
    for operation in PROTECTED {
        for blank in [json!(null), json!(""), json!(" \t")] {
            request(&latchkey, operation, &user.email, &blank)
                .send()
                .await
                .is_refused(400, REQUIRED);
        }
        let (path, fields) = operation.form(&user.email);
        latchkey
            .post(path)
            .form(&borrowed(&fields))
            .send()
            .await
            .is_refused(400, REQUIRED);
    }
    assert_eq!(
        (everything(&latchkey).await, services.requests().len()),
        (before, calls)
    );
}

#[tokio::test]
async fn parameters_are_checked_before_the_captcha() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_captcha("turnstile", &[]).await;
    for (path, body, status, key) in [
        (
            "/identity/sessions",
            json!({ "email": "a@example.com", "captcha_response": "no" }),
            400,
            "identity.session.missing_password",
        ),
        (
            "/identity/users",
            json!({ "password": PASSWORD }),
            400,
            "identity.user.missing_email",
        ),
        (
            "/identity/users/email/generate_code",
            json!({ "captcha_response": "no" }),
            400,
            "identity.user.missing_email",
        ),
        (
            "/identity/users/password/generate_code",
            json!({ "captcha_response": "no" }),
            400,
            "identity.user.missing_email",
        ),
        (
            "/identity/users/password/generate_code",
            json!({ "email": "nobody" }),
            422,
            "email.invalid",
        ),
        (
            "/identity/users",
            json!({ "email": "a@b.co", "password": "x", "captcha_response": 1 }),
            422,
            "identity.user.invalid_captcha_format",
        ),
    ] {
        latchkey
            .post(path)
            .json(&body)
            .send()
            .await
            .is_refused(status, &[key]);
    }
    assert_eq!(services.requests().len(), 0);
}

#[tokio::test]
async fn limits_are_checked_before_the_captcha() {
    let services = ExternalServices::start().await;
    let limits = [
        ("IDENTITY_MAIL_INTERVAL", "3600"),
        ("IDENTITY_MAILS_PER_HOUR", "5"),
        ("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "1"),
    ];
    let latchkey = services.stack_with_captcha("turnstile", &limits).await;
    let user = latchkey
        .signed_up_with("limits", &json!({ "captcha_response": "yes" }))
        .await;
    let mail_requests = ["password_reset", "email_confirmation"].map(|name| {
        PROTECTED
            .iter()
            .find(|operation| operation.name == name)
            .unwrap()
    });
    for operation in mail_requests {
        request(&latchkey, operation, &user.email, &json!("yes"))
            .send()
            .await
            .is_empty(201);
    }
    // Each failure doubles the wait, so the last wait outlasts the next attempt.
    let wrong = || {
        latchkey.post("/identity/sessions").json(
            &json!({ "email": user.email, "password": "Wrong-Horse-7", "captcha_response": "yes" }),
        )
    };
    while wrong().send().await.status != 429 {}
    let calls = services.requests().len();
    for operation in mail_requests {
        request(&latchkey, operation, &user.email, &json!("yes"))
            .send()
            .await
            .is_refused(429, &["request.too_many_attempts"]);
    }
    wrong()
        .send()
        .await
        .is_refused(429, &["request.too_many_attempts"]);
    assert_eq!(services.requests().len(), calls);
}

#[tokio::test]
async fn the_rate_limit_of_the_client_is_checked_before_the_captcha() {
    let services = ExternalServices::start().await;
    let latchkey = services
        .stack_with_captcha("turnstile", &[("IDENTITY_REQUESTS_PER_MINUTE", "1")])
        .await;
    // The requests span at most two calendar minutes, so at least two of the four are rejected.
    let mut admitted = 0;
    for operation in PROTECTED {
        let answer = request(&latchkey, operation, "limited@example.com", &json!("no"))
            .send()
            .await;
        admitted += usize::from(answer.status == 422);
        assert!(
            answer.status == 422 || answer.text().contains("request.too_many_attempts"),
            "{answer:?}"
        );
    }
    assert!((1..=2).contains(&admitted));
    assert_eq!(services.requests().len(), admitted);
}

#[tokio::test]
async fn a_rejected_request_does_not_count_as_a_mail() {
    let services = ExternalServices::start().await;
    let latchkey = services
        .stack_with_captcha(
            "turnstile",
            &[
                ("IDENTITY_MAIL_INTERVAL", "3600"),
                ("IDENTITY_MAILS_PER_HOUR", "1"),
            ],
        )
        .await;
    let user = latchkey
        .signed_up_with("no-mail", &json!({ "captcha_response": "yes" }))
        .await;
    for operation in &PROTECTED[2..] {
        for (response, status, keys) in [
            ("no", 422, REFUSED),
            ("", 400, REQUIRED),
            ("error", 422, REFUSED),
        ] {
            request(&latchkey, operation, &user.email, &json!(response))
                .send()
                .await
                .is_refused(status, keys);
        }
        request(&latchkey, operation, &user.email, &json!("yes"))
            .send()
            .await
            .is_empty(201);
        let again = request(&latchkey, operation, &user.email, &json!("yes"));
        again
            .send()
            .await
            .is_refused(429, &["request.too_many_attempts"]);
    }
}

#[tokio::test]
async fn the_captcha_is_checked_before_any_answer_that_depends_on_an_account() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_captcha("turnstile", &[]).await;
    let user = latchkey
        .signed_up_with("registered", &json!({ "captcha_response": "yes" }))
        .await;
    for email in [user.email.as_str(), "nobody@example.com"] {
        for operation in PROTECTED {
            let (path, _) = operation.form(email);
            let body = json!({ "email": email, "password": "wrong", "refid": "ID0000000000", "data": "{", "captcha_response": "no" });
            latchkey
                .post(path)
                .json(&body)
                .send()
                .await
                .is_refused(422, REFUSED);
        }
    }
    // Where an invalid address gets the same answer as any other, it requires a captcha too.
    let (path, _) = PROTECTED[3].form("");
    latchkey
        .post(path)
        .form(&[("email", "nobody")])
        .send()
        .await
        .is_refused(400, REQUIRED);
    latchkey
        .post(path)
        .form(&[("email", "nobody"), ("captcha_response", "yes")])
        .send()
        .await
        .is_empty(201);
}

#[tokio::test]
async fn no_operation_requires_a_captcha_if_none_is_protected() {
    let services = ExternalServices::start().await;
    let latchkey = services
        .stack_with_captcha(
            "turnstile",
            &[("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", "none")],
        )
        .await;
    let user = latchkey.signed_up("unprotected").await;
    for operation in PROTECTED {
        let answer = request(&latchkey, operation, &user.email, &Value::Null)
            .send()
            .await;
        assert_eq!(answer.status, 201, "{}: {answer:?}", operation.name);
    }
    assert_eq!(services.requests().len(), 0);
}

#[tokio::test]
async fn only_the_configured_operations_require_a_captcha() {
    let services = ExternalServices::start().await;
    for protected in PROTECTED {
        let latchkey = services
            .stack_with_captcha(
                "turnstile",
                &[("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", protected.name)],
            )
            .await;
        let user = latchkey
            .signed_up_with("listed", &json!({ "captcha_response": "yes" }))
            .await;
        let calls = services.requests().len();
        for operation in PROTECTED {
            let answer = request(&latchkey, operation, &user.email, &Value::Null)
                .send()
                .await;
            assert_eq!(
                answer.status,
                if operation.name == protected.name {
                    400
                } else {
                    201
                },
                "{}: {answer:?}",
                operation.name
            );
        }
        assert_eq!(services.requests().len(), calls);
    }
}

#[tokio::test]
async fn a_provider_that_never_answers_leads_to_a_rejection() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_captcha("hcaptcha", &[]).await;
    let user = latchkey
        .signed_up_with("never", &json!({ "captcha_response": "yes" }))
        .await;
    let before = everything(&latchkey).await;
    let requests = PROTECTED
        .iter()
        .map(|operation| request(&latchkey, operation, &user.email, &json!("never")));
    for answer in all_at_once(requests).await {
        answer.is_refused(422, REFUSED);
    }
    assert_eq!(everything(&latchkey).await, before);
}

#[tokio::test]
async fn an_unreachable_provider_leads_to_a_rejection() {
    let url = "http://127.0.0.1:9/siteverify";
    for (provider, url) in [("recaptcha", url), ("geetest", "http://127.0.0.1:9")] {
        let latchkey = Latchkey::start(&[
            ("IDENTITY_CAPTCHA", provider),
            ("IDENTITY_CAPTCHA_ID", captcha::ID),
            ("IDENTITY_CAPTCHA_SECRET_ARN", SECRET_NAME),
            ("IDENTITY_CAPTCHA_URL", url),
        ])
        .await;
        for operation in PROTECTED {
            request(
                &latchkey,
                operation,
                "down@example.com",
                &solution(provider, "yes"),
            )
            .send()
            .await
            .is_refused(422, REFUSED);
        }
        assert!(everything(&latchkey).await.is_empty());
    }
}

#[tokio::test]
async fn a_missing_secret_is_an_internal_error() {
    let services = ExternalServices::start().await;
    let latchkey = services
        .stack_with_captcha("recaptcha", &[("IDENTITY_CAPTCHA_SECRET_ARN", "another")])
        .await;
    for operation in PROTECTED {
        request(&latchkey, operation, "secret@example.com", &json!("yes"))
            .send()
            .await
            .is_refused(500, &["server.internal_error"]);
    }
    assert!(everything(&latchkey).await.is_empty() && services.requests().is_empty());
}

#[tokio::test]
async fn a_solution_may_have_4096_characters() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_captcha("turnstile", &[]).await;
    let long = format!("yes{}", "ж".repeat(4093));
    latchkey
        .signed_up_with("long", &json!({ "captcha_response": long }))
        .await;
    assert_eq!(services.requests()[0].fields["response"], long);
    let longer = format!("{long}x");
    for (operation, key) in PROTECTED.iter().zip(["user", "session", "user", "user"]) {
        let key = format!("identity.{key}.too_long_captcha_response");
        request(&latchkey, operation, "longer@example.com", &json!(longer))
            .send()
            .await
            .is_refused(422, &[&key]);
    }
}

#[tokio::test]
async fn the_log_has_the_reason_of_a_rejection_but_neither_secret_nor_solution() {
    let services = ExternalServices::start().await;
    let words = ["no", "garbage", "error", "redirect", "long"];
    for (provider, refused) in [("hcaptcha", 4), ("geetest", 3)] {
        let latchkey = services.stack_with_captcha(provider, &[]).await;
        for word in words {
            request(
                &latchkey,
                &PROTECTED[1],
                "log@example.com",
                &solution(provider, word),
            )
            .send()
            .await
            .is_refused(422, REFUSED);
        }
        let marked = json!({ "geetest_challenge": "marked-challenge", "geetest_validate": "marked-signature", "geetest_seccode": "marked-seccode" });
        for response in [marked.clone(), json!(marked.to_string())] {
            request(&latchkey, &PROTECTED[1], "log@example.com", &response)
                .send()
                .await
                .is_refused(422, REFUSED);
        }
        let token = json!("marked-token");
        let answer = request(&latchkey, &PROTECTED[1], "log@example.com", &token)
            .send()
            .await;
        if provider == "geetest" {
            answer.is_refused(400, &["identity.captcha.mandatory_fields"]);
        } else {
            answer.is_refused(422, REFUSED);
        }
        latchkey
            .invocations("session-create", "answered", words.len() + 3)
            .await;
        let log = latchkey.log();
        let count = |text: &str| log.iter().filter(|line| line.contains(text)).count();
        assert_eq!(
            (count("captcha_refused"), count("captcha_unavailable")),
            (refused, 4),
            "{provider}: {log:#?}"
        );
        assert!(
            count("has status 500") == 1 && count("has status 307") == 1,
            "{log:#?}"
        );
        assert_eq!((count(SECRET), count("marked-")), (0, 0), "{log:#?}");
    }
}
