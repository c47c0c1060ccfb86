//! `GET /resource/users/me/export`

use serde_json::json;

use crate::harness::{Latchkey, PASSWORD, latchkey, otp, session_id, text};

const PATH: &str = "/resource/users/me/export";

#[tokio::test]
async fn everything_stored_about_the_user_is_returned() {
    let latchkey = latchkey().await;
    let user = latchkey
        .signed_up_with(
            "export",
            &json!({ "data": r#"{"language":"de"}"#, "lang": "fr" }),
        )
        .await;
    let other = latchkey.signed_in(&user).await;
    let ended = latchkey.signed_in(&user).await;
    latchkey.sign_out(&ended).send().await.is_empty(204);
    let answer = latchkey.by(&user, "GET", PATH).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.has_names(&[
        "exported_at",
        "account",
        "labels",
        "sessions",
        "passkeys",
        "activities",
    ]);
    let document = answer.json();
    let account = &document["account"];
    let me = latchkey
        .by(&user, "GET", "/resource/users/me")
        .send()
        .await
        .json();
    for name in [
        "email",
        "uid",
        "role",
        "level",
        "otp",
        "state",
        "data",
        "referral_uid",
        "created_at",
        "updated_at",
    ] {
        assert_eq!(account[name], me[name], "{name}");
    }
    assert_eq!(account["language"], "fr");
    assert_eq!(document["labels"], me["labels"]);
    assert_eq!(document["passkeys"], json!([]));
    let sessions = document["sessions"].as_array().unwrap();
    let ids: Vec<&str> = sessions
        .iter()
        .map(|session| session["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [session_id(&other), session_id(&user.session)]);
    assert_eq!(sessions[1]["current"], true);
    assert_eq!(sessions[0]["live"], true);
    let actions: Vec<&str> = document["activities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|activity| activity["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["logout", "login", "login", "signup"]);
}

#[tokio::test]
async fn no_secret_is_returned() {
    let latchkey = latchkey().await;
    let (user, authenticator) = latchkey.enrolled("export-secrets").await;
    latchkey.reset_mail(&user.email).await;
    let answer = latchkey.by(&user, "GET", PATH).send().await;
    assert_eq!(answer.status, 200);
    let document = answer.text();
    let item = latchkey.user_item(&user).await;
    let session = latchkey.session_item(&user, &user.session).await.unwrap();
    let code = latchkey.grant(&user, "RESET").await.unwrap();
    let mut secrets = vec![
        text(&item, "password_hash").to_owned(),
        text(&item, "otp_secret").to_owned(),
        text(&session, "csrf_hash").to_owned(),
        text(&code, "jti").to_owned(),
        authenticator.secret.clone(),
        user.session.clone(),
        user.csrf_token.clone(),
        PASSWORD.to_owned(),
    ];
    secrets.extend(item["otp_recovery_codes"].as_ss().unwrap().iter().cloned());
    for secret in secrets {
        assert!(!document.contains(&secret), "{secret}");
    }
    let account = &answer.json()["account"];
    assert_eq!(
        (&account["otp"], &account["totp_failures"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(answer.json()["labels"][0]["key"], "otp");
}

#[tokio::test]
async fn nothing_of_another_user_is_returned() {
    let latchkey = latchkey().await;
    let one = latchkey.signed_up("export-one").await;
    let other = latchkey.signed_up("export-other").await;
    let answer = latchkey.by(&one, "GET", PATH).send().await;
    let document = answer.text();
    assert!(document.contains(&one.uid));
    assert!(!document.contains(&other.uid) && !document.contains(&other.email));
}

#[tokio::test]
async fn an_export_requires_a_recent_authentication() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("export-step-up").await;
    latchkey.age_authentication(&user, 901).await;
    latchkey
        .refuses(
            &user,
            latchkey.by(&user, "GET", PATH),
            401,
            &["authz.reauthentication_required"],
        )
        .await;
    latchkey.age_authentication(&user, 800).await;
    assert_eq!(latchkey.by(&user, "GET", PATH).send().await.status, 200);
}

#[tokio::test]
async fn exports_count_like_state_changing_requests() {
    let limit = ("IDENTITY_SESSION_REQUESTS_PER_MINUTE", "3");
    let latchkey = Latchkey::start(&[limit, otp::FOR_RACES[1]]).await;
    let user = latchkey.signed_up("export-limit").await;
    // The first requests may belong to the calendar minute before.
    let mut answers = Vec::new();
    for _ in 0..7 {
        answers.push(latchkey.by(&user, "GET", PATH).send().await);
    }
    let last = answers.last().unwrap();
    last.is_refused(429, &["request.too_many_attempts"]);
    assert!(last.header("retry-after").is_some());
    assert_eq!(answers[0].status, 200);
    let me = latchkey.by(&user, "GET", "/resource/users/me").send().await;
    assert_eq!(me.status, 200, "other reads are not counted");
}
