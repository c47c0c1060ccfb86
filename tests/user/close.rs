//! `DELETE /resource/users/me`

use serde_json::{Value, json};

use crate::{
    harness::{
        Answer, Latchkey, Mail, PASSWORD, Request, User, all_at_once, latchkey, now, number,
        only_changed, otp, text,
    },
    manage::users::manage,
};

const PATH: &str = "/resource/users/me";
const NEW: &str = "Newer-Horse-7-Battery";
const WRONG: &str = "Wrong-Horse-7-Battery";

fn close(latchkey: &Latchkey, user: &User, fields: &[(&str, &str)]) -> Request {
    latchkey.by(user, "DELETE", PATH).form(fields)
}

/// The item that lists the account for its erasure.
async fn listed(latchkey: &Latchkey, user: &User) -> bool {
    let stored = latchkey.stored().await;
    stored
        .keys()
        .any(|key| key.contains("ERASE#") && key.ends_with(&user.uid))
}

/// The label `delete` as operators see it.
async fn label(latchkey: &Latchkey, user: &User) -> Option<Value> {
    let shown = manage(latchkey, json!({ "action": "show", "uid": user.uid })).await;
    let labels = shown["user"]["labels"].as_array().unwrap().clone();
    labels.into_iter().find(|label| label["key"] == "delete")
}

#[tokio::test]
async fn missing_or_empty_parameters_are_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("close-absent").await;
    for (fields, key) in [
        (&[][..], "resource.user.missing_password"),
        (&[("otp_code", "123456")], "resource.user.missing_password"),
        (&[("password", " ")], "resource.user.empty_password"),
        (
            &[("password", ""), ("otp_code", "")],
            "resource.user.empty_password",
        ),
    ] {
        latchkey
            .refuses(&user, close(latchkey, &user, fields), 400, &[key])
            .await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_rejected_and_recorded() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("close-wrong").await;
    for password in [WRONG, "correct-horse-7-battery", " Correct-Horse-7-Battery"] {
        let request = close(latchkey, &user, &[("password", password)]);
        latchkey
            .refuses(&user, request, 422, &["resource.user.invalid_password"])
            .await;
    }
    let activities = latchkey
        .by(&user, "GET", "/resource/users/activity/account")
        .send()
        .await
        .json();
    let newest = &activities[0];
    assert_eq!(newest["action"], "close account");
    assert_eq!(newest["result"], "failed");
    assert_eq!(
        newest["data"],
        r#"{"reason":"resource.user.invalid_password"}"#
    );
}

#[tokio::test]
async fn a_second_factor_requires_its_code_after_the_right_password() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("close-otp").await;
    let wrong_code = authenticator.wrong_code();
    for (password, code, key) in [
        (PASSWORD, None, "resource.user.missing_otp_code"),
        (PASSWORD, Some(" "), "resource.user.empty_otp_code"),
        (PASSWORD, Some("no code"), "resource.user.invalid_otp"),
        (
            PASSWORD,
            Some(wrong_code.as_str()),
            "resource.user.invalid_otp",
        ),
        (WRONG, None, "resource.user.invalid_password"),
        (
            WRONG,
            Some(wrong_code.as_str()),
            "resource.user.invalid_password",
        ),
    ] {
        let mut fields = vec![("password", password)];
        fields.extend(code.map(|code| ("otp_code", code)));
        let request = close(latchkey, &user, &fields);
        latchkey.refuses(&user, request, 422, &[key]).await;
    }
    let code: u32 = authenticator.code().parse().unwrap();
    // A JSON number has no leading zeros.
    let code = if code < 100_000 {
        json!(authenticator.code())
    } else {
        json!(code)
    };
    latchkey
        .request(reqwest::Method::DELETE, PATH)
        .bearer(&user.session)
        .json(&json!({ "password": PASSWORD, "otp_code": code }))
        .send()
        .await
        .is_empty(200);
    let item = latchkey.user_item(&user).await;
    assert!(number(&item, "otp_last_step") >= otp::step() - 2);
}

#[tokio::test]
async fn closing_ends_every_session_and_is_reported() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("close").await;
    let other = latchkey.signed_in(&user).await;
    let before = latchkey.user_item(&user).await;

    let answer = latchkey.close(&user).send().await;
    answer.is_empty(200);
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("_barong_session=;"), "{cookie}");

    let after = latchkey.user_item(&user).await;
    only_changed(
        &before,
        &after,
        &[
            "state",
            "session_epoch",
            "updated_at",
            "closed_at",
            "closed_state",
        ],
    );
    assert_eq!(
        (text(&after, "state"), text(&after, "closed_state")),
        ("deleted", "active")
    );
    assert!((now() - 60..=now()).contains(&number(&after, "closed_at")));
    assert!(listed(latchkey, &user).await);
    let label = label(latchkey, &user).await.expect("a label");
    assert_eq!(
        (&label["value"], &label["scope"]),
        (&json!("by_user"), &json!("private"))
    );
    for session in [&user.session, &other] {
        latchkey
            .get(PATH)
            .cookie(session)
            .send()
            .await
            .is_refused(401, &["authz.user_not_active"]);
        latchkey
            .sign_out(session)
            .send()
            .await
            .is_refused(404, &["identity.session.not_found"]);
    }
    let activities = latchkey.activities(&user).await;
    assert_eq!(activities.last().unwrap(), "close account succeed");
    let notice = latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
    assert_eq!(notice.subject, "Your Latchkey account was closed");
}

#[tokio::test]
async fn a_closed_account_keeps_its_address_and_is_disclosed_with_the_password_only() {
    let latchkey = latchkey().await;
    let user = latchkey.closed("close-sign-in").await;
    let sign_in = |password| latchkey.sign_in(&user.email, password);
    latchkey
        .refuses(&user, sign_in(PASSWORD), 401, &["identity.session.deleted"])
        .await;
    latchkey
        .refuses(
            &user,
            sign_in(WRONG),
            404,
            &["identity.session.invalid_params"],
        )
        .await;
    let again = json!({ "email": user.email, "password": NEW });
    let sign_up = latchkey.post("/identity/users").json(&again);
    latchkey
        .refuses(&user, sign_up, 422, &["email.taken"])
        .await;
    let confirm = latchkey
        .post("/identity/users/email/generate_code")
        .form(&[("email", &user.email)]);
    let before = latchkey.items_of(&user).await;
    confirm.send().await.is_empty(201);
    assert_eq!(latchkey.items_of(&user).await, before);
}

#[tokio::test]
async fn a_password_reset_reopens_the_account_with_the_state_that_it_had() {
    let latchkey = latchkey().await;
    for state in ["active", "pending"] {
        let user = latchkey.signed_up(&format!("close-reopen-{state}")).await;
        latchkey.set_state(&user, state).await;
        latchkey.close(&user).send().await.is_empty(200);
        if state == "pending" {
            // The time in which the address must be confirmed is nearly over.
            latchkey.age_user(&user, 29 * 86_400).await;
        }
        let token = latchkey.reset_token(&user).await;
        latchkey.confirm(&token, NEW).send().await.is_empty(201);
        let item = latchkey.user_item(&user).await;
        assert_eq!(text(&item, "state"), state);
        assert!(!item.contains_key("closed_at") && !item.contains_key("closed_state"));
        if state == "pending" {
            latchkey.age_user(&user, 2 * 86_400).await;
        }
        assert_eq!(label(latchkey, &user).await, None);
        assert!(!listed(latchkey, &user).await);
        latchkey
            .get(PATH)
            .cookie(&user.session)
            .send()
            .await
            .is_refused(401, &["authz.invalid_session"]);
        latchkey
            .signed_in(&User {
                password: NEW.to_owned(),
                ..user.clone()
            })
            .await;
    }
}

#[tokio::test]
async fn an_account_that_an_operator_deleted_is_not_reopened() {
    let latchkey = latchkey().await;
    let user = latchkey.closed("close-operator").await;
    let token = latchkey.reset_token(&user).await;
    let event = json!({ "action": "set-state", "uid": user.uid, "state": "deleted" });
    manage(latchkey, event).await;
    assert_eq!(label(latchkey, &user).await, None);
    latchkey
        .refuses(
            &user,
            latchkey.confirm(&token, NEW),
            404,
            &["record.not_found"],
        )
        .await;
    latchkey
        .ask_for_code(&user.email)
        .send()
        .await
        .is_refused(404, &["identity.password.user_doesnt_exist"]);
}

#[tokio::test]
async fn an_unconfirmed_address_gets_no_notice() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("close-unconfirmed").await;
    latchkey.close(&user).send().await.is_empty(200);
    let mails = latchkey.queued_mails(&user).await;
    assert_eq!(mails.len(), 1, "the confirmation of the sign-up");
}

#[tokio::test]
async fn a_recovery_code_closes_the_account_and_its_use_is_reported() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("close-recovery").await;
    let code = authenticator.recovery_codes[0].as_str();
    close(
        latchkey,
        &user,
        &[("password", PASSWORD), ("otp_code", code)],
    )
    .send()
    .await
    .is_empty(200);
    let item = latchkey.user_item(&user).await;
    assert_eq!(item["otp_recovery_codes"].as_ss().unwrap().len(), 9);
    let activities = latchkey.activities(&user).await;
    assert!(activities.contains(&"use recovery code succeed".to_owned()));
    let kinds: Vec<String> = latchkey
        .queued_mails(&user)
        .await
        .iter()
        .map(|mail| text(mail, "kind").to_owned())
        .collect();
    for kind in ["account_closed", "recovery_code_used"] {
        assert!(kinds.contains(&kind.to_owned()), "{kinds:?}");
    }
}

#[tokio::test]
async fn the_tenth_wrong_password_in_a_row_ends_the_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("close-tenth").await;
    let wrong = || close(latchkey, &user, &[("password", WRONG)]);
    for _ in 0..10 {
        wrong()
            .send()
            .await
            .is_refused(422, &["resource.user.invalid_password"]);
    }
    wrong()
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    latchkey.signed_in(&user).await;
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_requests_closes_the_account() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let user = latchkey.confirmed("close-race").await;
    let mut users = vec![user.clone(); 8];
    for _ in 0..8 {
        users.push(latchkey.with_new_session(&user).await);
    }
    let answers = all_at_once(users.iter().map(|user| latchkey.close(user))).await;
    let (winners, losers): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(winners.len(), 1);
    for loser in losers {
        loser.is_refused(401, &["authz.user_not_active"]);
    }
    let closings = latchkey.activities(&user).await.into_iter();
    assert_eq!(
        closings
            .filter(|text| text.contains("close account"))
            .count(),
        1
    );
    latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_requests_with_one_code_closes_the_account() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("close-race-otp").await;
    let code = authenticator.code();
    let fields = [("password", PASSWORD), ("otp_code", code.as_str())];
    let answers = all_at_once((0..16).map(|_| close(&latchkey, &user, &fields))).await;
    let winners = answers.iter().filter(|answer| answer.status == 200);
    assert_eq!(winners.count(), 1);
    for answer in answers {
        assert!([200, 401, 422, 429].contains(&answer.status), "{answer:?}");
    }
}
