//! `POST /identity/users/password/confirm_code`

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::harness::{
    Answer, Mail, PASSWORD, User, all_at_once, claims, latchkey, now, number, only_changed, otp,
    text,
};

const PATH: &str = "/identity/users/password/confirm_code";
const NEW: &str = "Newer-Horse-7-Battery";

#[tokio::test]
async fn missing_or_empty_parameters_are_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-absent").await;
    let token = latchkey.reset_token(&user).await;
    let missing_token = "identity.user.missing_pass_token";
    let empty_token = "identity.user.empty_reset_password_token";
    let missing_password = "identity.user.missing_password";
    let empty_password = "identity.user.empty_password";
    let missing_repetition = "identity.user.missing_confirm_password";
    let empty_repetition = "identity.user.empty_confirm_password";
    for (fields, keys) in [
        (
            &[][..],
            &[missing_token, missing_password, missing_repetition][..],
        ),
        (
            &[
                ("confirm_password", ""),
                ("password", " "),
                ("reset_password_token", "\t"),
            ],
            &[empty_token, empty_password, empty_repetition],
        ),
        (
            &[("password", ""), ("lang", "en")],
            &[missing_token, empty_password, missing_repetition],
        ),
        (
            &[("reset_password_token", token.as_str())],
            &[missing_password, missing_repetition],
        ),
        (
            &[("reset_password_token", token.as_str()), ("password", NEW)],
            &[missing_repetition],
        ),
        (
            &[
                ("reset_password_token", token.as_str()),
                ("password", NEW),
                ("confirm_password", "\u{a0}"),
            ],
            &[empty_repetition],
        ),
        (
            &[
                ("reset_password_token", ""),
                ("password", NEW),
                ("confirm_password", "other"),
            ],
            &[empty_token],
        ),
    ] {
        latchkey
            .refuses(&user, latchkey.post(PATH).form(fields), 400, keys)
            .await;
    }
}

#[tokio::test]
async fn differing_passwords_are_rejected_before_the_token_is_verified() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-differ").await;
    let token = latchkey.reset_token(&user).await;
    for (token, password, repetition) in [
        (token.as_str(), NEW, "newer-horse-7-battery"),
        ("forged", NEW, "Newer-Horse-7-Battery "),
        (&token, "a", "b"),
    ] {
        let fields = [
            ("reset_password_token", token),
            ("password", password),
            ("confirm_password", repetition),
        ];
        let request = latchkey.post(PATH).form(&fields);
        latchkey
            .refuses(
                &user,
                request,
                422,
                &["identity.user.passwords_doesnt_match"],
            )
            .await;
    }
}

#[tokio::test]
async fn a_password_against_the_rule_is_rejected_and_the_code_stays_valid() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-rule").await;
    let token = latchkey.reset_token(&user).await;
    let too_long = format!("Aa1{}", "x".repeat(78));
    for (password, key) in [
        ("short1A", "password.requirements"),
        ("no-upper-case-7", "password.requirements"),
        ("NO-LOWER-CASE-7", "password.requirements"),
        ("No-Digit-At-All", "password.requirements"),
        (too_long.as_str(), "password.requirements"),
        // The rule is checked before the entropy.
        ("password", "password.requirements"),
        ("Password1", "password.weak"),
    ] {
        latchkey
            .refuses(&user, latchkey.confirm(&token, password), 422, &[key])
            .await;
    }
    latchkey.confirm(&token, NEW).send().await.is_empty(201);
}

#[tokio::test]
async fn a_reset_replaces_the_password_and_ends_every_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm").await;
    let sessions = [user.session.clone(), latchkey.signed_in(&user).await];
    let token = latchkey.reset_token(&user).await;

    let answer = latchkey
        .confirm(&token, NEW)
        .cookie(&user.session)
        .send()
        .await;
    answer.is_empty(201);
    let cookies = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie");
    assert_eq!(cookies.count(), 1, "the device cookie: {answer:?}");
    assert_eq!(claims(&answer.device_cookie())["uid"], user.uid.as_str());

    latchkey
        .sign_in(&user.email, PASSWORD)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    for session in &sessions {
        latchkey
            .sign_out(session)
            .send()
            .await
            .is_refused(404, &["identity.session.not_found"]);
    }
    let session = latchkey
        .signed_in(&User {
            password: NEW.to_owned(),
            ..user.clone()
        })
        .await;
    latchkey.sign_out(&session).send().await.is_empty(204);
    assert_eq!(latchkey.grant(&user, "RESET").await, None);

    let notice = latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
    assert!(!notice.html.contains("token="), "{notice:?}");
}

#[tokio::test]
async fn the_password_is_used_exactly_as_received() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-exact").await;
    let password = " \u{1f40e} New+Horse%20 7-Battery\t";
    latchkey
        .confirm(&latchkey.reset_token(&user).await, password)
        .send()
        .await
        .is_empty(201);
    latchkey
        .sign_in(&user.email, password.trim())
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    assert_eq!(
        latchkey.sign_in(&user.email, password).send().await.status,
        201
    );
}

#[tokio::test]
async fn a_reset_does_not_affect_the_second_factor_and_the_account_state() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-state").await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    for state in ["pending", "active", "banned", "locked"] {
        latchkey.set_state(&user, state).await;
        let before = latchkey.user_item(&user).await;
        latchkey
            .confirm(&latchkey.reset_token(&user).await, NEW)
            .send()
            .await
            .is_empty(201);
        let after = latchkey.user_item(&user).await;
        assert_eq!(text(&after, "state"), state);
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
    }
    latchkey.set_state(&user, "active").await;
    latchkey
        .sign_in(&user.email, NEW)
        .send()
        .await
        .is_refused(401, &["identity.session.missing_otp"]);
}

#[tokio::test]
async fn a_reset_code_works_once() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-once").await;
    let token = latchkey.reset_token(&user).await;
    latchkey.confirm(&token, NEW).send().await.is_empty(201);
    for password in [NEW, "Other-Horse-7-Battery", "weak"] {
        latchkey
            .refuses(
                &user,
                latchkey.confirm(&token, password),
                422,
                &["identity.user.utilized_token"],
            )
            .await;
    }
    let after = latchkey.reset_token(&user).await;
    latchkey
        .confirm(&after, PASSWORD)
        .send()
        .await
        .is_empty(201);
}

#[tokio::test]
async fn a_concurrent_sign_in_with_the_old_password_leaves_no_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-overtaken").await;
    let token = latchkey.reset_token(&user).await;
    let sign_in = || latchkey.sign_in(&user.email, PASSWORD);
    let requests = [
        sign_in(),
        sign_in(),
        sign_in(),
        latchkey.confirm(&token, NEW),
        sign_in(),
        sign_in(),
        sign_in(),
    ];
    let answers = all_at_once(requests).await;
    answers[3].is_empty(201);
    for answer in answers
        .iter()
        .enumerate()
        .filter(|(number, answer)| *number != 3 && answer.status == 201)
        .map(|(_, answer)| answer)
    {
        latchkey
            .sign_out(&answer.session())
            .send()
            .await
            .is_refused(404, &["identity.session.not_found"]);
    }
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_resets_with_one_code_succeeds() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-race").await;
    let token = latchkey.reset_token(&user).await;
    let password = |number: usize| format!("Racing-Horse-{number}-Battery");
    let answers =
        all_at_once((0..16).map(|number| latchkey.confirm(&token, &password(number)))).await;

    let winners: Vec<usize> = (0..16)
        .filter(|&number| answers[number].status == 201)
        .collect();
    let [winner] = winners[..] else {
        panic!("{winners:?}")
    };
    let losers = answers
        .iter()
        .enumerate()
        .filter(|(number, _)| *number != winner);
    losers
        .map(|(_, answer)| answer)
        .for_each(|answer: &Answer| answer.is_refused(422, &["identity.user.utilized_token"]));

    for number in 0..16 {
        let status = latchkey
            .sign_in(&user.email, &password(number))
            .send()
            .await
            .status;
        assert_eq!(status, if number == winner { 201 } else { 404 }, "{number}");
        latchkey.reset_failures(&user.email).await;
    }
    // One change sends one notice. Among the queued mails only a notice has no code.
    let notices = latchkey
        .queued_mails(&user)
        .await
        .iter()
        .filter(|mail| !mail.contains_key("jti"))
        .count();
    assert_eq!(notices, 1);
}

/// The thief of a session enables a second factor; the owner resets the password by mail.
#[tokio::test]
async fn a_reset_removes_a_second_factor_of_the_last_72_hours_and_keeps_an_older_one() {
    let latchkey = latchkey().await;
    for (name, hours, is_removed) in [("reset-recent", 71, true), ("reset-older", 73, false)] {
        let (user, authenticator) = latchkey.enrolled(name).await;
        latchkey
            .edit_user(&user, |item| {
                for (name, value) in [
                    ("otp_enabled_at", now() - hours * 3600),
                    ("totp_failures", 12),
                    ("totp_retry_at", now() + 3600),
                ] {
                    let value = AttributeValue::N(value.to_string());
                    drop(item.insert(name.to_owned(), value));
                }
            })
            .await;
        let token = latchkey.reset_token(&user).await;
        latchkey.confirm(&token, NEW).send().await.is_empty(201);
        let owner = User {
            password: NEW.to_owned(),
            ..user.clone()
        };
        let answer = latchkey.sign_in(&user.email, NEW).send().await;
        let item = latchkey.user_item(&user).await;
        let notices = latchkey.queued_mails(&user).await;
        let says_so = notices
            .iter()
            .any(|mail| text(mail, "kind") == "password_changed_otp_removed");
        assert_eq!(says_so, is_removed, "{name}");
        if is_removed {
            assert_eq!((answer.status, &answer.json()["otp"]), (201, &json!(false)));
            assert!(!item.keys().any(|name| name.contains("otp")), "{item:?}");
        } else {
            answer.is_refused(401, &["identity.session.missing_otp"]);
            // The running wait ends, the count stays.
            assert_eq!(number(&item, "totp_failures"), 12);
            let answer = latchkey
                .sign_in_with(&owner, &authenticator.code())
                .send()
                .await;
            assert_eq!(answer.status, 201);
        }
    }
}
