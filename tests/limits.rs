//! Back-off of sign-ins, rate limits, and the activities that record attempts

use crate::harness::{
    Answer, Item, Latchkey, PASSWORD, Request, User, all_at_once, latchkey, now, number, otp,
};

const TOO_MANY: &[&str] = &["request.too_many_attempts"];
const WRONG: &str = "Wrong-Horse-7-Battery";

#[track_caller]
fn is_wrong(answer: &Answer) {
    answer.is_refused(404, &["identity.session.invalid_params"]);
}

/// Asserts 429 and returns the seconds in `Retry-After`.
#[track_caller]
fn wait_of(answer: &Answer) -> i64 {
    answer.is_refused(429, TOO_MANY);
    answer
        .header("retry-after")
        .expect("seconds")
        .parse()
        .unwrap()
}

/// Sends six wrong passwords: the five free ones and the one that starts the first wait.
async fn fail_six_times(latchkey: &Latchkey, email: &str) {
    for _ in 0..6 {
        is_wrong(&latchkey.sign_in(email, WRONG).send().await);
    }
}

#[tokio::test]
async fn after_five_wrong_passwords_each_further_one_doubles_the_wait() {
    let latchkey = latchkey().await;
    for email in [
        latchkey.signed_up("limit-wait").await.email,
        "limit-nobody@example.com".to_owned(),
    ] {
        fail_six_times(latchkey, &email).await;
        assert_eq!(latchkey.failures(&email).await, 6);
        // Long waits, so that none ends during the test.
        for (failures, wait) in [(11, 64), (12, 128), (14, 512), (15, 900), (40, 900)] {
            latchkey.edit_failures(&email, failures, 0).await;
            is_wrong(&latchkey.sign_in(&email, WRONG).send().await);
            let left = wait_of(&latchkey.sign_in(&email, PASSWORD).send().await);
            assert!((wait / 2..=wait).contains(&left), "{left} of {wait}");
        }
    }
}

#[tokio::test]
async fn during_a_wait_the_right_password_is_rejected_and_the_wait_does_not_change() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("limit-right").await;
    fail_six_times(latchkey, &user.email).await;
    latchkey.edit_failures(&user.email, 11, 0).await;
    is_wrong(&latchkey.sign_in(&user.email, WRONG).send().await);
    let counted = latchkey.failures_item(&user.email).await;
    latchkey
        .refuses(
            &user,
            latchkey.sign_in(&user.email, &user.password),
            429,
            TOO_MANY,
        )
        .await;
    assert_eq!(latchkey.failures_item(&user.email).await, counted);
    latchkey.age_failures(&user.email, 64).await;
    latchkey.signed_in(&user).await;
}

#[tokio::test]
async fn a_success_resets_the_count() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("limit-success").await;
    for _ in 0..2 {
        for _ in 0..5 {
            is_wrong(&latchkey.sign_in(&user.email, WRONG).send().await);
        }
        latchkey.signed_in(&user).await;
        assert_eq!(latchkey.failures(&user.email).await, 0);
    }
}

#[tokio::test]
async fn fifteen_minutes_without_attempts_after_the_wait_reset_the_count() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("limit-quiet").await;
    fail_six_times(latchkey, &user.email).await;
    latchkey.age_failures(&user.email, 902).await;
    fail_six_times(latchkey, &user.email).await;
}

#[tokio::test]
async fn a_password_reset_ends_the_wait() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("limit-reset").await;
    let token = latchkey.reset_token(&user).await;
    fail_six_times(latchkey, &user.email).await;
    latchkey
        .confirm(&token, "Newer-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
    assert_eq!(latchkey.failures(&user.email).await, 0);
    assert_eq!(
        latchkey
            .sign_in(&user.email, "Newer-Horse-7-Battery")
            .send()
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn wrong_codes_do_not_count_as_wrong_passwords() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("limit-otp").await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    for _ in 0..3 {
        is_wrong(&latchkey.sign_in(&user.email, WRONG).send().await);
        latchkey
            .sign_in_with(&user, &otp::wrong_code())
            .send()
            .await
            .is_refused(403, &["identity.session.invalid_otp"]);
    }
    assert_eq!(latchkey.failures(&user.email).await, 3);
}

/// The holder of one session sends requests that change something.
#[tokio::test]
async fn state_changing_requests_of_a_session_are_limited() {
    let latchkey = Latchkey::start(&[("IDENTITY_SESSION_REQUESTS_PER_MINUTE", "5")]).await;
    let user = latchkey.signed_up("limit-session").await;
    let other = latchkey.with_new_session(&user).await;
    let request = |user: &User| latchkey.by(user, "DELETE", "/resource/sessions/none");
    let statuses = async |user: &User| {
        let answers = all_at_once((0..16).map(|_| request(user))).await;
        let limited = answers.iter().filter(|answer| answer.status == 429).count();
        for answer in answers.iter().filter(|answer| answer.status == 429) {
            answer.is_refused(429, TOO_MANY);
            let seconds: i64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
        }
        16 - limited
    };
    // A minute may end between the requests, so that a second allowance begins.
    let permitted = statuses(&user).await;
    assert!([5, 10].contains(&permitted), "{permitted}");
    let permitted = statuses(&other).await;
    assert!(
        [5, 10].contains(&permitted),
        "another session has its own count: {permitted}"
    );
    // Reading is not limited.
    assert_eq!(latchkey.session_ids(&user).await.len(), 2);
}

/// A stranger or another site could otherwise use up the requests of a session.
#[tokio::test]
async fn requests_without_the_csrf_token_and_at_auth_are_not_counted_on_the_session() {
    let latchkey = Latchkey::start(&[("IDENTITY_SESSION_REQUESTS_PER_MINUTE", "5")]).await;
    let user = latchkey.signed_up("limit-uncounted").await;
    for _ in 0..6 {
        let path = "/resource/sessions/none";
        latchkey
            .delete(path)
            .cookie(&user.session)
            .csrf("forged")
            .send()
            .await
            .is_refused(401, &["authz.csrf_token_mismatch"]);
        let answer = latchkey.post("/auth/orders").bearer(&user.session);
        assert_eq!(answer.send().await.status, 200);
    }
    let item = latchkey.session_item(&user, &user.session).await.unwrap();
    assert_eq!(number(&item, "requests"), 0, "{item:?}");
}

#[tokio::test]
async fn a_right_password_without_a_session_neither_counts_nor_resets() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("limit-neither").await;
    is_wrong(&latchkey.sign_in(&user.email, WRONG).send().await);
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    for _ in 0..7 {
        latchkey
            .sign_in(&user.email, &user.password)
            .send()
            .await
            .is_refused(401, &["identity.session.missing_otp"]);
    }
    latchkey.set_state(&user, "banned").await;
    for _ in 0..7 {
        latchkey
            .sign_in(&user.email, &user.password)
            .send()
            .await
            .is_refused(401, &["identity.session.banned"]);
    }
    assert_eq!(latchkey.failures(&user.email).await, 1);
    // The first attempt after a wait does not start another wait either.
    latchkey.edit_failures(&user.email, 11, 0).await;
    let before = latchkey.failures_item(&user.email).await;
    latchkey
        .sign_in(&user.email, &user.password)
        .send()
        .await
        .is_refused(401, &["identity.session.banned"]);
    let after = latchkey.failures_item(&user.email).await;
    let count_and_retry_at =
        |item: Option<Item>| item.map(|item| (number(&item, "count"), number(&item, "retry_at")));
    assert_eq!(count_and_retry_at(after), count_and_retry_at(before));
}

#[tokio::test]
async fn concurrent_wrong_passwords_get_no_more_evaluations_than_sequential_ones() {
    let latchkey = latchkey().await;
    for name in ["limit-race", "limit-race-nobody"] {
        let email = format!("{name}@example.com");
        if name == "limit-race" {
            latchkey.signed_up(name).await;
        }
        let began = now();
        let answers = all_at_once((0..20).map(|_| latchkey.sign_in(&email, WRONG))).await;
        // In whole seconds, rounded up.
        let seconds = now() - began + 1;
        let evaluated = answers.iter().filter(|answer| answer.status == 404).count();
        // On a slow machine the first waits of 1, 2, 4 ... seconds may end.
        let ended_waits = usize::try_from((seconds + 1).ilog2()).unwrap();
        // The SDK may also retry a slow call, and such an attempt counts twice.
        assert!(
            (1..=6 + ended_waits).contains(&evaluated),
            "{evaluated} in {seconds} s"
        );
        for answer in answers.iter().filter(|answer| answer.status != 404) {
            wait_of(answer);
        }
    }
}

#[tokio::test]
async fn without_back_off_every_attempt_is_evaluated() {
    let latchkey = Latchkey::start(&[("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "0")]).await;
    for _ in 0..8 {
        is_wrong(&latchkey.sign_in("nobody@example.com", WRONG).send().await);
    }
}

#[tokio::test]
async fn sign_ins_sign_ups_and_code_requests_share_one_rate_limit_per_client_address() {
    let latchkey = Latchkey::start(&[("IDENTITY_REQUESTS_PER_MINUTE", "4")]).await;
    let email = "jane@example.com";
    let requests = || -> [Request; 4] {
        [
            latchkey.sign_in(email, WRONG),
            latchkey
                .post("/identity/users")
                .form(&[("email", email), ("password", PASSWORD)]),
            latchkey.ask_for_code(email),
            latchkey
                .post("/identity/users/email/generate_code")
                .form(&[("email", email)]),
        ]
    };
    // At most one calendar minute ends during the requests.
    let mut statuses = Vec::new();
    for round in 0..4 {
        for request in requests() {
            let answer = request
                .header("x-forwarded-for", format!("192.0.2.{round}"))
                .send()
                .await;
            if answer.status == 429 {
                assert!((1..=60).contains(&wait_of(&answer)));
            }
            statuses.push(answer.status);
        }
    }
    assert_eq!(statuses.first(), Some(&404));
    let admitted = statuses.iter().filter(|&&status| status != 429).count();
    assert!(admitted == 4 || admitted == 8, "{statuses:?}");
    // Other operations are not limited, and a rejected request has no effect.
    latchkey
        .post("/identity/password/validate")
        .form(&[("password", "x")])
        .send()
        .await;
    assert_eq!(latchkey.get("/identity/ping").send().await.status, 200);
    let everything = latchkey.everything().await;
    assert_eq!(
        everything
            .keys()
            .filter(|key| key.contains(" USER#"))
            .count(),
        1
    );
}

#[tokio::test]
async fn the_interval_between_mails_applies_to_known_and_unknown_addresses() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_MAIL_INTERVAL", "60"),
        ("IDENTITY_MAILS_PER_HOUR", "5"),
    ])
    .await;
    let user = latchkey.signed_up("jane").await;
    let confirmation = |email: &str| {
        latchkey
            .post("/identity/users/email/generate_code")
            .form(&[("email", email)])
    };
    latchkey
        .ask_for_code(&user.email)
        .send()
        .await
        .is_empty(201);
    latchkey
        .ask_for_code("nobody@example.com")
        .send()
        .await
        .is_refused(404, &["identity.password.user_doesnt_exist"]);
    // Each kind of mail has its own count, and the mail of the sign-up does not count.
    for email in [user.email.as_str(), "nobody@example.com"] {
        confirmation(email).send().await.is_empty(201);
        let again = [
            latchkey.ask_for_code(&email.to_uppercase()),
            confirmation(email),
        ];
        for request in again {
            let before = latchkey.items_of(&user).await;
            assert!((1..=60).contains(&wait_of(&request.send().await)));
            assert_eq!(latchkey.items_of(&user).await, before);
        }
        for kind in ["reset", "confirmation"] {
            latchkey.age_mail_log(kind, email, 60).await;
        }
    }
    latchkey
        .ask_for_code(&user.email)
        .send()
        .await
        .is_empty(201);
    latchkey
        .ask_for_code("nobody@example.com")
        .send()
        .await
        .is_refused(404, &["identity.password.user_doesnt_exist"]);
}

#[tokio::test]
async fn the_sixth_mail_within_an_hour_is_rejected() {
    let latchkey = Latchkey::start(&[("IDENTITY_MAILS_PER_HOUR", "5")]).await;
    let user = latchkey.signed_up("jane").await;
    let answers = all_at_once((0..12).map(|_| latchkey.ask_for_code(&user.email))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        5
    );
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert!((1..=3600).contains(&wait_of(answer)));
    }
    assert_eq!(latchkey.queued_mails(&user).await.len(), 1 + 5);
    latchkey.age_mail_log("reset", &user.email, 3600).await;
    latchkey
        .ask_for_code(&user.email)
        .send()
        .await
        .is_empty(201);
}

fn sign_up(latchkey: &Latchkey, email: &str, password: &str) -> Request {
    latchkey
        .post("/identity/users")
        .form(&[("email", email), ("password", password)])
}

#[tokio::test]
async fn tagged_addresses_of_a_mailbox_share_one_allowance_apart_from_that_of_the_plain_address() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_MAIL_INTERVAL", "60"),
        ("IDENTITY_MAILS_PER_HOUR", "5"),
    ])
    .await;
    let sign_up = |email: &str, password: &str| sign_up(&latchkey, email, password);
    // A sign-up that creates no account does not count.
    sign_up("mia+shop@example.com", "weak")
        .send()
        .await
        .is_refused(422, &["password.requirements"]);
    for email in ["mia+shop@example.com", "mia@example.com"] {
        assert_eq!(sign_up(email, PASSWORD).send().await.status, 201, "{email}");
    }
    let before = latchkey.everything().await;
    for tagged in ["mia+news@example.com", "Mia+@Example.com"] {
        assert!((1..=60).contains(&wait_of(&sign_up(tagged, PASSWORD).send().await)));
    }
    sign_up("mia+shop@example.com", PASSWORD)
        .send()
        .await
        .is_refused(422, &["email.taken"]);
    assert_eq!(latchkey.everything().await, before);
    // Other mailboxes, and other kinds of mails, have allowances of their own.
    assert_eq!(
        sign_up("miao+shop@example.com", PASSWORD)
            .send()
            .await
            .status,
        201
    );
    let ask = |email: &str| latchkey.ask_for_code(email);
    ask("mia+shop@example.com").send().await.is_empty(201);
    for tagged in ["mia+shop@example.com", "mia+unknown@example.com"] {
        assert!((1..=60).contains(&wait_of(&ask(tagged).send().await)));
    }
    ask("mia@example.com").send().await.is_empty(201);
    latchkey
        .age_mail_log("sign_up", "mia+shop@example.com", 60)
        .await;
    assert_eq!(
        sign_up("mia+news@example.com", PASSWORD)
            .send()
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_request_for_an_unknown_tagged_address_counts_for_the_mailbox() {
    let latchkey = Latchkey::start(&[("IDENTITY_MAIL_INTERVAL", "60")]).await;
    let user = latchkey.signed_up("nia+known").await;
    latchkey
        .ask_for_code("nia+unknown@example.com")
        .send()
        .await
        .is_refused(404, &["identity.password.user_doesnt_exist"]);
    wait_of(&latchkey.ask_for_code(&user.email).send().await);
}

#[tokio::test]
async fn concurrent_sign_ups_with_tagged_addresses_send_no_more_mails_than_sequential_ones() {
    let latchkey = Latchkey::start(&[("IDENTITY_MAILS_PER_HOUR", "5")]).await;
    let sign_up = |number: usize| {
        let email = format!("flood+{number}@example.com");
        sign_up(&latchkey, &email, PASSWORD)
    };
    let answers = all_at_once((0..16).map(sign_up)).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 5);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert!((1..=3600).contains(&wait_of(answer)));
    }
    let stored = latchkey.everything().await;
    let count = |kind: &str| stored.keys().filter(|key| key.contains(kind)).count();
    assert_eq!([" USER#", " UID#", " MAIL#"].map(count), [5, 5, 5]);
}

#[tokio::test]
async fn successful_and_failed_operations_on_an_account_are_recorded() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("recorded").await;
    is_wrong(&latchkey.sign_in(&user.email, WRONG).send().await);
    let session = latchkey.signed_in(&user).await;
    latchkey.sign_out(&session).send().await.is_empty(204);
    let token = latchkey.reset_token(&user).await;
    latchkey
        .confirm(&token, "weak")
        .send()
        .await
        .is_refused(422, &["password.requirements"]);
    latchkey
        .confirm(&token, "Newer-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    let sign_in = |code: &str| {
        let fields = [
            ("email", user.email.as_str()),
            ("password", "Newer-Horse-7-Battery"),
            ("otp_code", code),
        ];
        latchkey.post("/identity/sessions").form(&fields)
    };
    sign_in(&otp::wrong_code())
        .send()
        .await
        .is_refused(403, &["identity.session.invalid_otp"]);
    assert_eq!(sign_in(&otp::code(otp::step())).send().await.status, 201);
    assert_eq!(
        latchkey.activities(&user).await,
        [
            "signup succeed",
            "login failed",
            "login succeed",
            "logout succeed",
            "request password reset succeed",
            "password reset failed",
            "password reset succeed",
            "login::2fa failed",
            "login::2fa succeed",
        ]
    );
}
