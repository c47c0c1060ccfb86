//! Rejection of breached passwords

use serde_json::json;

use crate::harness::{
    ExternalServices, Latchkey, PASSWORD,
    captcha::{BREACHED, PADDING, UNANSWERED, sha1},
    latchkey,
};

const PATH: &str = "/identity/users";

#[tokio::test]
async fn a_breached_password_is_rejected_at_sign_up() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_breach_check().await;
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
    assert_eq!(services.requests().len(), 3);
}

#[tokio::test]
async fn the_error_keeps_the_order_of_the_parameters() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_breach_check().await;
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
async fn the_service_is_not_called_for_a_request_that_is_rejected_anyway() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_breach_check().await;
    for (password, refid, key) in [
        ("password", "", "password.requirements"),
        ("Password1", "", "password.weak"),
        (BREACHED, "nobody", "identity.user.invalid_referral_format"),
    ] {
        let fields = [
            ("email", "rejected@example.com"),
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
    assert_eq!(services.requests().len(), 0);
}

#[tokio::test]
async fn only_five_characters_of_the_hash_are_sent() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_breach_check().await;
    latchkey
        .post(PATH)
        .form(&[("email", "five@example.com"), ("password", BREACHED)])
        .send()
        .await;
    let received = services.requests().pop().unwrap();
    assert_eq!(
        (received.method.as_str(), received.path),
        ("GET", format!("/range/{}", &sha1(BREACHED)[..5]))
    );
    assert_eq!(received.headers["add-padding"], "true");
    assert!(
        received.headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("Latchkey/")
    );
    assert!(
        received.fields.values().all(String::is_empty)
            && !format!("{:?}", received.headers).contains(&sha1(BREACHED)[5..])
    );
}

#[tokio::test]
async fn without_a_valid_answer_the_password_is_accepted_and_the_failure_is_logged() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_breach_check().await;
    for (number, password) in UNANSWERED.iter().enumerate() {
        latchkey
            .signed_up_with(&format!("outage{number}"), &json!({ "password": password }))
            .await;
    }
    assert!(
        services
            .requests()
            .iter()
            .all(|request| request.path != "/redirected")
    );
    let log = latchkey
        .log_with(UNANSWERED.len(), "breached_passwords_unavailable")
        .await;
    let failures: Vec<&String> = log
        .iter()
        .filter(|line| line.contains(r#""event":"breached_passwords_unavailable""#))
        .collect();
    assert_eq!(failures.len(), UNANSWERED.len(), "{log:#?}");
    for password in UNANSWERED {
        assert!(
            !log.iter()
                .any(|line| line.contains(password) || line.contains(&sha1(password)[..5])),
            "{log:#?}"
        );
    }
}

#[tokio::test]
async fn without_a_connection_the_password_is_accepted() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_BREACHED_PASSWORDS", "hibp"),
        (
            "IDENTITY_BREACHED_PASSWORDS_URL",
            "http://127.0.0.1:9/range",
        ),
    ])
    .await;
    latchkey.signed_up("no-connection").await;
}

#[tokio::test]
async fn a_reset_to_a_breached_password_is_rejected_and_the_code_stays_valid() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_breach_check().await;
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
async fn a_change_to_a_breached_password_is_rejected() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_breach_check().await;
    let user = latchkey.signed_up("breached-change").await;
    let calls = services.requests().len();
    latchkey
        .refuses(
            &user,
            latchkey.change_password(&user, BREACHED, BREACHED),
            400,
            &["resource.password.prev_pass_not_correct"],
        )
        .await;
    assert_eq!(
        services.requests().len(),
        calls,
        "a request that is rejected anyway calls the service"
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
    assert_eq!(services.requests().len(), calls + 2);
}

#[tokio::test]
async fn a_breached_password_still_works_at_sign_in() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_breach_check().await;
    let user = latchkey.signed_up("breached-later").await;
    let calls = services.requests().len();
    latchkey.signed_in(&user).await;
    assert_eq!(services.requests().len(), calls);
}

#[tokio::test]
async fn by_default_breached_passwords_are_accepted() {
    latchkey()
        .await
        .signed_up_with("not-checked", &json!({ "password": BREACHED }))
        .await;
}
