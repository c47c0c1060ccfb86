//! `POST /identity/sessions`

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Latchkey, PASSWORD, USER_NAMES, claims, jti, latchkey, now, number, text,
};

#[tokio::test]
async fn missing_or_empty_parameters_are_reported_in_order() {
    let missing = [
        "identity.session.missing_email",
        "identity.session.missing_password",
    ];
    let empty = [
        "identity.session.empty_email",
        "identity.session.empty_password",
    ];
    for (fields, keys) in [
        (&[][..], &missing[..]),
        (&[("email", "")], &[empty[0], missing[1]]),
        (&[("password", " \t\n")], &[missing[0], empty[1]]),
        (&[("password", ""), ("email", " ")], &empty),
        (&[("email", "ada@example.com")], &missing[1..]),
        (
            &[("email", "ada@example.com"), ("password", "\u{2003}")],
            &empty[1..],
        ),
        (&[("password", PASSWORD)], &missing[..1]),
        (
            &[
                ("password", PASSWORD),
                ("otp_code", "000000"),
                ("email", "\u{a0}"),
            ],
            &empty[..1],
        ),
    ] {
        latchkey()
            .await
            .post("/identity/sessions")
            .form(fields)
            .send()
            .await
            .is_refused(400, keys);
    }
}

#[tokio::test]
async fn an_unknown_address_gets_the_same_answer_as_a_wrong_password() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("same-bytes").await;
    let before = latchkey.items_of(&user).await;
    let answer = async |email: &str, password: &str| {
        latchkey.sign_in(email, password).send().await.comparable()
    };
    let wrong = answer(&user.email, "Wrong-Horse-7-Battery").await;
    wrong.is_refused(404, &["identity.session.invalid_params"]);
    for email in [
        "nobody@example.com",
        "no address",
        "a@b",
        "@",
        "🐎@example.com",
        "\u{212a}im@example.com",
        "josé@example.com",
        "USER#same-bytes@example.com",
    ] {
        assert_eq!(answer(email, &user.password).await, wrong, "{email}");
    }
    assert_eq!(latchkey.items_of(&user).await, before);
}

#[tokio::test]
async fn the_password_is_compared_exactly_as_received() {
    let latchkey = latchkey().await;
    let password = "  Pass w\u{f6}rd+&=%41 7-Quiver ";
    let user = latchkey
        .signed_up_with("exact-password", &json!({ "password": password }))
        .await;
    for other in [
        password.trim(),
        password.trim_start(),
        password.trim_end(),
        &password.to_uppercase(),
        &password.to_lowercase(),
        &password.replace('\u{f6}', "o\u{308}"),
        &password.replace("%41", "A"),
        &password.replace('+', " "),
        &format!("{password}\0"),
        &format!("{password}\n"),
    ] {
        latchkey
            .refuses(
                &user,
                latchkey.sign_in(&user.email, other),
                404,
                &["identity.session.invalid_params"],
            )
            .await;
        latchkey.reset_failures(&user.email).await;
    }
    assert_eq!(
        latchkey.sign_in(&user.email, password).send().await.status,
        201
    );
    assert_eq!(
        latchkey
            .post("/identity/sessions")
            .multipart(&[("email", &user.email), ("password", password)])
            .send()
            .await
            .status,
        201
    );
    assert_eq!(
        latchkey
            .post("/identity/sessions")
            .json(&json!({ "email": user.email, "password": password }))
            .send()
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn an_address_is_trimmed_and_all_its_spellings_sign_in_to_the_same_account() {
    let latchkey = latchkey().await;
    let user = latchkey
        .signed_up_with("-", &json!({ "email": " Ada.Lee@Übel.Example.COM\t" }))
        .await;
    assert_eq!(user.email, "Ada.Lee@Übel.Example.COM");
    for email in [
        "ada.lee@übel.example.com",
        "ADA.LEE@ÜBEL.EXAMPLE.COM",
        "  Ada.Lee@U\u{308}bel.Example.com \n",
        "ada.lee@xn--bel-goa.example.com",
        "ada.lee@übel。ｅxample。com",
    ] {
        let answer = latchkey.sign_in(email, PASSWORD).send().await;
        assert_eq!(answer.status, 201, "{email}");
        assert_eq!(answer.json()["email"], user.email);
    }
}

#[tokio::test]
async fn the_account_state_is_revealed_only_after_the_right_password() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("closed").await;
    for (state, key) in [
        ("banned", "identity.session.banned"),
        ("deleted", "identity.session.deleted"),
        ("locked", "identity.session.not_active"),
        ("", "identity.session.not_active"),
        ("Active", "identity.session.not_active"),
    ] {
        latchkey.set_state(&user, state).await;
        latchkey
            .refuses(
                &user,
                latchkey.sign_in(&user.email, &user.password),
                401,
                &[key],
            )
            .await;
        latchkey
            .refuses(
                &user,
                latchkey.sign_in(&user.email, "Wrong-Horse-7"),
                404,
                &["identity.session.invalid_params"],
            )
            .await;
    }
    for state in ["active", "pending"] {
        latchkey.set_state(&user, state).await;
        let answer = latchkey.sign_in(&user.email, &user.password).send().await;
        assert_eq!(
            (answer.status, &answer.json()["state"]),
            (201, &json!(state))
        );
    }
}

#[tokio::test]
async fn a_captcha_response_must_be_text_or_an_object_even_without_a_captcha() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("captcha-format").await;
    let sign_in = |captcha: Value| {
        latchkey.post("/identity/sessions").json(
            &json!({ "email": user.email, "password": user.password, "captcha_response": captcha }),
        )
    };
    let before = latchkey.items_of(&user).await;
    for captcha in [json!(1), json!(true), json!([]), json!(["token"])] {
        sign_in(captcha)
            .send()
            .await
            .is_refused(422, &["identity.session.invalid_captcha_format"]);
    }
    assert_eq!(latchkey.items_of(&user).await, before);
    for captcha in [
        json!("token"),
        json!(""),
        json!(null),
        json!({}),
        json!({ "geetest_challenge": "x" }),
    ] {
        assert_eq!(sign_in(captcha).send().await.status, 201);
    }
    // Missing parameters are reported first, and alone.
    let answer = latchkey
        .post("/identity/sessions")
        .json(&json!({ "captcha_response": 1, "password": PASSWORD }))
        .send()
        .await;
    answer.is_refused(400, &["identity.session.missing_email"]);
}

#[tokio::test]
async fn a_sign_in_returns_the_user_with_the_documented_members_in_order() {
    let latchkey = latchkey().await;
    let user = latchkey
        .signed_up_with("signed-in", &json!({ "data": r#"{"language":"de"}"# }))
        .await;
    let answer = latchkey.sign_in(&user.email, &user.password).send().await;
    assert_eq!(answer.status, 201);
    let body = answer.json();
    let expected = json!({
        "email": user.email,
        "uid": user.uid,
        "role": "member",
        "level": 0,
        "otp": false,
        "state": "pending",
        "referral_uid": null,
        "csrf_token": body["csrf_token"],
        "data": r#"{"language":"de"}"#,
        "created_at": body["created_at"],
        "updated_at": body["updated_at"],
        "labels": [],
        "phones": [],
        "profiles": [],
        "data_storages": [],
    });
    assert_eq!(body, expected);
    answer.has_names(&USER_NAMES);
    for name in ["created_at", "updated_at"] {
        let time = body[name].as_str().unwrap();
        let moment =
            time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339)
                .unwrap();
        assert!(
            time.ends_with('Z') && (now() - moment.unix_timestamp()).abs() < 60,
            "{name} {time}"
        );
    }
    assert!(body["csrf_token"].as_str().unwrap().len() >= 20);
    assert_ne!(body["csrf_token"], user.csrf_token);
}

#[tokio::test]
async fn labels_are_returned_with_their_scope_and_times() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("labelled").await;
    let time = |seconds: i64| AttributeValue::N(seconds.to_string());
    let word = |text: &str| AttributeValue::S(text.to_owned());
    let label = [
        ("key", word("email")),
        ("value", word("verified")),
        ("scope", word("private")),
        ("created_at", time(1_767_225_599)),
        ("updated_at", time(1_767_225_600)),
    ];
    let label = AttributeValue::M(label.map(|(name, value)| (name.to_owned(), value)).into());
    latchkey
        .edit_user(&user, |item| {
            drop(item.insert("labels".to_owned(), AttributeValue::L(vec![label])));
        })
        .await;
    let body = latchkey
        .sign_in(&user.email, &user.password)
        .send()
        .await
        .json();
    let expected = json!([{ "key": "email", "value": "verified", "scope": "private", "created_at": "2025-12-31T23:59:59Z", "updated_at": "2026-01-01T00:00:00Z" }]);
    assert_eq!(body["labels"], expected);
}

#[tokio::test]
async fn the_session_is_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("cookie").await;
    let answer = latchkey.sign_in(&user.email, &user.password).send().await;
    let expected = format!(
        "_barong_session={}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=86400",
        answer.session()
    );
    let device = format!(
        "_latchkey_device={}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=7776000",
        answer.device_cookie()
    );
    assert_eq!(
        answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .map(|(_, value)| value)
            .collect::<Vec<_>>(),
        [&expected, &device]
    );
    let claims = claims(&answer.session());
    assert_eq!(
        (&claims["sub"], &claims["uid"]),
        (&json!("session"), &json!(user.uid))
    );
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        86_400
    );
}

#[tokio::test]
async fn a_token_presented_before_sign_in_is_never_adopted() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("fixation").await;
    let attacker = latchkey.signed_up("fixation-attacker").await;
    let planted = &attacker.session;
    for request in [
        latchkey
            .sign_in(&user.email, &user.password)
            .cookie(planted),
        latchkey
            .sign_in(&user.email, &user.password)
            .bearer(planted),
    ] {
        let answer = request.send().await;
        assert_ne!(answer.session(), *planted);
        assert_eq!(answer.json()["uid"], user.uid);
    }
    // Every sign-in opens a new session, and ends no other.
    let first = latchkey.signed_in(&user).await;
    let second = latchkey.signed_in(&user).await;
    assert_ne!(jti(&first), jti(&second));
    for session in [&first, &second, planted, &user.session] {
        latchkey.sign_out(session).send().await.is_empty(204);
    }
}

#[tokio::test]
async fn only_hashes_of_the_session_and_its_csrf_token_are_stored() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("hashes-only").await;
    let answer: Answer = latchkey
        .sign_in(&user.email, &user.password)
        .header("user-agent", "Tests/1")
        .send()
        .await;
    let session = answer.session();
    let item = latchkey
        .session_item(&user, &session)
        .await
        .expect("a session stored under the hash of its identifier");
    let began = number(&item, "began_at");
    assert!((now() - began).abs() < 60);
    assert_eq!(
        (number(&item, "last_used_at"), number(&item, "expires_at")),
        (began, began + 86_400)
    );
    let stored = format!("{:?}", latchkey.items_of(&user).await);
    for secret in [
        jti(&session).as_str(),
        &session,
        answer.json()["csrf_token"].as_str().unwrap(),
        &user.csrf_token,
        PASSWORD,
    ] {
        assert!(!stored.contains(secret), "{secret}");
    }
    assert!(
        text(&latchkey.user_item(&user).await, "password_hash")
            .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
    );
}

#[tokio::test]
async fn a_hash_with_other_parameters_is_replaced_at_sign_in() {
    // `echo -n "Correct-Horse-7-Battery" | argon2 somesaltsomesalt -id -t 3 -k 8192 -p 2 -l 32 -e`
    const OUTDATED: &str = "$argon2id$v=19$m=8192,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$RlYdd9sM+e0Hb9Kg/eoZhaR+MdYL8pVhooMy50r+NxI";
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("rehash").await;
    let hash = || async { text(&latchkey.user_item(&user).await, "password_hash").to_owned() };
    latchkey
        .edit_user(&user, |item| {
            drop(item.insert(
                "password_hash".to_owned(),
                AttributeValue::S(OUTDATED.to_owned()),
            ));
        })
        .await;
    latchkey
        .sign_in(&user.email, "Wrong-Horse-7-Battery")
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    assert_eq!(hash().await, OUTDATED);
    latchkey.signed_in(&user).await;
    let replaced = hash().await;
    assert!(
        replaced.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{replaced}"
    );
    latchkey.signed_in(&user).await;
    assert_eq!(hash().await, replaced);
    // The new hash ends no session.
    latchkey.sign_out(&user.session).send().await.is_empty(204);
}

#[tokio::test]
async fn a_session_never_outlives_its_maximum_age() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_SESSION_EXPIRE_TIME", "600"),
        ("IDENTITY_SESSION_MAX_AGE", "600"),
        ("IDENTITY_SESSION_NAME", "sid"),
    ])
    .await;
    let user = latchkey.signed_up("short").await;
    let answer = latchkey.sign_in(&user.email, &user.password).send().await;
    assert!(answer.header("set-cookie").unwrap().starts_with("sid="));
    assert!(
        answer
            .header("set-cookie")
            .unwrap()
            .ends_with("; Max-Age=600")
    );
    let item = latchkey
        .session_item(&user, &answer.session())
        .await
        .unwrap();
    assert_eq!(number(&item, "expires_at") - number(&item, "began_at"), 600);
    let sign_out = |name: &str| {
        latchkey
            .delete("/identity/sessions")
            .header("cookie", format!("{name}={}", answer.session()))
    };
    sign_out("_barong_session")
        .send()
        .await
        .is_refused(400, &["identity.session.missing_session"]);
    sign_out("sid").send().await.is_empty(204);
}
