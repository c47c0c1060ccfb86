//! `GET /resource/users/activity/{topic}`

use serde_json::{Value, json};

use crate::harness::{Answer, Latchkey, PASSWORD, User, latchkey, now};

const WRONG: &str = "Wrong-Horse-7-Battery";

async fn activity(latchkey: &Latchkey, user: &User, rest: &str) -> Answer {
    latchkey
        .get(&format!("/resource/users/activity/{rest}"))
        .cookie(&user.session)
        .send()
        .await
}

fn actions(answer: &Answer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    answer
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(&one["action"]), text(&one["result"])))
        .collect()
}

/// The paging headers.
fn page(answer: &Answer) -> [&str; 3] {
    assert_eq!(answer.status, 200, "{answer:?}");
    ["total", "page", "per-page"].map(|name| answer.header(name).unwrap())
}

#[tokio::test]
async fn successes_and_failures_are_listed_newest_first() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("activity").await;
    latchkey
        .sign_in(&user.email, WRONG)
        .header("user-agent", "Other/2")
        .send()
        .await;
    let session = latchkey.signed_in(&user).await;
    latchkey.sign_out(&session).send().await.is_empty(204);
    latchkey
        .ask_for_code(&user.email)
        .send()
        .await
        .is_empty(201);

    let all = activity(latchkey, &user, "all").await;
    let names = [
        "request password reset",
        "logout",
        "login",
        "login",
        "signup",
    ];
    let results = ["succeed", "succeed", "succeed", "failed", "succeed"];
    let expected: Vec<_> = names
        .iter()
        .zip(results)
        .map(|(name, result)| ((*name).to_owned(), result.to_owned()))
        .collect();
    assert_eq!(actions(&all), expected);
    assert_eq!(page(&all), ["5", "1", "100"]);

    let failed = all.json()[3].clone();
    let expected = json!({
        "id": failed["id"],
        "category": "user",
        "topic": "session",
        "action": "login",
        "result": "failed",
        "user_ip": "127.0.0.1",
        "user_agent": "Other/2",
        "data": r#"{"reason":"identity.session.invalid_params"}"#,
        "created_at": failed["created_at"],
    });
    assert_eq!(failed, expected);
    let time = &time::format_description::well_known::Rfc3339;
    let created_at =
        time::OffsetDateTime::parse(failed["created_at"].as_str().unwrap(), time).unwrap();
    assert!((now() - created_at.unix_timestamp()).abs() < 60);
    assert_eq!(all.json()[4]["data"], Value::Null);
}

#[tokio::test]
async fn a_topic_contains_only_its_own_activities() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("activity-topic").await;
    let other = latchkey.signed_up("activity-other").await;
    latchkey.signed_in(&user).await;
    latchkey
        .ask_for_code(&user.email)
        .send()
        .await
        .is_empty(201);
    for (topic, action) in [
        ("session", "login"),
        ("password", "request password reset"),
        ("account", "signup"),
    ] {
        let answer = activity(latchkey, &user, topic).await;
        assert_eq!(
            actions(&answer),
            [(action.to_owned(), "succeed".to_owned())],
            "{topic}"
        );
        assert_eq!(page(&answer), ["1", "1", "100"]);
    }
    assert_eq!(actions(&activity(latchkey, &other, "all").await).len(), 1);
}

#[tokio::test]
async fn a_topic_without_activities_and_an_unknown_topic_are_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("activity-none").await;
    for topic in ["session", "otp", "password", "password?page=2"] {
        activity(latchkey, &user, topic)
            .await
            .is_refused(422, &["resource.user.no_activity"]);
    }
    for topic in [
        "none",
        "ALL",
        "Session",
        "all%20",
        "%20",
        "all,session",
        "sessions",
        "%00",
        "a%0Db",
        "%E2%80%AE",
        "%ff",
        "a%7Cb",
        "%5B",
    ] {
        activity(latchkey, &user, topic)
            .await
            .is_refused(422, &["resource.user.wrong_topic"]);
    }
    activity(latchkey, &user, &"x".repeat(2000))
        .await
        .is_refused(422, &["resource.user.wrong_topic"]);
}

#[tokio::test]
async fn pages_contain_every_activity_once() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("activity-pages").await;
    for _ in 0..4 {
        latchkey.signed_in(&user).await;
    }
    let all = activity(latchkey, &user, "all").await.json();
    assert_eq!(all.as_array().unwrap().len(), 5);
    let mut paged = Vec::new();
    for number in 1..=3 {
        let answer = activity(latchkey, &user, &format!("all?page={number}&limit=2")).await;
        assert_eq!(page(&answer), ["5", &number.to_string(), "2"]);
        paged.extend(answer.json().as_array().unwrap().clone());
    }
    assert_eq!(Value::from(paged), all);
}

#[tokio::test]
async fn page_and_limit_are_clamped_and_ignored_if_they_are_not_numbers() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("activity-clamped").await;
    for _ in 0..2 {
        latchkey.signed_in(&user).await;
    }
    let huge = "9".repeat(60);
    for (query, number, limit) in [
        ("", "1", "100"),
        ("page=&limit=", "1", "100"),
        ("page=two&limit=ten", "1", "100"),
        ("page=1.5&limit=1e1", "1", "100"),
        ("page=0&limit=0", "1", "1"),
        ("page=-1&limit=-1", "1", "1"),
        ("page=4&limit=1", "3", "1"),
        ("page=2&limit=2", "2", "2"),
        ("page=3&limit=101", "1", "100"),
        (&format!("page={huge}&limit=1"), "3", "1"),
        (&format!("page=1&limit={huge}"), "1", "100"),
        (&format!("page=-{huge}&limit=-{huge}"), "1", "1"),
        ("limit=100&limit=2&page=1&page=2", "2", "2"),
        ("page=%00&limit=%ff", "1", "100"),
        ("page=%20%202&limit=2+", "2", "2"),
        ("Page=2&LIMIT=1&offset=1", "1", "100"),
    ] {
        let answer = activity(latchkey, &user, &format!("all?{query}")).await;
        assert_eq!(page(&answer), ["3", number, limit], "{query}");
    }
}

#[tokio::test]
async fn expired_activities_are_not_listed() {
    let latchkey = Latchkey::start(&[("IDENTITY_ACTIVITY_DAYS", "1")]).await;
    let user = latchkey.signed_up("expired").await;
    let key = format!(
        "ACTIVITY#{}",
        activity(&latchkey, &user, "all").await.json()[0]["id"]
            .as_str()
            .unwrap()
    );
    latchkey.sign_in(&user.email, PASSWORD).send().await;
    latchkey.age_grant(&user, &key, 86_390).await;
    assert_eq!(page(&activity(&latchkey, &user, "all").await)[0], "2");
    latchkey.age_grant(&user, &key, 10).await;
    assert_eq!(
        actions(&activity(&latchkey, &user, "all").await),
        [("login".to_owned(), "succeed".to_owned())]
    );
    activity(&latchkey, &user, "account")
        .await
        .is_refused(422, &["resource.user.no_activity"]);
}
