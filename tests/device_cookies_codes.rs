//! Device cookies of users with a second factor

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::harness::{
    Answer, Fault, Faulty, Latchkey, Request, User, all_at_once, claims, latchkey, now, number,
    otp, text,
};

const TOO_MANY: &[&str] = &["request.too_many_attempts"];

fn sign_in(latchkey: &Latchkey, user: &User, code: &str, cookie: &str) -> Request {
    latchkey.sign_in_with(user, code).device(cookie)
}

#[track_caller]
fn is_signed_in(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.device_cookie()
}

#[track_caller]
fn is_wrong(answer: &Answer) {
    answer.is_refused(403, &["identity.session.invalid_otp"]);
}

/// A user with a second factor, and the cookie of a browser in which they used it. The code of the
/// present step is unused.
async fn with_device(latchkey: &Latchkey, name: &str) -> (User, otp::Authenticator, String) {
    let (user, authenticator) = latchkey.enrolled(name).await;
    let signed_in = latchkey.sign_in_with(&user, &authenticator.code());
    let cookie = is_signed_in(&signed_in.send().await);
    latchkey.reset_failures(&user.email).await;
    forget_code(latchkey, &user).await;
    (user, authenticator, cookie)
}

/// Makes the code of the present step usable once more.
async fn forget_code(latchkey: &Latchkey, user: &User) {
    latchkey
        .edit_user(user, |item| drop(item.remove("otp_last_step")))
        .await;
}

/// Wrong codes of a person who knows the password, and the wait that they started.
async fn keep_out(latchkey: &Latchkey, user: &User, count: i64) {
    latchkey
        .edit_user(user, |item| {
            for (name, value) in [("totp_failures", count), ("totp_retry_at", now() + 86_400)] {
                let value = AttributeValue::N(value.to_string());
                drop(item.insert(name.to_owned(), value));
            }
        })
        .await;
}

async fn account_failures(latchkey: &Latchkey, user: &User) -> i64 {
    number(&latchkey.user_item(user).await, "totp_failures")
}

#[tokio::test]
async fn a_user_signs_in_from_a_known_browser_while_others_enter_wrong_codes() {
    let latchkey = latchkey().await;
    let (user, authenticator, cookie) = with_device(latchkey, "device-otp").await;
    assert_eq!(claims(&cookie)["device"]["otp"], json!(true));
    for count in [20, 100] {
        keep_out(latchkey, &user, count).await;
        latchkey
            .sign_in_with(&user, &authenticator.code())
            .send()
            .await
            .is_refused(429, TOO_MANY);
        let answer = sign_in(latchkey, &user, &authenticator.code(), &cookie);
        is_signed_in(&answer.send().await);
        // A code of the device clears no wrong code of the account.
        assert_eq!(account_failures(latchkey, &user).await, count);
        forget_code(latchkey, &user).await;
    }
    // A code works once on a device too.
    let code = authenticator.code();
    let first = sign_in(latchkey, &user, &code, &cookie).send().await;
    is_signed_in(&first);
    is_wrong(&sign_in(latchkey, &user, &code, &cookie).send().await);
}

#[tokio::test]
async fn a_recovery_code_on_a_device_ends_the_wait_of_the_account() {
    let latchkey = latchkey().await;
    let (user, authenticator, cookie) = with_device(latchkey, "device-otp-recovery").await;
    keep_out(latchkey, &user, 100).await;
    let code = &authenticator.recovery_codes[0];
    is_signed_in(&sign_in(latchkey, &user, code, &cookie).send().await);
    let signed_in = latchkey.sign_in_with(&user, &authenticator.code());
    is_signed_in(&signed_in.send().await);
}

#[tokio::test]
async fn a_cookie_of_a_sign_in_without_a_second_factor_does_not_ignore_the_wait() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("device-otp-none").await;
    let signed_in = latchkey.sign_in(&user.email, &user.password).send().await;
    let cookie = is_signed_in(&signed_in);
    assert_eq!(claims(&cookie)["device"]["otp"], json!(false));
    let authenticator = latchkey.enroll(&user).await;
    keep_out(latchkey, &user, 20).await;
    sign_in(latchkey, &user, &authenticator.code(), &cookie)
        .send()
        .await
        .is_refused(429, TOO_MANY);
    latchkey
        .edit_user(&user, |item| drop(item.remove("totp_retry_at")))
        .await;
    let wrong = authenticator.wrong_code();
    is_wrong(&sign_in(latchkey, &user, &wrong, &cookie).send().await);
    assert_eq!(account_failures(latchkey, &user).await, 21);
}

#[tokio::test]
async fn ten_wrong_codes_are_verified_on_a_device() {
    let latchkey = latchkey().await;
    let (user, authenticator, cookie) = with_device(latchkey, "device-otp-ten").await;
    keep_out(latchkey, &user, 20).await;
    for count in 1..=10 {
        let wrong = authenticator.wrong_code();
        is_wrong(&sign_in(latchkey, &user, &wrong, &cookie).send().await);
        assert_eq!(latchkey.device_codes(&cookie).await, count);
    }
    // A text without the form of a code does not count anywhere.
    assert_eq!(account_failures(latchkey, &user).await, 20);
    assert_eq!(latchkey.failures(&user.email).await, 0);
    for code in [authenticator.code(), authenticator.wrong_code()] {
        sign_in(latchkey, &user, &code, &cookie)
            .send()
            .await
            .is_refused(429, TOO_MANY);
    }
    assert_eq!(latchkey.device_codes(&cookie).await, 10);
    // The password still counts on the device.
    latchkey.edit_failures(&user.email, 40, 900).await;
    let without_code = latchkey
        .sign_in(&user.email, &user.password)
        .device(&cookie);
    without_code
        .send()
        .await
        .is_refused(401, &["identity.session.missing_otp"]);
    let notices = latchkey.queued_mails(&user).await;
    let known = notices
        .iter()
        .filter(|mail| text(mail, "kind") == "password_known");
    assert_eq!(known.count(), 1, "one a day");
}

#[tokio::test]
async fn a_right_code_clears_the_wrong_codes_of_the_device() {
    let latchkey = latchkey().await;
    let (user, authenticator, cookie) = with_device(latchkey, "device-otp-clear").await;
    for _ in 0..3 {
        let wrong = authenticator.wrong_code();
        is_wrong(&sign_in(latchkey, &user, &wrong, &cookie).send().await);
    }
    let right = sign_in(latchkey, &user, &authenticator.code(), &cookie);
    is_signed_in(&right.send().await);
    assert_eq!(latchkey.device_codes(&cookie).await, 0);
    assert_eq!(latchkey.device_failures(&cookie).await, 0);
}

#[tokio::test]
async fn after_ten_wrong_passwords_the_cookie_is_absent_for_codes_too() {
    let latchkey = latchkey().await;
    let (user, authenticator, cookie) = with_device(latchkey, "device-otp-passwords").await;
    keep_out(latchkey, &user, 20).await;
    latchkey.edit_device_failures(&cookie, 10).await;
    sign_in(latchkey, &user, &authenticator.code(), &cookie)
        .send()
        .await
        .is_refused(429, TOO_MANY);
}

/// A thief of the session and the device cookie who knows the password could otherwise get ten more
/// codes with each change.
#[tokio::test]
async fn a_change_of_the_password_issues_a_device_token_without_a_second_factor() {
    let latchkey = latchkey().await;
    let (user, authenticator, cookie) = with_device(latchkey, "device-otp-change").await;
    let new = "Newer-Horse-7-Battery";
    let session = &user.session;
    let fields = [
        ("old_password", user.password.as_str()),
        ("new_password", new),
        ("confirm_password", new),
    ];
    let request = latchkey.request("PUT".parse().unwrap(), "/resource/users/password");
    let changed = request.bearer(session).device(&cookie).form(&fields);
    let changed = changed.send().await.device_cookie();
    assert_eq!(
        claims(&changed)["device"],
        json!({ "epoch": 1, "otp": false })
    );
    let user = User {
        password: new.to_owned(),
        ..user
    };
    keep_out(latchkey, &user, 20).await;
    for cookie in [&cookie, &changed] {
        let answer = sign_in(latchkey, &user, &authenticator.code(), cookie);
        answer.send().await.is_refused(429, TOO_MANY);
    }
}

#[tokio::test]
async fn of_sixteen_concurrent_codes_on_a_device_each_verdict_is_counted() {
    // Without back-off for passwords; the limit of wrong codes stays.
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let (user, authenticator, cookie) = with_device(&latchkey, "device-otp-race").await;
    let wrong = authenticator.wrong_code();
    let requests = (0..16).map(|_| sign_in(&latchkey, &user, &wrong, &cookie));
    let answers = all_at_once(requests).await;
    let verified = answers.iter().filter(|answer| answer.status == 403).count();
    for answer in answers.iter().filter(|answer| answer.status != 403) {
        answer.is_refused(429, TOO_MANY);
    }
    assert!((1..=10).contains(&verified), "{verified}");
    let counted = latchkey.device_codes(&cookie).await;
    assert_eq!(counted, i64::try_from(verified).unwrap());
    let code = authenticator.code();
    let requests = (0..16).map(|_| sign_in(&latchkey, &user, &code, &cookie));
    let answers = all_at_once(requests).await;
    let opened = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn a_retried_transaction_counts_a_wrong_code_on_a_device_once() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    let (user, authenticator, cookie) = with_device(latchkey, "lost-device-code").await;
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    let wrong = authenticator.wrong_code();
    is_wrong(&sign_in(latchkey, &user, &wrong, &cookie).send().await);
    assert_eq!(latchkey.device_codes(&cookie).await, 1);
    faulty.fail("TransactWriteItems", 1, Fault::AnswerLost);
    let right = sign_in(latchkey, &user, &authenticator.code(), &cookie);
    is_signed_in(&right.send().await);
    assert_eq!(latchkey.device_codes(&cookie).await, 0);
}
