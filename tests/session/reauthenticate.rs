//! `POST /resource/sessions/current`

use serde_json::json;

use crate::harness::{
    Latchkey, Request, USER_NAMES, User, all_at_once, latchkey, number, otp, text,
};

const PATH: &str = "/resource/sessions/current";

fn reauthenticate(latchkey: &Latchkey, session: &str, fields: &[(&str, &str)]) -> Request {
    latchkey.post(PATH).bearer(session).form(fields)
}

#[tokio::test]
async fn a_new_session_with_the_same_end_replaces_the_old_one() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("reauthenticate").await;
    latchkey.age_authentication(&user, 5000).await;
    let before = latchkey.session_item(&user, &user.session).await.unwrap();
    let answer = latchkey
        .by(&user, "POST", PATH)
        .form(&[("password", &user.password)])
        .send()
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.has_names(&USER_NAMES);
    let renewed = User::from_answer(&answer, &user.password);
    assert_ne!(renewed.csrf_token, user.csrf_token);
    let after = latchkey
        .session_item(&user, &renewed.session)
        .await
        .unwrap();
    for same in ["began_at", "expires_at", "epoch"] {
        assert_eq!(number(&after, same), number(&before, same), "{same}");
    }
    assert!(number(&after, "authenticated_at") > number(&before, "authenticated_at") + 4000);
    // A copy that a thief has ends too.
    latchkey
        .get("/resource/users/me")
        .cookie(&user.session)
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    latchkey.generated_secret(&renewed).await;
    let recorded = "reauthenticate succeed".to_owned();
    assert!(latchkey.activities(&user).await.contains(&recorded));
}

#[tokio::test]
async fn missing_and_empty_parameters_are_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("reauthenticate-empty").await;
    for (fields, key) in [
        (&[][..], "identity.session.missing_password"),
        (&[("password", " ")][..], "identity.session.empty_password"),
    ] {
        let request = reauthenticate(latchkey, &user.session, fields);
        latchkey.refuses(&user, request, 400, &[key]).await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_rejected_recorded_and_the_tenth_ends_the_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("reauthenticate-wrong").await;
    let wrong = [("password", "Wrong-Horse-7-Battery")];
    for _ in 0..10 {
        reauthenticate(latchkey, &user.session, &wrong)
            .send()
            .await
            .is_refused(404, &["identity.session.invalid_params"]);
    }
    reauthenticate(latchkey, &user.session, &[("password", &user.password)])
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    assert_eq!(
        latchkey.failures(&user.email).await,
        0,
        "the sign-in of the owner is not concerned"
    );
    let failed = "reauthenticate failed".to_owned();
    let recorded = latchkey.activities(&user).await.into_iter();
    assert_eq!(recorded.filter(|activity| *activity == failed).count(), 10);
}

#[tokio::test]
async fn with_a_second_factor_a_code_is_required() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("reauthenticate-otp").await;
    let password = ("password", user.password.as_str());
    let with =
        |code: &str| reauthenticate(latchkey, &user.session, &[password, ("otp_code", code)]);
    let request = reauthenticate(latchkey, &user.session, &[password]);
    latchkey
        .refuses(&user, request, 401, &["identity.session.missing_otp"])
        .await;
    for code in [&authenticator.wrong_code(), "12345"] {
        latchkey
            .refuses(&user, with(code), 403, &["identity.session.invalid_otp"])
            .await;
    }
    let answer = with(&authenticator.code()).send().await;
    assert_eq!((answer.status, &answer.json()["otp"]), (201, &json!(true)));
    let code = &authenticator.recovery_codes[0];
    let session = answer.session();
    let answer = reauthenticate(latchkey, &session, &[password, ("otp_code", code)])
        .send()
        .await;
    assert_eq!(answer.status, 201);
    let recorded = "use recovery code succeed".to_owned();
    assert!(latchkey.activities(&user).await.contains(&recorded));
    assert!(
        latchkey
            .queued_mails(&user)
            .await
            .iter()
            .any(|mail| text(mail, "kind") == "recovery_code_used")
    );
}

#[tokio::test]
async fn one_of_sixteen_concurrent_requests_replaces_the_session() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let user = latchkey.signed_up("reauthenticate-race").await;
    let fields = [("password", user.password.as_str())];
    let requests = (0..16).map(|_| reauthenticate(&latchkey, &user.session, &fields));
    let answers = all_at_once(requests).await;
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 1);
    for loser in answers.iter().filter(|answer| answer.status != 201) {
        assert!([401, 429].contains(&loser.status), "{loser:?}");
    }
    let sessions = latchkey.items_of(&user).await.into_keys();
    assert_eq!(sessions.filter(|key| key.contains("SESSION#")).count(), 1);
}
