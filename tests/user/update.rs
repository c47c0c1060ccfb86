//! `PUT /resource/users/me`

use serde_json::{Value, json};

use crate::harness::{
    Answer, Latchkey, Request, User, all_at_once, latchkey, now, number, only_changed, text,
};

const PATH: &str = "/resource/users/me";

fn update(latchkey: &Latchkey, user: &User, data: &str) -> Request {
    latchkey.by(user, "PUT", PATH).form(&[("data", data)])
}

async fn me(latchkey: &Latchkey, user: &User) -> Value {
    latchkey.get(PATH).bearer(&user.session).send().await.json()
}

#[tokio::test]
async fn the_data_is_replaced_and_the_user_returned() {
    let latchkey = latchkey().await;
    let sign_up = json!({ "data": r#"{"theme":"dark"}"# });
    let user = latchkey.signed_up_with("update", &sign_up).await;
    let before = latchkey.user_item(&user).await;
    let data = "{ \"language\": \"de\",\t\"n\": 12345678901234567890.10 }";
    for request in [
        update(latchkey, &user, data),
        latchkey
            .by(&user, "PUT", PATH)
            .json(&json!({ "data": data })),
        latchkey
            .by(&user, "PUT", PATH)
            .multipart(&[("data", data), ("other", "x")]),
    ] {
        let answer: Answer = request.send().await;
        assert_eq!((answer.status, answer.header("set-cookie")), (201, None));
        assert_eq!(answer.json()["data"], data);
        assert_eq!(answer.json(), me(latchkey, &user).await);
    }
    let after = latchkey.user_item(&user).await;
    only_changed(&before, &after, &["data", "updated_at"]);
    assert_eq!(text(&after, "data"), data);
    assert_eq!(number(&after, "revision"), 3);
    assert!(number(&after, "updated_at") >= now() - 60);
    assert_eq!(
        latchkey.activities(&user).await[1..],
        ["update data succeed"; 3]
    );
    let topic = "/resource/users/activity/account";
    let listed = latchkey.get(topic).bearer(&user.session).send().await;
    assert_eq!(listed.json()[0]["action"], "update data");
}

#[tokio::test]
async fn data_is_any_json_text_of_at_most_1024_characters() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("update-any").await;
    let longest = format!("\"{}\"", "ж".repeat(1022));
    for data in ["null", "1", "[]", "{}", " \"\\u0000\" ", &longest] {
        let answer = update(latchkey, &user, data).send().await;
        assert_eq!(
            (answer.status, answer.json()["data"].as_str()),
            (201, Some(data))
        );
    }
    // A JSON number or boolean stands for its characters.
    for (value, data) in [(json!(7), "7"), (json!(true), "true")] {
        let request = latchkey.by(&user, "PUT", PATH);
        let answer = request.json(&json!({ "data": value })).send().await;
        assert_eq!(answer.json()["data"], data);
    }
}

#[tokio::test]
async fn other_data_is_rejected_without_effect() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("update-other").await;
    let activities = latchkey.activities(&user).await;
    let put = || latchkey.by(&user, "PUT", PATH);
    let too_long = format!("\"{}\"", "x".repeat(1023));
    for (request, status, key) in [
        (put(), 400, "resource.user.missing_data"),
        (
            put().json(&json!({ "data": null })),
            400,
            "resource.user.missing_data",
        ),
        (put().form(&[("data", "")]), 400, "resource.user.empty_data"),
        (
            put().form(&[("data", " \n")]),
            400,
            "resource.user.empty_data",
        ),
        (put().form(&[("data", "{")]), 422, "data.invalid_format"),
        (put().form(&[("data", "text")]), 422, "data.invalid_format"),
        (put().form(&[("data", "{} {}")]), 422, "data.invalid_format"),
        (put().form(&[("data", "'a'")]), 422, "data.invalid_format"),
        (put().form(&[("data", &too_long)]), 422, "data.too_long"),
        (
            put().json(&json!({ "data": { "a": 1 } })),
            400,
            "request.malformed_body",
        ),
        (
            put().json(&json!({ "data": [1] })),
            400,
            "request.malformed_body",
        ),
        (
            put().body("text/plain", "data={}"),
            415,
            "request.unsupported_media_type",
        ),
    ] {
        latchkey.refuses(&user, request, status, &[key]).await;
    }
    // The sign-up agrees.
    let email = "update-other-new@example.com";
    for (data, key) in [
        ("{", "data.invalid_format"),
        (too_long.as_str(), "data.too_long"),
    ] {
        let fields = [
            ("email", email),
            ("password", &user.password),
            ("data", data),
        ];
        let sign_up = latchkey.post("/identity/users").form(&fields);
        sign_up.send().await.is_refused(422, &[key]);
    }
    assert_eq!(latchkey.activities(&user).await, activities);
}

#[tokio::test]
async fn later_mails_are_in_the_language_of_the_data() {
    let latchkey = latchkey().await;
    let user = latchkey
        .signed_up_with("update-language", &json!({ "lang": "fr" }))
        .await;
    for (number, (data, subject)) in [
        (r#"{"language":"de"}"#, "Passwort"),
        (r#"{"language":"uk-UA","other":1}"#, "парол"),
        // The language of the sign-up.
        ("{}", "mot de passe"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(update(latchkey, &user, data).send().await.status, 201);
        assert_eq!(latchkey.ask_for_code(&user.email).send().await.status, 201);
        let mail = latchkey
            .mail_to(&user.email, number + 1, |mail| mail.reset_token().is_some())
            .await;
        assert!(mail.subject.contains(subject), "{data}: {}", mail.subject);
    }
}

#[tokio::test]
async fn the_last_of_sixteen_concurrent_requests_decides() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("update-race").await;
    let requests = (0..16).map(|number| update(latchkey, &user, &number.to_string()));
    for answer in all_at_once(requests).await {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let item = latchkey.user_item(&user).await;
    assert_eq!(number(&item, "revision"), 16);
    assert!(text(&item, "data").parse::<u8>().unwrap() < 16);
    let updates = latchkey.activities(&user).await;
    assert_eq!(
        updates
            .iter()
            .filter(|activity| *activity == "update data succeed")
            .count(),
        16
    );
}
