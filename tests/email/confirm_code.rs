//! `POST /identity/users/email/confirm_code`

use serde_json::json;
use shared::{
    domain::{email_address::AccountKey, token_id::TokenId, user::Uid},
    platform::clock::Timestamp,
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};

use crate::harness::{
    Latchkey, PASSWORD, Request, USER_NAMES, User, all_at_once, claims, forgeries, latchkey, now,
    number, otp,
};

const PATH: &str = "/identity/users/email/confirm_code";

/// A confirmation with the password.
fn confirm(latchkey: &Latchkey, token: &str) -> Request {
    latchkey
        .post(PATH)
        .form(&[("token", token), ("password", PASSWORD)])
}

/// A confirmation with the token alone.
fn confirm_by_link(latchkey: &Latchkey, token: &str) -> Request {
    latchkey.post(PATH).form(&[("token", token)])
}

/// The token in the confirmation mail of the sign-up.
async fn token_of(latchkey: &Latchkey, user: &User) -> String {
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    mail.confirmation_token().unwrap().to_owned()
}

#[tokio::test]
async fn a_missing_or_empty_token_is_rejected() {
    let latchkey = latchkey().await;
    latchkey
        .post(PATH)
        .form(&[("lang", "en")])
        .send()
        .await
        .is_refused(400, &["identity.user.missing_token"]);
    for blank in ["", " \t"] {
        confirm(latchkey, blank)
            .send()
            .await
            .is_refused(400, &["identity.user.empty_token"]);
    }
}

#[tokio::test]
async fn a_confirmation_activates_and_labels_the_user_and_replaces_the_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirmed-email").await;
    let token = token_of(latchkey, &user).await;
    let before = latchkey.user_item(&user).await;

    let answer = confirm_by_link(latchkey, &token)
        .cookie(&user.session)
        .send()
        .await;
    let session = User::from_answer(&answer, PASSWORD).session;
    let body = answer.json();
    answer.has_names(&USER_NAMES);
    assert_eq!(
        (&body["uid"], &body["state"], &body["level"]),
        (&json!(user.uid), &json!("active"), &json!(1))
    );
    let label = &body["labels"][0];
    let expected = json!([{ "key": "email", "value": "verified", "scope": "private", "created_at": label["created_at"], "updated_at": label["created_at"] }]);
    assert_eq!(body["labels"], expected);
    assert!(label["created_at"].as_str().unwrap().ends_with('Z'));
    let cookie =
        format!("_barong_session={session}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=86400");
    assert_eq!(answer.header("set-cookie"), Some(cookie.as_str()));

    assert_eq!(latchkey.grant(&user, "CONFIRM").await, None);
    let mut after = latchkey.user_item(&user).await;
    after.remove("revision");
    for changed in [
        "state",
        "level",
        "labels",
        "updated_at",
        "session_epoch",
        "device_epoch",
    ] {
        after.insert(changed.to_owned(), before[changed].clone());
    }
    assert_eq!(after, before);
    let recorded = "confirm email succeed".to_owned();
    assert!(latchkey.activities(&user).await.contains(&recorded));
    latchkey
        .sign_out(&user.session)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    latchkey.sign_out(&session).send().await.is_empty(204);
}

#[tokio::test]
async fn without_a_session_a_confirmation_requires_the_password_and_opens_no_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirmed-elsewhere").await;
    let other = latchkey.signed_up("confirmed-elsewhere-other").await;
    let token = token_of(latchkey, &user).await;
    let with = |password: &str| {
        latchkey
            .post(PATH)
            .form(&[("token", &token), ("password", password)])
    };
    for request in [
        confirm_by_link(latchkey, &token),
        confirm_by_link(latchkey, &token).bearer(&other.session),
        confirm_by_link(latchkey, &token).bearer("forged"),
    ] {
        latchkey
            .refuses(&user, request, 400, &["identity.user.missing_password"])
            .await;
    }
    latchkey
        .refuses(&user, with(" "), 400, &["identity.user.empty_password"])
        .await;
    assert_eq!(latchkey.failures(&user.email).await, 0);
    latchkey
        .refuses(
            &user,
            with("Wrong-Horse-7-Battery"),
            422,
            &["identity.user.invalid_password"],
        )
        .await;
    assert_eq!(latchkey.failures(&user.email).await, 1, "as at a sign-in");
    let answer = with(PASSWORD).send().await;
    assert_eq!((answer.status, answer.header("set-cookie")), (201, None));
    let csrf_token = answer.json().get("csrf_token").cloned();
    assert_eq!(csrf_token.filter(|token| !token.is_null()), None);
    assert_eq!(latchkey.failures(&user.email).await, 0);
}

#[tokio::test]
async fn a_first_confirmation_ends_the_other_sessions() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirmed-sessions").await;
    let other = latchkey.with_new_session(&user).await;
    let token = token_of(latchkey, &user).await;
    let confirmed = latchkey
        .post(PATH)
        .cookie(&user.session)
        .form(&[("token", token.as_str())])
        .send()
        .await;
    assert_eq!(confirmed.status, 201);
    let me = |session: &str| latchkey.get("/resource/users/me").bearer(session);
    for ended in [&user.session, &other.session] {
        me(ended)
            .send()
            .await
            .is_refused(401, &["authz.invalid_session"]);
    }
    assert_eq!(me(&confirmed.session()).send().await.status, 200);
}

#[tokio::test]
async fn a_first_confirmation_removes_the_passkeys() {
    let latchkey = latchkey().await;
    // An operator made the account pending again, whose address was never confirmed.
    let user = latchkey.confirmed("confirmed-passkeys").await;
    let mut authenticator = latchkey.authenticator();
    latchkey.add_passkey(&user, &mut authenticator).await;
    latchkey.set_state(&user, "pending").await;
    let signed_in = latchkey.sign_in_with_passkey(&mut authenticator).await;
    assert_eq!(signed_in.send().await.status, 201);
    let token = token_of(latchkey, &user).await;
    let confirmed = latchkey
        .post(PATH)
        .form(&[("token", token.as_str()), ("password", PASSWORD)])
        .send()
        .await;
    assert_eq!(confirmed.status, 201, "{confirmed:?}");
    assert!(latchkey.passkey_items(&user).await.is_empty());
    assert!(!latchkey.user_item(&user).await.contains_key("passkeys"));
    let removed = latchkey.sign_in_with_passkey(&mut authenticator).await;
    let refused: &[&str] = &["identity.session.invalid_params"];
    removed.send().await.is_refused(404, refused);
}

/// A stranger signs up with the address of another person, who opens the link of the mail.
#[tokio::test]
async fn a_stranger_keeps_nothing_of_an_account_that_its_owner_confirms() {
    let latchkey = latchkey().await;
    let stranger = latchkey.signed_up("confirmed-hijack").await;
    latchkey.set_otp_secret(&stranger, otp::SECRET).await;
    let token = token_of(latchkey, &stranger).await;
    // The owner knows neither the password nor has a session, so nothing is confirmed.
    latchkey
        .refuses(
            &stranger,
            confirm_by_link(latchkey, &token),
            400,
            &["identity.user.missing_password"],
        )
        .await;
    // Instead the owner resets the password by mail, and confirms with the new one.
    let reset = latchkey.reset_token(&stranger).await;
    let new = "Newer-Horse-7-Battery";
    latchkey.confirm(&reset, new).send().await.is_empty(201);
    let confirmed = latchkey
        .post(PATH)
        .form(&[("token", token.as_str()), ("password", new)])
        .send()
        .await;
    assert_eq!(
        (confirmed.status, &confirmed.json()["otp"]),
        (201, &json!(false))
    );
    latchkey
        .sign_out(&stranger.session)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    latchkey
        .sign_in(&stranger.email, PASSWORD)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    let owner = latchkey.sign_in(&stranger.email, new).send().await;
    assert_eq!(owner.status, 201);
}

#[tokio::test]
async fn with_confirmation_by_link_the_token_is_enough() {
    let latchkey = Latchkey::start(&[("IDENTITY_CONFIRMATION", "link")]).await;
    let user = latchkey.signed_up("confirmed-link").await;
    let token = token_of(&latchkey, &user).await;
    let answer = confirm_by_link(&latchkey, &token).send().await;
    assert_eq!((answer.status, answer.header("set-cookie")), (201, None));
}

#[tokio::test]
async fn a_confirmation_code_works_once() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirmed-once").await;
    let token = token_of(latchkey, &user).await;
    assert_eq!(confirm(latchkey, &token).send().await.status, 201);
    latchkey
        .refuses(
            &user,
            confirm(latchkey, &token),
            422,
            &["identity.user.utilized_token"],
        )
        .await;
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_confirmations_with_one_code_succeeds() {
    let latchkey = Latchkey::start(&otp::FOR_RACES).await;
    let user = latchkey.signed_up("confirmed-race").await;
    let token = token_of(&latchkey, &user).await;
    let answers = all_at_once((0..16).map(|_| confirm(&latchkey, &token))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        1
    );
    for loser in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(loser.status, 422, "{loser:?}");
    }
}

#[tokio::test]
async fn a_forged_token_or_a_token_of_another_purpose_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirmed-forged").await;
    let other = latchkey.signed_up("confirmed-forger").await;
    let genuine = token_of(latchkey, &user).await;
    let others = token_of(latchkey, &other).await;
    let mut tokens: Vec<String> = forgeries(&genuine, &others)
        .into_iter()
        .map(|(_, token)| token)
        .filter(|token| *token != genuine)
        .collect();
    tokens.extend([user.session.clone(), latchkey.reset_token(&user).await]);
    for token in tokens {
        latchkey
            .refuses(
                &user,
                confirm(latchkey, &token),
                422,
                &["jwt.decode_and_verify"],
            )
            .await;
    }
    assert_eq!(confirm(latchkey, &genuine).send().await.status, 201);
}

#[tokio::test]
async fn an_expired_token_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirmed-late").await;
    let genuine = token_of(latchkey, &user).await;
    let keys = SigningKeys::from_secrets(&latchkey.token_secret().await, None).unwrap();
    let claims = claims(&genuine);
    let text = |name: &str| claims[name].as_str().unwrap();
    let expired = keys
        .sign(&Claims::new(
            Purpose::Confirmation,
            TokenId::from_text(text("jti")),
            Uid::parse(text("uid")).unwrap(),
            AccountKey::of(text("user")),
            Timestamp::from_seconds(now() - 3600),
            Timestamp::from_seconds(now() - 1),
        ))
        .unwrap();
    latchkey
        .refuses(
            &user,
            confirm(latchkey, &expired),
            422,
            &["jwt.decode_and_verify"],
        )
        .await;
}

#[tokio::test]
async fn an_account_that_is_not_pending_cannot_be_confirmed() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirmed-closed").await;
    let token = token_of(latchkey, &user).await;
    for state in ["active", "banned", "deleted", "locked"] {
        latchkey.set_state(&user, state).await;
        latchkey
            .refuses(
                &user,
                confirm(latchkey, &token),
                422,
                &["identity.user.active_or_doesnt_exist"],
            )
            .await;
    }
    latchkey.delete_user(&user).await;
    latchkey
        .refuses(
            &user,
            confirm(latchkey, &token),
            422,
            &["identity.user.active_or_doesnt_exist"],
        )
        .await;
}

#[tokio::test]
async fn the_session_is_a_new_one_with_the_usual_maximum_age() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirmed-session").await;
    let answer = confirm_by_link(latchkey, &token_of(latchkey, &user).await)
        .cookie(&user.session)
        .send()
        .await;
    assert_ne!(answer.session(), user.session);
    let item = latchkey
        .session_item(&user, &answer.session())
        .await
        .expect("a session");
    assert_eq!(
        number(&item, "expires_at") - number(&item, "began_at"),
        86_400
    );
}

#[tokio::test]
async fn a_confirmation_is_an_activity_and_a_rejected_one_is_not() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-activity").await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    let token = mail.confirmation_token().unwrap();
    for status in [201, 422] {
        let request = latchkey
            .post("/identity/users/email/confirm_code")
            .form(&[("token", token), ("password", PASSWORD)]);
        assert_eq!(request.send().await.status, status);
    }
    assert_eq!(
        latchkey.activities(&user).await,
        ["signup succeed", "confirm email succeed"]
    );
}

#[tokio::test]
async fn wrong_passwords_start_the_back_off_and_an_earlier_sign_in_is_no_failure() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirmed-back-off").await;
    let token = token_of(latchkey, &user).await;
    latchkey.signed_in(&user).await;
    let wrong = || {
        latchkey.post(PATH).form(&[
            ("token", token.as_str()),
            ("password", "Wrong-Horse-7-Battery"),
        ])
    };
    for _ in 0..6 {
        wrong()
            .send()
            .await
            .is_refused(422, &["identity.user.invalid_password"]);
    }
    confirm(latchkey, &token)
        .send()
        .await
        .is_refused(429, &["request.too_many_attempts"]);
    // The session of the sign-up neither waits nor counts.
    let answer = confirm_by_link(latchkey, &token)
        .cookie(&user.session)
        .send()
        .await;
    assert_eq!(answer.status, 201);
}
