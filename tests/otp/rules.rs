//! Rules of every operation of the second factor

use crate::harness::{Latchkey, PASSWORD, User, all_at_once, latchkey, number, otp};

/// The operations, and whether each takes a code.
const OPERATIONS: [(&str, bool); 5] = [
    ("generate_qrcode", false),
    ("enable", true),
    ("disable", true),
    ("verify", true),
    ("recovery_codes", true),
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
}

#[tokio::test]
async fn the_code_parameter_is_validated_before_the_state_of_the_second_factor() {
    let latchkey = latchkey().await;
    let (on, _) = latchkey.enrolled("otp-rules-code").await;
    let off = latchkey.confirmed("otp-rules-code-off").await;
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
                    request().json(&serde_json::json!({ "code": [123_456] })),
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

/// The wrong codes that a session counts.
async fn failures(latchkey: &Latchkey, user: &User) -> i64 {
    let item = latchkey.session_item(user, &user.session).await.unwrap();
    item.get("code_failures")
        .map_or(0, |_| number(&item, "code_failures"))
}

#[tokio::test]
async fn a_wrong_code_counts_on_the_session_and_a_right_one_clears_the_count() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-rules-count").await;
    let wrong = authenticator.wrong_code();
    for (operation, count) in [("verify", 1), ("disable", 2), ("recovery_codes", 3)] {
        latchkey
            .refuses(
                &user,
                latchkey.otp(operation, &user.session, &wrong),
                422,
                &["resource.otp.invalid"],
            )
            .await;
        assert_eq!(failures(latchkey, &user).await, count, "{operation}");
    }
    latchkey
        .otp("verify", &user.session, &authenticator.code())
        .send()
        .await
        .is_empty(201);
    assert_eq!(failures(latchkey, &user).await, 0);
    assert_eq!(
        latchkey.failures(&user.email).await,
        0,
        "the sign-in counter of the address is not concerned"
    );
}

#[tokio::test]
async fn a_text_without_the_form_of_a_code_is_rejected_and_not_counted() {
    let latchkey = latchkey().await;
    let (user, _) = latchkey.enrolled("otp-rules-form").await;
    for operation in ["verify", "disable", "recovery_codes"] {
        for text in ["12345", "1234567", "nonsense", "ABCDE-FGH2", "12345x"] {
            latchkey
                .refuses(
                    &user,
                    latchkey.otp(operation, &user.session, text),
                    422,
                    &["resource.otp.invalid"],
                )
                .await;
        }
    }
    assert_eq!(failures(latchkey, &user).await, 0);
}

#[tokio::test]
async fn the_tenth_wrong_code_in_a_row_ends_the_session() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-rules-tenth").await;
    let owner = latchkey
        .sign_in_with(&user, &authenticator.recovery_codes[0])
        .send()
        .await
        .session();
    let wrong = authenticator.wrong_code();
    for _ in 0..10 {
        latchkey
            .otp("verify", &user.session, &wrong)
            .send()
            .await
            .is_refused(422, &["resource.otp.invalid"]);
    }
    latchkey
        .otp("verify", &user.session, &authenticator.code())
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    // The thief of one session cannot lock the owner out of another one, or of signing in.
    latchkey
        .otp("verify", &owner, &authenticator.code())
        .send()
        .await
        .is_empty(201);
    assert_eq!(latchkey.failures(&user.email).await, 0);
}

#[tokio::test]
async fn wrong_passwords_and_wrong_codes_count_together() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-rules-together").await;
    let wrong = authenticator.wrong_code();
    for _ in 0..5 {
        latchkey
            .change_password(&user, "Wrong-Horse-1", "Other-Horse-7-Battery")
            .send()
            .await
            .is_refused(400, &["resource.password.prev_pass_not_correct"]);
        latchkey
            .otp("verify", &user.session, &wrong)
            .send()
            .await
            .is_refused(422, &["resource.otp.invalid"]);
    }
    latchkey
        .otp("verify", &user.session, &authenticator.code())
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
}

/// A thief of a session who knows the password could otherwise guess codes without end.
#[tokio::test]
async fn right_passwords_between_wrong_codes_do_not_clear_the_count() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-rules-alternate").await;
    let wrong = authenticator.wrong_code();
    for _ in 0..10 {
        latchkey
            .change_password(&user, PASSWORD, PASSWORD)
            .send()
            .await
            .is_refused(400, &["resource.password.no_change_provided"]);
        latchkey
            .otp("verify", &user.session, &wrong)
            .send()
            .await
            .is_refused(422, &["resource.otp.invalid"]);
    }
    latchkey
        .otp("verify", &user.session, &authenticator.code())
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
}

/// A thief of a session who turned on a second factor could otherwise guess passwords without end.
#[tokio::test]
async fn right_codes_between_wrong_passwords_do_not_clear_the_count() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-rules-passwords").await;
    for attempt in 0..10 {
        if attempt == 5 {
            latchkey
                .otp("verify", &user.session, &authenticator.code())
                .send()
                .await
                .is_empty(201);
        }
        latchkey
            .change_password(&user, "Wrong-Horse-1", "Other-Horse-7-Battery")
            .send()
            .await
            .is_refused(400, &["resource.password.prev_pass_not_correct"]);
    }
    latchkey
        .otp("verify", &user.session, &authenticator.code())
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
}

#[tokio::test]
async fn no_more_than_ten_concurrent_wrong_codes_are_verified() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("otp-rules-race").await;
    let wrong = authenticator.wrong_code();
    let requests = (0..16).map(|_| latchkey.otp("verify", &user.session, &wrong));
    let answers = all_at_once(requests).await;
    let verified = answers.iter().filter(|answer| answer.status == 422).count();
    assert_eq!(verified, 10);
    for answer in answers.iter().filter(|answer| answer.status != 422) {
        assert!([401, 429].contains(&answer.status), "{answer:?}");
    }
    latchkey
        .otp("verify", &user.session, &authenticator.code())
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
}

#[tokio::test]
async fn a_pending_account_cannot_have_a_second_factor() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("otp-rules-pending").await;
    let request = latchkey
        .post(&path("generate_qrcode"))
        .bearer(&user.session);
    latchkey
        .refuses(&user, request, 422, &["resource.otp.email_not_confirmed"])
        .await;
    let request = latchkey.otp("enable", &user.session, "123456");
    latchkey
        .refuses(&user, request, 422, &["resource.otp.email_not_confirmed"])
        .await;
    assert_eq!(
        latchkey.otp_activities(&user).await,
        ["request QR code for 2FA failed", "enable 2FA failed"]
    );
}

#[tokio::test]
async fn changes_of_the_second_factor_require_a_recent_authentication() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("otp-rules-recent").await;
    latchkey.age_authentication(&user, 901).await;
    for operation in ["generate_qrcode", "enable", "disable", "recovery_codes"] {
        let request = latchkey.otp(operation, &user.session, &authenticator.code());
        latchkey
            .refuses(&user, request, 401, &["authz.reauthentication_required"])
            .await;
    }
    latchkey
        .otp("verify", &user.session, &authenticator.code())
        .send()
        .await
        .is_empty(201);
}
