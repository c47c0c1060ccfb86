//! Rules of every operation of the second factor

use crate::harness::{Request, latchkey, otp};

/// The operations, and whether each takes a code.
const OPERATIONS: [(&str, bool); 4] = [
    ("generate_qrcode", false),
    ("enable", true),
    ("disable", true),
    ("verify", true),
];

fn path(operation: &str) -> String {
    format!("/resource/otp/{operation}")
}

#[tokio::test]
async fn every_operation_requires_a_session_and_with_a_cookie_the_csrf_token() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-rules-signed-in").await;
    for (operation, _) in OPERATIONS {
        let request = || {
            latchkey
                .post(&path(operation))
                .form(&[("code", &authenticator.code())])
        };
        latchkey
            .refuses(&user, request(), 401, &["authz.invalid_session"])
            .await;
        latchkey
            .refuses(
                &user,
                request().bearer("forged"),
                401,
                &["authz.invalid_session"],
            )
            .await;
        latchkey
            .refuses(
                &user,
                request().cookie(&user.session),
                401,
                &["authz.missing_csrf_token"],
            )
            .await;
        let mismatched = request()
            .cookie(&user.session)
            .header("x-csrf-token", "another");
        latchkey
            .refuses(&user, mismatched, 401, &["authz.csrf_token_mismatch"])
            .await;
    }
    let verify = latchkey
        .post(&path("verify"))
        .form(&[("code", &authenticator.code())]);
    verify
        .cookie(&user.session)
        .header("x-csrf-token", &user.csrf_token)
        .send()
        .await
        .is_empty(201);
    assert_eq!(latchkey.failures(&user.email).await, 0);
}

#[tokio::test]
async fn the_code_parameter_is_validated_before_the_state_of_the_second_factor() {
    let latchkey = latchkey().await;
    let (on, _) = latchkey.enrolled("otp-rules-code").await;
    let off = latchkey.signed_up("otp-rules-code-off").await;
    for user in [&on, &off] {
        for (operation, _) in OPERATIONS.iter().filter(|(_, takes_code)| *takes_code) {
            let request = || latchkey.post(&path(operation)).bearer(&user.session);
            let too_long = "7".repeat(1025);
            for (request, status, key) in [
                (request(), 400, "resource.otp.missing_code"),
                (
                    request().json(&serde_json::json!({ "code": null })),
                    400,
                    "resource.otp.missing_code",
                ),
                (
                    request().form(&[("code", "")]),
                    400,
                    "resource.otp.empty_code",
                ),
                (
                    request().form(&[("code", " \t")]),
                    400,
                    "resource.otp.empty_code",
                ),
                (
                    request().form(&[("code", &too_long)]),
                    422,
                    "resource.otp.too_long_code",
                ),
                (
                    request().json(&serde_json::json!({ "code": 123_456 })),
                    400,
                    "request.malformed_body",
                ),
            ] {
                latchkey.refuses(user, request, status, &[key]).await;
            }
        }
        assert_eq!(latchkey.failures(&user.email).await, 0);
        assert!(
            latchkey
                .otp_activities(user)
                .await
                .iter()
                .all(|activity| activity.ends_with("succeed"))
        );
    }
}

#[tokio::test]
async fn unsupported_and_malformed_bodies_are_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("otp-rules-bodies").await;
    for (operation, _) in OPERATIONS {
        let request = || latchkey.post(&path(operation)).bearer(&user.session);
        let large = format!("code={}", "7".repeat(16 * 1024));
        for (request, status, key) in [
            (
                request().body("application/json", "{"),
                400,
                "request.malformed_body",
            ),
            (
                request().body("text/plain", "code=123456"),
                415,
                "request.unsupported_media_type",
            ),
            (
                request().untyped_body("code=123456"),
                415,
                "request.unsupported_media_type",
            ),
            (
                request().body("application/x-www-form-urlencoded", large),
                413,
                "request.too_large",
            ),
        ] {
            latchkey.refuses(&user, request, status, &[key]).await;
        }
    }
}

#[tokio::test]
async fn a_wrong_code_counts_like_a_wrong_password_and_a_right_one_neither_counts_nor_resets() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-rules-count").await;
    assert_eq!(
        latchkey.failures(&user.email).await,
        0,
        "the code that enabled the second factor is counted"
    );
    latchkey
        .sign_in(&user.email, "Wrong-Horse-7-Battery")
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    let wrong = authenticator.wrong_code();
    for (operation, count) in [("verify", 2), ("disable", 3)] {
        latchkey
            .refuses(
                &user,
                latchkey.otp(operation, &user.session, &wrong),
                422,
                &["resource.otp.invalid"],
            )
            .await;
        assert_eq!(latchkey.failures(&user.email).await, count);
    }
    latchkey
        .otp("verify", &user.session, &authenticator.code())
        .send()
        .await
        .is_empty(201);
    assert_eq!(latchkey.failures(&user.email).await, 3);
    latchkey
        .otp("disable", &user.session, &authenticator.recovery_codes[0])
        .send()
        .await
        .is_empty(200);
    assert_eq!(latchkey.failures(&user.email).await, 3);

    let secret = latchkey.generated_secret(&user).await;
    let wrong = latchkey.otp("enable", &user.session, &otp::wrong_code_of(&secret));
    latchkey
        .refuses(&user, wrong, 422, &["resource.otp.invalid"])
        .await;
    assert_eq!(latchkey.failures(&user.email).await, 4);
    assert_eq!(
        latchkey
            .otp("enable", &user.session, &otp::code_of(&secret, otp::step()))
            .send()
            .await
            .status,
        201
    );
    assert_eq!(latchkey.failures(&user.email).await, 4);
}

#[tokio::test]
async fn during_a_wait_no_code_is_evaluated() {
    let latchkey = latchkey().await;
    let (on, authenticator) = latchkey.enrolled("otp-rules-wait").await;
    let off = latchkey.signed_up("otp-rules-wait-off").await;
    let secret = latchkey.generated_secret(&off).await;
    for user in [&on, &off] {
        latchkey
            .sign_in(&user.email, "Wrong-Horse-7-Battery")
            .send()
            .await;
        latchkey.edit_failures(&user.email, 12, 600).await;
    }
    let request =
        |operation: &str, code: &str| -> Request { latchkey.otp(operation, &on.session, code) };
    for (user, request) in [
        (&on, request("verify", &authenticator.code())),
        (&on, request("verify", &authenticator.wrong_code())),
        (&on, request("disable", &authenticator.code())),
        (&on, request("disable", &authenticator.recovery_codes[0])),
        (
            &off,
            latchkey.otp("enable", &off.session, &otp::code_of(&secret, otp::step())),
        ),
    ] {
        let before = latchkey.items_of(user).await;
        let answer = request.send().await;
        answer.is_refused(429, &["request.too_many_attempts"]);
        let seconds: i64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=600).contains(&seconds), "{seconds}");
        assert_eq!(
            (
                latchkey.items_of(user).await,
                latchkey.failures(&user.email).await
            ),
            (before, 12)
        );
    }
    // The wait does not apply to operations without a code, and the state is checked before it.
    latchkey.generated_secret(&off).await;
    latchkey
        .otp("enable", &on.session, "123456")
        .send()
        .await
        .is_refused(400, &["resource.otp.already_enabled"]);
    latchkey
        .otp("verify", &off.session, "123456")
        .send()
        .await
        .is_refused(400, &["resource.otp.not_enabled"]);
}

/// The preceding sign-in leaves an unsettled attempt, which must not count.
#[tokio::test]
async fn five_wrong_codes_are_free_after_a_sign_in() {
    let latchkey = latchkey().await;
    for (operation, takes_code) in OPERATIONS {
        if !takes_code {
            continue;
        }
        let user = latchkey
            .signed_up(&format!("otp-rules-free-{operation}"))
            .await;
        let wrong = if operation == "enable" {
            let secret = latchkey.generated_secret(&user).await;
            assert_eq!(
                latchkey
                    .sign_in(&user.email, &user.password)
                    .send()
                    .await
                    .status,
                201
            );
            otp::wrong_code_of(&secret)
        } else {
            let authenticator = latchkey.enroll(&user).await;
            assert_eq!(
                latchkey
                    .sign_in_with(&user, &authenticator.code())
                    .send()
                    .await
                    .status,
                201
            );
            authenticator.wrong_code()
        };
        for _ in 0..6 {
            latchkey
                .otp(operation, &user.session, &wrong)
                .send()
                .await
                .is_refused(422, &["resource.otp.invalid"]);
        }
        let seventh = latchkey.otp(operation, &user.session, &wrong).send().await;
        seventh.is_refused(429, &["request.too_many_attempts"]);
    }
}
