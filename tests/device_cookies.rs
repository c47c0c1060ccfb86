//! Device cookies: failures of strangers do not keep users out of browsers that they use

use serde_json::json;
use shared::{
    domain::{
        device::Device,
        user::{Uid, User as StoredUser},
    },
    platform::clock,
    tokens::signed_token::{Claims, SigningKeys},
};

use crate::harness::{
    Answer, Latchkey, PASSWORD, Request, User, all_at_once, claims, forgeries, latchkey, otp,
};

const WRONG: &str = "Wrong-Horse-7-Battery";
const NEW: &str = "Newer-Horse-7-Battery";
const TOO_MANY: &[&str] = &["request.too_many_attempts"];

#[track_caller]
fn is_wrong(answer: &Answer) {
    answer.is_refused(404, &["identity.session.invalid_params"]);
}

/// Failures of a stranger that started the longest wait of the address.
const STRANGERS_FAILURES: i64 = 40;

async fn keep_out(latchkey: &Latchkey, email: &str) {
    latchkey.edit_failures(email, STRANGERS_FAILURES, 900).await;
    let stranger = latchkey.sign_in(email, PASSWORD).send().await;
    stranger.is_refused(429, TOO_MANY);
}

/// A sign-in of the user from a browser with this device cookie.
fn sign_in(latchkey: &Latchkey, user: &User, password: &str, cookie: &str) -> Request {
    latchkey.sign_in(&user.email, password).device(cookie)
}

/// A new user and the device cookie of their browser.
async fn with_device(latchkey: &Latchkey, name: &str) -> (User, String) {
    let user = latchkey.signed_up(name).await;
    let answer = latchkey.sign_in(&user.email, PASSWORD).send().await;
    latchkey.reset_failures(&user.email).await;
    (user, answer.device_cookie())
}

fn uids(cookie: &str) -> Vec<String> {
    let uid = |token| claims(token)["uid"].as_str().unwrap().to_owned();
    cookie.split('~').map(uid).collect()
}

#[tokio::test]
async fn a_user_signs_in_from_a_known_browser_while_a_stranger_keeps_failing() {
    let latchkey = latchkey().await;
    let (user, mut cookie) = with_device(latchkey, "device-known").await;
    keep_out(latchkey, &user.email).await;
    for _ in 0..3 {
        let answer = sign_in(latchkey, &user, PASSWORD, &cookie).send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_ne!(answer.device_cookie(), cookie, "a new device each time");
        cookie = answer.device_cookie();
    }
    // The success leaves the count and the wait of the address alone.
    assert_eq!(latchkey.failures(&user.email).await, STRANGERS_FAILURES);
    let stranger = latchkey.sign_in(&user.email, PASSWORD).send().await;
    stranger.is_refused(429, TOO_MANY);
}

#[tokio::test]
async fn a_user_signs_in_right_after_a_reset_while_a_stranger_keeps_failing() {
    let latchkey = latchkey().await;
    let (user, old) = with_device(latchkey, "device-reset").await;
    // As a user of an earlier version.
    latchkey
        .edit_user(&user, |item| drop(item.remove("device_epoch")))
        .await;
    let token = latchkey.reset_token(&user).await;
    keep_out(latchkey, &user.email).await;
    let reset = latchkey.confirm(&token, NEW).device(&old).send().await;
    reset.is_empty(201);
    let cookie = reset.device_cookie();
    assert_eq!(
        uids(&cookie),
        [user.uid.as_str()],
        "the old token is replaced"
    );
    keep_out(latchkey, &user.email).await;
    sign_in(latchkey, &user, NEW, &old)
        .send()
        .await
        .is_refused(429, TOO_MANY);
    let answer = sign_in(latchkey, &user, NEW, &cookie).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(
        claims(&cookie)["device"],
        json!({ "epoch": 1, "otp": false })
    );
}

#[tokio::test]
async fn a_stolen_cookie_is_useless_after_a_change_of_the_password() {
    let latchkey = latchkey().await;
    let (user, stolen) = with_device(latchkey, "device-stolen").await;
    let change = latchkey.change_password(&user, PASSWORD, NEW).send().await;
    change.is_empty(201);
    // Guesses count on the address, each one.
    for count in 1..=5 {
        is_wrong(&sign_in(latchkey, &user, WRONG, &stolen).send().await);
        assert_eq!(latchkey.failures(&user.email).await, count);
    }
    keep_out(latchkey, &user.email).await;
    for password in [NEW, WRONG] {
        sign_in(latchkey, &user, password, &stolen)
            .send()
            .await
            .is_refused(429, TOO_MANY);
    }
    let cookie = change.device_cookie();
    let answer = sign_in(latchkey, &user, NEW, &cookie).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn a_confirmation_replaces_the_device_cookie() {
    let latchkey = latchkey().await;
    let (user, old) = with_device(latchkey, "device-confirmed").await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    let cookies = format!("_latchkey_device={old}; _barong_session={}", user.session);
    let confirmed = latchkey
        .post("/identity/users/email/confirm_code")
        .form(&[("token", mail.confirmation_token().unwrap())])
        .header("cookie", cookies)
        .send()
        .await;
    assert_eq!(confirmed.status, 201, "{confirmed:?}");
    keep_out(latchkey, &user.email).await;
    sign_in(latchkey, &user, PASSWORD, &old)
        .send()
        .await
        .is_refused(429, TOO_MANY);
    let cookie = confirmed.device_cookie();
    let answer = sign_in(latchkey, &user, PASSWORD, &cookie).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn a_confirmation_with_the_password_counts_on_the_device() {
    let latchkey = latchkey().await;
    let (user, cookie) = with_device(latchkey, "device-confirms").await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    keep_out(latchkey, &user.email).await;
    let confirm = |password: &str| {
        let token = mail.confirmation_token().unwrap();
        latchkey
            .post("/identity/users/email/confirm_code")
            .form(&[("token", token), ("password", password)])
    };
    confirm(PASSWORD).send().await.is_refused(429, TOO_MANY);
    let wrong = confirm(WRONG).device(&cookie).send().await;
    wrong.is_refused(422, &["identity.user.invalid_password"]);
    assert_eq!(latchkey.device_failures(&cookie).await, 1);
    let right = confirm(PASSWORD).device(&cookie).send().await;
    assert_eq!((right.status, right.header("set-cookie")), (201, None));
    assert_eq!(latchkey.failures(&user.email).await, STRANGERS_FAILURES);
}

#[tokio::test]
async fn a_step_up_renews_the_device_cookie_and_sign_out_keeps_it() {
    let latchkey = latchkey().await;
    let (user, cookie) = with_device(latchkey, "device-renewed").await;
    let answer = latchkey
        .post("/resource/sessions/current")
        .bearer(&user.session)
        .device(&cookie)
        .form(&[("password", PASSWORD)])
        .send()
        .await;
    let renewed = answer.device_cookie();
    assert_eq!(uids(&renewed), [user.uid.as_str()]);
    assert_ne!(renewed, cookie);
    let out = latchkey.sign_out(&answer.session()).device(&renewed);
    let out = out.send().await;
    out.is_empty(204);
    let cookies = out.headers.iter().filter(|(name, _)| name == "set-cookie");
    let names: Vec<_> = cookies.map(|(_, value)| &value[..15]).collect();
    assert_eq!(names, ["_barong_session"]);
}

#[tokio::test]
async fn a_device_has_a_back_off_and_after_ten_failures_its_cookie_is_treated_as_absent() {
    let latchkey = latchkey().await;
    let (user, cookie) = with_device(latchkey, "device-ten").await;
    for _ in 0..6 {
        is_wrong(&sign_in(latchkey, &user, WRONG, &cookie).send().await);
    }
    assert_eq!(latchkey.failures(&user.email).await, 0);
    latchkey.edit_device_failures(&cookie, 8).await;
    is_wrong(&sign_in(latchkey, &user, WRONG, &cookie).send().await);
    let waiting = sign_in(latchkey, &user, PASSWORD, &cookie).send().await;
    waiting.is_refused(429, TOO_MANY);
    latchkey.edit_device_failures(&cookie, 9).await;
    is_wrong(&sign_in(latchkey, &user, WRONG, &cookie).send().await);
    assert_eq!(latchkey.device_failures(&cookie).await, 10);
    assert_eq!(latchkey.failures(&user.email).await, 0);
    is_wrong(&sign_in(latchkey, &user, WRONG, &cookie).send().await);
    assert_eq!(latchkey.failures(&user.email).await, 1);
    keep_out(latchkey, &user.email).await;
    sign_in(latchkey, &user, PASSWORD, &cookie)
        .send()
        .await
        .is_refused(429, TOO_MANY);
    assert_eq!(latchkey.device_failures(&cookie).await, 10);
    // The next sign-in without a wait sets a new device.
    latchkey.reset_failures(&user.email).await;
    let answer = sign_in(latchkey, &user, PASSWORD, &cookie).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    keep_out(latchkey, &user.email).await;
    let fresh = answer.device_cookie();
    let answer = sign_in(latchkey, &user, PASSWORD, &fresh).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn a_success_clears_the_failures_of_the_device() {
    let latchkey = latchkey().await;
    let (user, cookie) = with_device(latchkey, "device-success").await;
    for _ in 0..4 {
        is_wrong(&sign_in(latchkey, &user, WRONG, &cookie).send().await);
    }
    assert_eq!(latchkey.device_failures(&cookie).await, 4);
    // A right password of a closed account neither counts nor clears.
    latchkey.set_state(&user, "banned").await;
    sign_in(latchkey, &user, PASSWORD, &cookie)
        .send()
        .await
        .is_refused(401, &["identity.session.banned"]);
    assert_eq!(latchkey.device_failures(&cookie).await, 4);
    latchkey.set_state(&user, "active").await;
    let answer = sign_in(latchkey, &user, PASSWORD, &cookie).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(latchkey.device_failures(&cookie).await, 0);
}

#[tokio::test]
async fn forged_expired_and_foreign_tokens_are_treated_as_absent() {
    let latchkey = latchkey().await;
    let (user, cookie) = with_device(latchkey, "device-forged").await;
    let (_, foreign) = with_device(latchkey, "device-forged-other").await;
    let stored: StoredUser = serde_json::from_value(json!({
        "uid": user.uid, "email": user.email, "password_hash": "x", "state": "active",
        "role": "member", "level": 0, "session_epoch": 0, "created_at": 0, "updated_at": 0,
    }))
    .unwrap();
    let keys = SigningKeys::from_secrets(&latchkey.token_secret().await, None).unwrap();
    let signed = |device: &Device| keys.sign(&Claims::of_device(device)).unwrap();
    let genuine = Device::begin(&stored, 0, false, clock::now());
    let variants = [
        (
            "expired",
            Device {
                expires_at: clock::now(),
                ..genuine.clone()
            },
        ),
        (
            "of a later epoch",
            Device::begin(&stored, 1, false, clock::now()),
        ),
        (
            "of the last epoch",
            Device::begin(&stored, u64::MAX, false, clock::now()),
        ),
        (
            "of an earlier user of the address",
            Device {
                uid: Uid::generate("ID"),
                ..genuine.clone()
            },
        ),
    ];
    let mut all = forgeries(&cookie, &foreign);
    all.extend(variants.map(|(what, device)| (what.to_owned(), signed(&device))));
    all.extend([
        ("a session".to_owned(), user.session.clone()),
        ("of another account".to_owned(), foreign.clone()),
    ]);
    keep_out(latchkey, &user.email).await;
    for (what, token) in &all {
        let answer = sign_in(latchkey, &user, PASSWORD, token).send().await;
        assert_eq!(answer.status, 429, "{what}: {answer:?}");
    }
    // They count like an attempt without a cookie, once.
    latchkey.reset_failures(&user.email).await;
    for (what, token) in all.iter().rev().take(6) {
        let before = latchkey.failures(&user.email).await;
        latchkey.edit_failures(&user.email, before, 0).await;
        is_wrong(&sign_in(latchkey, &user, WRONG, token).send().await);
        let counted = latchkey.failures(&user.email).await - before;
        assert_eq!(counted, 1, "{what}");
        latchkey.reset_failures(&user.email).await;
    }
    // Beside a genuine one they do no harm.
    keep_out(latchkey, &user.email).await;
    let forged: Vec<&str> = all
        .iter()
        .map(|(_, token)| token.as_str())
        .take(8)
        .collect();
    let with_others = format!("{}~{}", forged.join("~"), signed(&genuine));
    let answer = sign_in(latchkey, &user, PASSWORD, &with_others)
        .send()
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(uids(&answer.device_cookie()), [user.uid.as_str()]);
}

#[tokio::test]
async fn a_cookie_of_an_account_that_no_longer_exists_is_treated_as_absent() {
    let latchkey = latchkey().await;
    let (user, cookie) = with_device(latchkey, "device-gone").await;
    latchkey.delete_user(&user).await;
    is_wrong(&sign_in(latchkey, &user, PASSWORD, &cookie).send().await);
    assert_eq!(latchkey.failures(&user.email).await, 1);
    keep_out(latchkey, &user.email).await;
    sign_in(latchkey, &user, PASSWORD, &cookie)
        .send()
        .await
        .is_refused(429, TOO_MANY);
}

#[tokio::test]
async fn a_browser_knows_four_accounts_and_the_one_set_longest_ago_goes_first() {
    let latchkey = latchkey().await;
    let mut users = Vec::new();
    let mut cookie = String::new();
    for number in 0..5 {
        let body =
            json!({ "email": format!("device-many-{number}@example.com"), "password": PASSWORD });
        let request = latchkey.post("/identity/users").device(&cookie);
        let answer = request.json(&body).send().await;
        cookie = answer.device_cookie();
        users.push(User::from_answer(&answer, PASSWORD));
        if number == 1 {
            for user in &users {
                keep_out(latchkey, &user.email).await;
                let answer = sign_in(latchkey, user, PASSWORD, &cookie).send().await;
                assert_eq!(answer.status, 201, "two accounts of one browser");
            }
        }
    }
    let kept: Vec<&str> = users[1..].iter().map(|user| user.uid.as_str()).collect();
    assert_eq!(uids(&cookie), kept);
    for (number, user) in users.iter().enumerate() {
        keep_out(latchkey, &user.email).await;
        let answer = sign_in(latchkey, user, PASSWORD, &cookie).send().await;
        assert_eq!(
            answer.status,
            if number == 0 { 429 } else { 201 },
            "{number}"
        );
    }
    // Renewed, an account is the one set last.
    let answer = sign_in(latchkey, &users[1], PASSWORD, &cookie).send().await;
    let order = [2, 3, 4, 1].map(|number: usize| users[number].uid.clone());
    assert_eq!(uids(&answer.device_cookie()), order);
}

#[tokio::test]
async fn several_cookies_of_the_name_are_merged() {
    let latchkey = latchkey().await;
    let (ada, first) = with_device(latchkey, "device-merged-ada").await;
    let (bob, second) = with_device(latchkey, "device-merged-bob").await;
    // As when a sibling domain sets a cookie for another path.
    let cookies =
        format!("_latchkey_device=x~y; _latchkey_device={second}; _latchkey_device={first}");
    for user in [&ada, &bob] {
        keep_out(latchkey, &user.email).await;
        let request = latchkey.sign_in(&user.email, PASSWORD);
        let answer = request.header("cookie", &cookies).send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(uids(&answer.device_cookie()).len(), 2);
    }
}

#[tokio::test]
async fn of_sixteen_concurrent_wrong_passwords_on_a_device_none_counts_on_the_address() {
    let latchkey = latchkey().await;
    let (user, cookie) = with_device(latchkey, "device-race").await;
    let requests = (0..16).map(|_| sign_in(latchkey, &user, WRONG, &cookie));
    let answers = all_at_once(requests).await;
    let evaluated = answers.iter().filter(|answer| answer.status == 404).count();
    // On a slow machine the first waits of 1, 2, 4 and 8 seconds may end.
    assert!((1..=10).contains(&evaluated), "{evaluated}");
    for answer in answers.iter().filter(|answer| answer.status != 404) {
        answer.is_refused(429, TOO_MANY);
    }
    assert_eq!(latchkey.failures(&user.email).await, 0);
    assert!(latchkey.device_failures(&cookie).await <= 10);
}

#[tokio::test]
async fn without_back_off_a_device_cookie_changes_nothing() {
    let latchkey = Latchkey::start(&[otp::FOR_RACES[0]]).await;
    let (user, cookie) = with_device(&latchkey, "device-off").await;
    for _ in 0..12 {
        is_wrong(&sign_in(&latchkey, &user, WRONG, &cookie).send().await);
    }
    assert_eq!(latchkey.device_failures(&cookie).await, 0);
    let answer = sign_in(&latchkey, &user, PASSWORD, &cookie).send().await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn the_name_of_the_cookie_has_the_host_prefix_if_the_session_cookie_has_it() {
    let latchkey = Latchkey::start(&[("IDENTITY_SESSION_NAME", "__Host-latchkey")]).await;
    let user = latchkey.signed_up("device-host").await;
    let answer = latchkey.sign_in(&user.email, PASSWORD).send().await;
    let expected = format!(
        "__Host-latchkey_device={}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=7776000",
        answer.device_cookie()
    );
    let is_set = answer.headers.iter().any(|(_, value)| *value == expected);
    assert!(is_set, "{answer:?}");
    keep_out(&latchkey, &user.email).await;
    let with = |name: &str| {
        let cookie = format!("{name}={}", answer.device_cookie());
        latchkey
            .sign_in(&user.email, PASSWORD)
            .header("cookie", cookie)
    };
    // The name without the prefix is one that a sibling domain can set.
    let planted = with("_latchkey_device").send().await;
    planted.is_refused(429, TOO_MANY);
    assert_eq!(with("__Host-latchkey_device").send().await.status, 201);
}
