//! Captchas, whoever provides them: what they stand before, and in which order

use serde_json::{Value, json};

use super::providers::{PROTECTED, everything, request};
use crate::harness::{
    Latchkey, Outside, PASSWORD, all_at_once, borrowed,
    captcha::{self, SECRET, SECRET_NAME, solution},
};

const REQUIRED: &[&str] = &["identity.captcha.required"];
const REFUSED: &[&str] = &["identity.captcha.verification_failed"];

#[tokio::test]
async fn without_a_solution_a_protected_operation_does_nothing_and_asks_nobody() {
    let outside = Outside::start().await;
    let latchkey = outside.protects("turnstile", &[]).await;
    let user = latchkey
        .signed_up_with("blank", &json!({ "captcha_response": "yes" }))
        .await;
    let before = everything(&latchkey).await;
    let asked = outside.asked().len();
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
        (everything(&latchkey).await, outside.asked().len()),
        (before, asked)
    );
}

#[tokio::test]
async fn parameters_come_before_the_captcha() {
    let outside = Outside::start().await;
    let latchkey = outside.protects("turnstile", &[]).await;
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
    assert_eq!(outside.asked().len(), 0);
}

#[tokio::test]
async fn limits_come_before_the_captcha() {
    let outside = Outside::start().await;
    let limits = [
        ("IDENTITY_MAIL_INTERVAL", "3600"),
        ("IDENTITY_MAILS_PER_HOUR", "5"),
        ("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "1"),
    ];
    let latchkey = outside.protects("turnstile", &limits).await;
    let user = latchkey
        .signed_up_with("limits", &json!({ "captcha_response": "yes" }))
        .await;
    let late = ["password_reset", "email_confirmation"].map(|name| {
        PROTECTED
            .iter()
            .find(|operation| operation.name == name)
            .unwrap()
    });
    for operation in late {
        request(&latchkey, operation, &user.email, &json!("yes"))
            .send()
            .await
            .is_empty(201);
    }
    // Each failure doubles the wait, so that the last one is still on when the next attempt comes.
    let wrong = || {
        latchkey.post("/identity/sessions").json(
            &json!({ "email": user.email, "password": "Wrong-Horse-7", "captcha_response": "yes" }),
        )
    };
    while wrong().send().await.status != 429 {}
    let asked = outside.asked().len();
    for operation in late {
        request(&latchkey, operation, &user.email, &json!("yes"))
            .send()
            .await
            .is_refused(429, &["request.too_many_attempts"]);
    }
    wrong()
        .send()
        .await
        .is_refused(429, &["request.too_many_attempts"]);
    assert_eq!(outside.asked().len(), asked);
}

#[tokio::test]
async fn the_limit_of_a_client_comes_before_the_captcha() {
    let outside = Outside::start().await;
    let latchkey = outside
        .protects("turnstile", &[("IDENTITY_REQUESTS_PER_MINUTE", "1")])
        .await;
    // Two calendar minutes at the most pass under these, so that two of four are refused at least.
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
    assert_eq!(outside.asked().len(), admitted);
}

#[tokio::test]
async fn a_refused_request_counts_as_no_mail() {
    let outside = Outside::start().await;
    let latchkey = outside
        .protects(
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
async fn a_captcha_comes_before_everything_that_an_answer_could_tell_of_an_account() {
    let outside = Outside::start().await;
    let latchkey = outside.protects("turnstile", &[]).await;
    let user = latchkey
        .signed_up_with("told", &json!({ "captcha_response": "yes" }))
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
    // An address that is none asks for a captcha too where such an address is answered like any
    // other.
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
async fn only_the_operations_of_the_list_want_a_captcha() {
    let outside = Outside::start().await;
    for wanted in PROTECTED {
        let latchkey = outside
            .protects(
                "turnstile",
                &[("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", wanted.name)],
            )
            .await;
        let user = latchkey
            .signed_up_with("listed", &json!({ "captcha_response": "yes" }))
            .await;
        let asked = outside.asked().len();
        for operation in PROTECTED {
            let answer = request(&latchkey, operation, &user.email, &Value::Null)
                .send()
                .await;
            assert_eq!(
                answer.status,
                if operation.name == wanted.name {
                    400
                } else {
                    201
                },
                "{}: {answer:?}",
                operation.name
            );
        }
        assert_eq!(outside.asked().len(), asked);
    }
}

#[tokio::test]
async fn a_provider_that_never_answers_is_not_waited_for() {
    let outside = Outside::start().await;
    let latchkey = outside.protects("hcaptcha", &[]).await;
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
async fn a_provider_that_is_down_lets_nobody_pass() {
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
async fn a_secret_that_is_not_there_lets_nobody_pass() {
    let outside = Outside::start().await;
    let latchkey = outside
        .protects("recaptcha", &[("IDENTITY_CAPTCHA_SECRET_ARN", "another")])
        .await;
    for operation in PROTECTED {
        request(&latchkey, operation, "secret@example.com", &json!("yes"))
            .send()
            .await
            .is_refused(500, &["server.internal_error"]);
    }
    assert!(everything(&latchkey).await.is_empty() && outside.asked().is_empty());
}

#[tokio::test]
async fn a_solution_may_have_4096_characters() {
    let outside = Outside::start().await;
    let latchkey = outside.protects("turnstile", &[]).await;
    let long = format!("yes{}", "ж".repeat(4093));
    latchkey
        .signed_up_with("long", &json!({ "captcha_response": long }))
        .await;
    assert_eq!(outside.asked()[0].fields["response"], long);
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
async fn neither_secret_nor_solution_is_in_any_log_line_but_why_nobody_passed_is() {
    let outside = Outside::start().await;
    let words = ["no", "garbage", "error", "redirect", "long"];
    for provider in ["hcaptcha", "geetest"] {
        let latchkey = outside.protects(provider, &[]).await;
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
        for response in [
            marked.clone(),
            json!(marked.to_string()),
            json!("marked-token"),
        ] {
            request(&latchkey, &PROTECTED[1], "log@example.com", &response)
                .send()
                .await
                .is_refused(422, REFUSED);
        }
        latchkey
            .invocations("session-create", "answered", words.len() + 3)
            .await;
        let log = latchkey.log();
        let count = |text: &str| log.iter().filter(|line| line.contains(text)).count();
        assert_eq!(
            (count("captcha_refused"), count("captcha_unavailable")),
            (4, 4),
            "{provider}: {log:#?}"
        );
        assert!(
            count("answered with status 500") == 1 && count("answered with status 307") == 1,
            "{log:#?}"
        );
        assert_eq!((count(SECRET), count("marked-")), (0, 0), "{log:#?}");
    }
}
