//! Passwords that are known from breaches of other services

use serde_json::json;

use crate::harness::{
    Latchkey, Outside, PASSWORD,
    captcha::{BREACHED, PADDING, UNANSWERED, sha1},
    latchkey,
};

const PATH: &str = "/identity/users";

#[tokio::test]
async fn nobody_signs_up_with_a_breached_password() {
    let outside = Outside::start().await;
    let latchkey = outside.knows_passwords().await;
    let fields = [("email", "breached@example.com"), ("password", BREACHED)];
    latchkey
        .post(PATH)
        .form(&fields)
        .send()
        .await
        .is_refused(422, &["password.breached"]);
    assert!(latchkey.everything().await.is_empty());
    for (number, password) in [PASSWORD, PADDING].iter().enumerate() {
        latchkey
            .signed_up_with(
                &format!("unknown{number}"),
                &json!({ "password": password }),
            )
            .await;
    }
    assert_eq!(outside.asked().len(), 3);
}

#[tokio::test]
async fn it_is_told_in_the_passwords_place() {
    let outside = Outside::start().await;
    let latchkey = outside.knows_passwords().await;
    let user = latchkey.signed_up("place").await;
    let fields = [
        ("data", "{"),
        ("password", BREACHED),
        ("email", user.email.as_str()),
    ];
    let keys = ["email.taken", "password.breached", "data.invalid_format"];
    latchkey
        .post(PATH)
        .form(&fields)
        .send()
        .await
        .is_refused(422, &keys);
    let fields = [("data", "{"), ("password", BREACHED), ("email", "nobody")];
    latchkey.post(PATH).form(&fields).send().await.is_refused(
        422,
        &["email.invalid", "password.breached", "data.invalid_format"],
    );
}

#[tokio::test]
async fn nobody_is_asked_about_a_password_that_is_refused_as_it_is() {
    let outside = Outside::start().await;
    let latchkey = outside.knows_passwords().await;
    for (password, refid, key) in [
        ("password", "", "password.requirements"),
        ("Password1", "", "password.weak"),
        (BREACHED, "nobody", "identity.user.invalid_referral_format"),
    ] {
        let fields = [
            ("email", "asked@example.com"),
            ("password", password),
            ("refid", refid),
        ];
        latchkey
            .post(PATH)
            .form(&fields)
            .send()
            .await
            .is_refused(422, &[key]);
    }
    assert_eq!(outside.asked().len(), 0);
}

#[tokio::test]
async fn no_more_than_five_characters_of_the_hash_leave_the_function() {
    let outside = Outside::start().await;
    let latchkey = outside.knows_passwords().await;
    latchkey
        .post(PATH)
        .form(&[("email", "five@example.com"), ("password", BREACHED)])
        .send()
        .await;
    let asked = outside.asked().pop().unwrap();
    assert_eq!(
        (asked.method.as_str(), asked.path),
        ("GET", format!("/range/{}", &sha1(BREACHED)[..5]))
    );
    assert_eq!(asked.headers["add-padding"], "true");
    assert!(
        asked.headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("Latchkey/")
    );
    assert!(
        asked.fields.values().all(String::is_empty)
            && !format!("{:?}", asked.headers).contains(&sha1(BREACHED)[5..])
    );
}

#[tokio::test]
async fn where_nobody_answers_the_password_passes_and_that_is_logged() {
    let outside = Outside::start().await;
    let latchkey = outside.knows_passwords().await;
    for (number, password) in UNANSWERED.iter().enumerate() {
        latchkey
            .signed_up_with(&format!("outage{number}"), &json!({ "password": password }))
            .await;
    }
    assert!(
        outside
            .asked()
            .iter()
            .all(|asked| asked.path != "/redirected")
    );
    let log = latchkey
        .log_with(UNANSWERED.len(), "breached_passwords_unavailable")
        .await;
    let told: Vec<&String> = log
        .iter()
        .filter(|line| line.contains(r#""event":"breached_passwords_unavailable""#))
        .collect();
    assert_eq!(told.len(), UNANSWERED.len(), "{log:#?}");
    for password in UNANSWERED {
        assert!(
            !log.iter()
                .any(|line| line.contains(password) || line.contains(&sha1(password)[..5])),
            "{log:#?}"
        );
    }
}

#[tokio::test]
async fn where_nobody_is_there_the_password_passes() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_BREACHED_PASSWORDS", "hibp"),
        (
            "IDENTITY_BREACHED_PASSWORDS_URL",
            "http://127.0.0.1:9/range",
        ),
    ])
    .await;
    latchkey.signed_up("nobody-there").await;
}

#[tokio::test]
async fn a_reset_to_a_breached_password_changes_nothing_and_leaves_the_token_usable() {
    let outside = Outside::start().await;
    let latchkey = outside.knows_passwords().await;
    let user = latchkey.signed_up("breached-reset").await;
    let token = latchkey.reset_token(&user).await;
    latchkey
        .confirm(&token, BREACHED)
        .send()
        .await
        .is_refused(422, &["password.breached"]);
    assert_eq!(
        latchkey.sign_in(&user.email, BREACHED).send().await.status,
        404
    );
    latchkey.signed_in(&user).await;
    latchkey
        .confirm(&token, "Another-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
}

#[tokio::test]
async fn a_change_to_a_breached_password_changes_nothing() {
    let outside = Outside::start().await;
    let latchkey = outside.knows_passwords().await;
    let user = latchkey.signed_up("breached-change").await;
    let asked = outside.asked().len();
    latchkey
        .refuses(
            &user,
            latchkey.change_password(&user, BREACHED, BREACHED),
            400,
            &["resource.password.prev_pass_not_correct"],
        )
        .await;
    assert_eq!(
        outside.asked().len(),
        asked,
        "what is refused as it is is told nobody"
    );
    latchkey
        .refuses(
            &user,
            latchkey.change_password(&user, PASSWORD, BREACHED),
            422,
            &["password.breached"],
        )
        .await;
    latchkey
        .change_password(&user, PASSWORD, "Another-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
    assert_eq!(outside.asked().len(), asked + 2);
}

#[tokio::test]
async fn a_password_that_has_been_breached_still_signs_in() {
    let outside = Outside::start().await;
    let latchkey = outside.knows_passwords().await;
    let user = latchkey.signed_up("breached-later").await;
    let asked = outside.asked().len();
    latchkey.signed_in(&user).await;
    assert_eq!(outside.asked().len(), asked);
}

#[tokio::test]
async fn nobody_is_asked_unless_the_operator_wants_it() {
    latchkey()
        .await
        .signed_up_with("not-asked", &json!({ "password": BREACHED }))
        .await;
}
