//! `PUT /resource/users/password`

use serde_json::{Value, json};

use crate::harness::{
    Answer, Latchkey, Mail, PASSWORD, Request, User, all_at_once, claims, latchkey, only_changed,
    otp, session_id,
};

const PATH: &str = "/resource/users/password";
const NEW: &str = "Newer-Horse-7-Battery";
const WRONG: &str = "Wrong-Horse-7-Battery";

fn change(latchkey: &Latchkey, user: &User, fields: &[(&str, &str)]) -> Request {
    latchkey.by(user, "PUT", PATH).form(fields)
}

/// Results and reasons of the recorded changes, oldest first.
async fn recorded(latchkey: &Latchkey, user: &User) -> Vec<String> {
    let activities = latchkey
        .get("/resource/users/activity/password")
        .cookie(&user.session)
        .send()
        .await
        .json();
    let changes = activities
        .as_array()
        .unwrap()
        .iter()
        .filter(|activity| activity["action"] == "password change");
    let result_and_reason = |activity: &Value| {
        format!(
            "{} {}",
            activity["result"].as_str().unwrap(),
            activity["data"].as_str().unwrap_or("-")
        )
    };
    changes.map(result_and_reason).rev().collect()
}

#[tokio::test]
async fn missing_or_empty_parameters_are_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("change-absent").await;
    let [no_old, no_new, no_repetition] = [
        "resource.user.missing_old_password",
        "resource.user.missing_new_password",
        "resource.user.missing_confirm_password",
    ];
    let [empty_old, empty_new, empty_repetition] = [
        "resource.user.empty_old_password",
        "resource.user.empty_new_password",
        "resource.user.empty_confirm_password",
    ];
    for (fields, keys) in [
        (&[][..], &[no_old, no_new, no_repetition][..]),
        (
            &[
                ("confirm_password", ""),
                ("new_password", " "),
                ("old_password", "\t"),
            ],
            &[empty_old, empty_new, empty_repetition],
        ),
        (
            &[("new_password", NEW), ("lang", "en")],
            &[no_old, no_repetition],
        ),
        (
            &[
                ("old_password", WRONG),
                ("new_password", ""),
                ("confirm_password", NEW),
            ],
            &[empty_new],
        ),
        (
            &[
                ("old_password", PASSWORD),
                ("new_password", NEW),
                ("confirm_password", "\u{a0}"),
            ],
            &[empty_repetition],
        ),
        (
            &[
                ("password", PASSWORD),
                ("new_password", NEW),
                ("confirm_password", NEW),
            ],
            &[no_old],
        ),
    ] {
        latchkey
            .refuses(&user, change(latchkey, &user, fields), 400, keys)
            .await;
    }
}

#[tokio::test]
async fn the_first_failed_check_determines_the_error_and_nothing_changes() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("change-order").await;
    let reset = latchkey.reset_token(&user).await;
    latchkey.signed_in(&user).await;
    for (old, new, repetition, status, key) in [
        // These values would fail the later checks too.
        (
            WRONG,
            "weak",
            "other",
            422,
            "resource.password.doesnt_match",
        ),
        (
            PASSWORD,
            NEW,
            "newer-Horse-7-Battery",
            422,
            "resource.password.doesnt_match",
        ),
        (
            PASSWORD,
            NEW,
            "Newer-Horse-7-Battery ",
            422,
            "resource.password.doesnt_match",
        ),
        (
            WRONG,
            WRONG,
            WRONG,
            400,
            "resource.password.prev_pass_not_correct",
        ),
        (
            WRONG,
            "weak",
            "weak",
            400,
            "resource.password.prev_pass_not_correct",
        ),
        (
            "correct-horse-7-battery",
            NEW,
            NEW,
            400,
            "resource.password.prev_pass_not_correct",
        ),
        (
            " Correct-Horse-7-Battery",
            NEW,
            NEW,
            400,
            "resource.password.prev_pass_not_correct",
        ),
        (
            PASSWORD,
            PASSWORD,
            PASSWORD,
            400,
            "resource.password.no_change_provided",
        ),
        (
            PASSWORD,
            "password",
            "password",
            422,
            "password.requirements",
        ),
        (
            PASSWORD,
            "no-upper-case-7",
            "no-upper-case-7",
            422,
            "password.requirements",
        ),
        (PASSWORD, "Password1", "Password1", 422, "password.weak"),
    ] {
        let fields = [
            ("old_password", old),
            ("new_password", new),
            ("confirm_password", repetition),
        ];
        latchkey
            .refuses(&user, change(latchkey, &user, &fields), status, &[key])
            .await;
    }
    assert!(
        latchkey
            .mails_to(&user.email)
            .await
            .iter()
            .all(|mail| !mail.is_notice())
    );
    // The sessions, the reset code and the password are still valid.
    assert_eq!(latchkey.session_ids(&user).await.len(), 2);
    latchkey.signed_in(&user).await;
    latchkey.confirm(&reset, NEW).send().await.is_empty(201);
}

#[tokio::test]
async fn an_unchanged_password_is_rejected() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_PASSWORD_REGEXP", "^[\\s\\S]{4,80}$"),
        ("IDENTITY_PASSWORD_MIN_ENTROPY", "0"),
    ])
    .await;
    let user = latchkey
        .signed_up_with("same", &json!({ "password": "weak" }))
        .await;
    let key = ["resource.password.no_change_provided"];
    latchkey
        .refuses(
            &user,
            latchkey.change_password(&user, "weak", "weak"),
            400,
            &key,
        )
        .await;
    latchkey
        .change_password(&user, "weak", "weaker")
        .send()
        .await
        .is_empty(201);
}

#[tokio::test]
async fn a_new_password_replaces_the_old_one_and_ends_every_other_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("change").await;
    latchkey.set_state(&user, "active").await;
    let others = [
        latchkey.signed_in(&user).await,
        latchkey.signed_in(&user).await,
    ];
    let before = latchkey.user_item(&user).await;

    let answer = latchkey.change_password(&user, PASSWORD, NEW).send().await;
    answer.is_empty(201);
    let cookies = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie");
    assert_eq!(cookies.count(), 1, "the device cookie: {answer:?}");
    assert_eq!(claims(&answer.device_cookie())["uid"], user.uid.as_str());

    let after = latchkey.user_item(&user).await;
    assert_ne!(after["password_hash"], before["password_hash"]);
    only_changed(
        &before,
        &after,
        &[
            "password_hash",
            "session_epoch",
            "device_epoch",
            "updated_at",
        ],
    );
    latchkey
        .sign_in(&user.email, PASSWORD)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    for session in &others {
        latchkey
            .get("/resource/sessions")
            .cookie(session)
            .send()
            .await
            .is_refused(401, &["authz.invalid_session"]);
        latchkey
            .sign_out(session)
            .send()
            .await
            .is_refused(404, &["identity.session.not_found"]);
    }
    // The session of the request stays valid, with the same cookie and CSRF token.
    assert_eq!(
        latchkey.session_ids(&user).await,
        [session_id(&user.session)]
    );
    let updated = User {
        password: NEW.to_owned(),
        ..user.clone()
    };
    latchkey.signed_in(&updated).await;
    latchkey
        .change_password(&user, NEW, PASSWORD)
        .send()
        .await
        .is_empty(201);
    latchkey.signed_in(&user).await;
}

#[tokio::test]
async fn a_notice_is_mailed_in_the_users_language_or_the_default() {
    let latchkey = latchkey().await;
    for (name, data, lang, expected) in [
        ("change-de", r#"{"language":"de"}"#, "fr", "de"),
        ("change-xx", r#"{"language":"xx"}"#, "fr", "en"),
        ("change-en", "[]", "", "en"),
    ] {
        let user = latchkey
            .signed_up_with(name, &json!({ "data": data }))
            .await;
        latchkey.set_state(&user, "active").await;
        // The operation ignores `lang`.
        let fields = [
            ("old_password", PASSWORD),
            ("new_password", NEW),
            ("confirm_password", NEW),
            ("lang", lang),
        ];
        latchkey
            .by(&user, "PUT", &format!("{PATH}?lang={lang}"))
            .form(&fields)
            .send()
            .await
            .is_empty(201);
        let notice = latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
        let other = latchkey.signed_up(&format!("{name}-reset")).await;
        let token = latchkey.reset_token(&other).await;
        let fields = [
            ("reset_password_token", token.as_str()),
            ("password", NEW),
            ("confirm_password", NEW),
            ("lang", expected),
        ];
        latchkey
            .post("/identity/users/password/confirm_code")
            .form(&fields)
            .send()
            .await
            .is_empty(201);
        assert_eq!(
            notice.subject,
            latchkey
                .mail_to(&other.email, 1, Mail::is_notice)
                .await
                .subject
        );
        assert!(
            notice.link().is_none_or(|link| !link.contains("token=")),
            "{notice:?}"
        );
    }
}

#[tokio::test]
async fn a_change_invalidates_an_outstanding_reset_code() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("change-reset").await;
    let token = latchkey.reset_token(&user).await;
    latchkey
        .change_password(&user, PASSWORD, NEW)
        .send()
        .await
        .is_empty(201);
    assert_eq!(latchkey.grant(&user, "RESET").await, None);
    latchkey
        .refuses(
            &user,
            latchkey.confirm(&token, PASSWORD),
            422,
            &["identity.user.utilized_token"],
        )
        .await;
}

#[tokio::test]
async fn a_bearer_token_needs_no_csrf_token_and_json_and_multipart_are_accepted() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("change-bearer").await;
    let password = " \u{1f40e} New+Horse%20 7-Battery\t";
    let request = || {
        latchkey
            .request(reqwest::Method::PUT, PATH)
            .bearer(&user.session)
    };
    let body =
        json!({ "old_password": PASSWORD, "new_password": password, "confirm_password": password });
    request().json(&body).send().await.is_empty(201);
    let fields = [
        ("old_password", password),
        ("new_password", NEW),
        ("confirm_password", NEW),
    ];
    request().multipart(&fields).send().await.is_empty(201);
    latchkey
        .signed_in(&User {
            password: NEW.to_owned(),
            ..user.clone()
        })
        .await;
}

#[tokio::test]
async fn a_change_does_not_affect_the_second_factor() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("change-otp").await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    latchkey
        .change_password(&user, PASSWORD, NEW)
        .send()
        .await
        .is_empty(201);
    latchkey
        .sign_in(&user.email, NEW)
        .send()
        .await
        .is_refused(401, &["identity.session.missing_otp"]);
}

#[tokio::test]
async fn every_attempted_change_is_recorded_with_its_result() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("change-recorded").await;
    let fields = [
        ("old_password", PASSWORD),
        ("new_password", NEW),
        ("confirm_password", WRONG),
    ];
    change(latchkey, &user, &fields).send().await;
    change(latchkey, &user, &[]).send().await;
    for (old, new) in [
        (WRONG, NEW),
        (PASSWORD, PASSWORD),
        (PASSWORD, "password"),
        (PASSWORD, "Password1"),
        (PASSWORD, NEW),
    ] {
        latchkey.change_password(&user, old, new).send().await;
    }
    let expected = [
        r#"failed {"reason":"resource.password.doesnt_match"}"#,
        r#"failed {"reason":"resource.password.prev_pass_not_correct"}"#,
        r#"failed {"reason":"resource.password.no_change_provided"}"#,
        r#"failed {"reason":"password.requirements"}"#,
        r#"failed {"reason":"password.weak"}"#,
        "succeed -",
    ];
    assert_eq!(recorded(latchkey, &user).await, expected);
}

#[tokio::test]
async fn the_tenth_wrong_old_password_in_a_row_ends_the_session_and_no_other() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("change-tenth").await;
    let owner = latchkey.with_new_session(&user).await;
    let wrong = || latchkey.change_password(&user, WRONG, NEW);
    let key = "resource.password.prev_pass_not_correct";
    for _ in 0..9 {
        wrong().send().await.is_refused(400, &[key]);
    }
    // A right password clears the count, also if the new one is rejected.
    latchkey
        .change_password(&user, PASSWORD, "weak")
        .send()
        .await
        .is_refused(422, &["password.requirements"]);
    for _ in 0..10 {
        wrong().send().await.is_refused(400, &[key]);
    }
    wrong()
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    assert_eq!(latchkey.failures(&user.email).await, 0);
    latchkey
        .change_password(&owner, PASSWORD, NEW)
        .send()
        .await
        .is_empty(201);
}

/// A stranger keeps failing while the owner changes the password in a live session.
#[tokio::test]
async fn wrong_passwords_at_sign_in_do_not_keep_a_session_from_changing_the_password() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("change-during-wait").await;
    latchkey.sign_in(&user.email, WRONG).send().await;
    latchkey.edit_failures(&user.email, 12, 600).await;
    latchkey
        .change_password(&user, PASSWORD, NEW)
        .send()
        .await
        .is_empty(201);
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_changes_succeeds() {
    // Without back-off, so that every password is verified at the end.
    let latchkey = Latchkey::start(&[("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "0")]).await;
    let user = latchkey.confirmed("change-race").await;
    let mut users = vec![user.clone(); 8];
    for _ in 0..8 {
        users.push(latchkey.with_new_session(&user).await);
    }
    let password = |number: usize| format!("Racing-Horse-{number}-Battery");
    let requests = users.iter().enumerate().map(|(number, user_with_session)| {
        latchkey.change_password(user_with_session, PASSWORD, &password(number))
    });
    let answers = all_at_once(requests).await;

    let winners: Vec<usize> = (0..16)
        .filter(|&number| answers[number].status == 201)
        .collect();
    let [winner] = winners[..] else {
        panic!("{winners:?}")
    };
    for (number, loser) in answers
        .iter()
        .enumerate()
        .filter(|(number, _)| *number != winner)
    {
        // The winner's session stays valid, but the old password is wrong now; other sessions end.
        if users[number].session == users[winner].session {
            loser.is_refused(400, &["resource.password.prev_pass_not_correct"]);
        } else {
            loser.is_refused(401, &["authz.invalid_session"]);
        }
    }
    for number in 0..16 {
        let status = latchkey
            .sign_in(&user.email, &password(number))
            .send()
            .await
            .status;
        assert_eq!(status, if number == winner { 201 } else { 404 }, "{number}");
    }
    let notices = latchkey
        .queued_mails(&user)
        .await
        .iter()
        .filter(|mail| !mail.contains_key("jti"))
        .count();
    assert_eq!(notices, 1);
}

#[tokio::test]
async fn a_change_concurrent_with_other_writes_to_the_user_succeeds() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("change-overtaken").await;
    let end_others = || latchkey.by(&user, "DELETE", "/resource/sessions");
    let requests = [
        end_others(),
        latchkey.change_password(&user, PASSWORD, NEW),
        end_others(),
    ];
    let [first, change, second]: [Answer; 3] = all_at_once(requests).await.try_into().unwrap();
    change.is_empty(201);
    first.is_empty(204);
    second.is_empty(204);
    latchkey
        .signed_in(&User {
            password: NEW.to_owned(),
            ..user.clone()
        })
        .await;
}
