//! `POST /identity/users`

use serde_json::json;

use crate::harness::{
    Latchkey, PASSWORD, USER_NAMES, User, all_at_once, claims, latchkey, now, number, text,
};

const PATH: &str = "/identity/users";

#[tokio::test]
async fn missing_or_empty_parameters_are_rejected() {
    let latchkey = latchkey().await;
    let missing_email = "identity.user.missing_email";
    let missing_password = "identity.user.missing_password";
    let empty_email = "identity.user.empty_email";
    let empty_password = "identity.user.empty_password";
    for (fields, keys) in [
        (&[][..], &[missing_email, missing_password][..]),
        (
            &[("password", ""), ("email", "")],
            &[empty_email, empty_password],
        ),
        (&[("email", " ")], &[empty_email, missing_password]),
        (&[("password", PASSWORD)], &[missing_email]),
        // Missing parameters are reported alone.
        (
            &[("email", "no address"), ("data", "{"), ("refid", "nobody")],
            &[missing_password],
        ),
    ] {
        latchkey
            .post(PATH)
            .form(fields)
            .send()
            .await
            .is_refused(400, keys);
    }
}

#[tokio::test]
async fn data_has_at_most_1024_characters() {
    let latchkey = latchkey().await;
    let sign_up = |email: &str, length: usize| {
        let data = format!("\"{}\"", "é".repeat(length - 2));
        latchkey
            .post(PATH)
            .form(&[("email", email), ("password", PASSWORD), ("data", &data)])
            .send()
    };
    sign_up("data-long@example.com", 1025)
        .await
        .is_refused(422, &["data.too_long"]);
    assert_eq!(sign_up("data-long@example.com", 1024).await.status, 201);
}

#[tokio::test]
async fn a_sign_up_returns_the_user_and_opens_a_session() {
    let latchkey = latchkey().await;
    let answer = latchkey
        .post(PATH)
        .form(&[("email", "Sign.Up@Example.com"), ("password", PASSWORD)])
        .send()
        .await;
    let user = User::from_answer(&answer, PASSWORD);
    let body = answer.json();
    let expected = json!({
        "email": "Sign.Up@Example.com",
        "uid": user.uid,
        "role": "member",
        "level": 0,
        "otp": false,
        "state": "pending",
        "referral_uid": null,
        "csrf_token": user.csrf_token,
        "data": null,
        "created_at": body["created_at"],
        "updated_at": body["created_at"],
        "labels": [],
        "phones": [],
        "profiles": [],
        "data_storages": [],
    });
    assert_eq!(body, expected);
    answer.has_names(&USER_NAMES);
    let digits = user.uid.strip_prefix("ID").unwrap();
    assert!(
        digits.len() == 10
            && digits
                .bytes()
                .all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit)),
        "{}",
        user.uid
    );
    let cookie = format!(
        "_barong_session={}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=86400",
        user.session
    );
    assert_eq!(answer.header("set-cookie"), Some(cookie.as_str()));
    latchkey.sign_out(&user.session).send().await.is_empty(204);
    assert_eq!(
        latchkey
            .sign_in("sign.up@example.com", PASSWORD)
            .send()
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_sign_up_sends_a_confirmation_mail() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("Confirmed").await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    let token = mail.confirmation_token().unwrap();
    let link = format!(
        "{}/accounts/confirmation?confirmation_token={token}&lang=en",
        latchkey.domain()
    );
    assert_eq!(mail.link(), Some(link.as_str()));
    let code = latchkey.grant(&user, "CONFIRM").await.expect("a code");
    assert!((now() + 3600 - number(&code, "expires_at")).abs() < 60);
    let claims = claims(token);
    assert_eq!(
        (&claims["sub"], &claims["uid"]),
        (&json!("confirmation"), &json!(user.uid))
    );
    assert_eq!(claims["jti"], *code["jti"].as_s().unwrap());
    assert_eq!(latchkey.mails_to(&user.email).await.len(), 1);
}

#[tokio::test]
async fn the_referrer_is_stored_by_uid() {
    let latchkey = latchkey().await;
    let referrer = latchkey.signed_up("referrer").await;
    let user = latchkey
        .signed_up_with("referred", &json!({ "refid": referrer.uid }))
        .await;
    let body = latchkey.sign_in(&user.email, PASSWORD).send().await.json();
    assert_eq!(body["referral_uid"], referrer.uid);
    assert_ne!(user.uid, referrer.uid);
}

#[tokio::test]
async fn a_session_presented_at_sign_up_is_not_adopted() {
    let latchkey = latchkey().await;
    let attacker = latchkey.signed_up("sign-up-attacker").await;
    let answer = latchkey
        .post(PATH)
        .form(&[
            ("email", "sign-up-victim@example.com"),
            ("password", PASSWORD),
        ])
        .cookie(&attacker.session)
        .send()
        .await;
    let user = User::from_answer(&answer, PASSWORD);
    assert_ne!(user.session, attacker.session);
    for session in [&attacker.session, &user.session] {
        latchkey.sign_out(session).send().await.is_empty(204);
    }
}

#[tokio::test]
async fn only_one_of_eight_concurrent_sign_ups_of_one_address_succeeds() {
    let latchkey = Latchkey::start(&[]).await;
    let spellings = [
        "Race@example.com",
        "race@example.com",
        "RACE@EXAMPLE.COM",
        " race@example.com ",
    ];
    let sign_up = |number: usize| {
        let password = format!("Racing-Horse-{number}-Battery");
        latchkey
            .post(PATH)
            .form(&[("email", spellings[number % 4]), ("password", &password)])
    };
    let answers = all_at_once((0..8).map(sign_up)).await;
    let winners: Vec<usize> = (0..8)
        .filter(|&number| answers[number].status == 201)
        .collect();
    let [winner] = winners[..] else {
        panic!("{winners:?}")
    };
    for (number, answer) in answers.iter().enumerate() {
        if number != winner {
            answer.is_refused(422, &["email.taken"]);
        }
        let status = latchkey
            .sign_in(
                "race@example.com",
                &format!("Racing-Horse-{number}-Battery"),
            )
            .send()
            .await
            .status;
        assert_eq!(status, if number == winner { 201 } else { 404 }, "{number}");
        latchkey.reset_failures("race@example.com").await;
    }
    // One user with two items, two sessions, one code and one mail. The losers leave nothing.
    let everything: Vec<String> = latchkey.everything().await.into_keys().collect();
    let count = |kind: &str| everything.iter().filter(|key| key.contains(kind)).count();
    assert_eq!(
        ["USER#", "UID#", "SESSION#", "CONFIRM", "MAIL#"].map(count),
        [1, 1, 2, 1, 1],
        "{everything:#?}"
    );
}

#[tokio::test]
async fn uids_have_the_configured_prefix() {
    let latchkey = Latchkey::start(&[("IDENTITY_UID_PREFIX", "Acme")]).await;
    let user = latchkey.signed_up("prefix").await;
    assert!(
        user.uid.starts_with("ACME") && user.uid.len() == 14,
        "{}",
        user.uid
    );
    let referred = latchkey
        .signed_up_with("prefix-referred", &json!({ "refid": user.uid }))
        .await;
    assert!(referred.uid.starts_with("ACME"));
}

#[tokio::test]
async fn a_uid_of_an_earlier_version_keeps_its_case_and_is_a_referral() {
    let latchkey = Latchkey::start(&[("IDENTITY_UID_PREFIX", "acme")]).await;
    let password = PASSWORD;
    for (number, uid) in ["acme00000000AA", "Acme00000000ab"].into_iter().enumerate() {
        let email = format!("earlier{number}@example.com");
        let event = json!({ "action": "create", "email": email, "password": password, "uid": uid });
        let created = crate::manage::users::manage(&latchkey, event).await;
        assert_eq!(created["user"]["uid"], uid, "{created}");
        let signed_in = latchkey.sign_in(&email, password).send().await;
        assert_eq!(signed_in.json()["uid"], uid);
        let referred = latchkey
            .signed_up_with(&format!("referred{number}"), &json!({ "refid": uid }))
            .await;
        assert_eq!(
            text(&latchkey.user_item(&referred).await, "referral_uid"),
            uid
        );
        let in_other_case = json!({
            "email": "other-case@example.com", "password": password, "refid": uid.to_ascii_uppercase(),
        });
        latchkey
            .post("/identity/users")
            .json(&in_other_case)
            .send()
            .await
            .is_refused(422, &["identity.user.referral_doesnt_exist"]);
    }
}

#[tokio::test]
async fn hashes_have_the_configured_parameters() {
    let latchkey = Latchkey::start(&[("IDENTITY_ARGON2", "m=8192,t=3,p=2")]).await;
    let user = latchkey.signed_up("argon2").await;
    let item = latchkey.user_item(&user).await;
    assert!(text(&item, "password_hash").starts_with("$argon2id$v=19$m=8192,t=3,p=2$"));
    latchkey.signed_in(&user).await;
    assert_eq!(
        latchkey.user_item(&user).await["password_hash"],
        item["password_hash"]
    );
}
