//! `POST /resource/labels`

use serde_json::{Value, json};

use crate::{
    harness::{Latchkey, Request, User, all_at_once, latchkey, number, only_changed},
    manage::users::manage,
};

const PATH: &str = "/resource/labels";

pub fn create(latchkey: &Latchkey, user: &User, key: &str, value: &str) -> Request {
    latchkey
        .by(user, "POST", PATH)
        .form(&[("key", key), ("value", value)])
}

/// Creates a label and returns it.
pub async fn created(latchkey: &Latchkey, user: &User, key: &str, value: &str) -> Value {
    let answer = create(latchkey, user, key, value).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

/// The keys of the user's labels.
pub async fn keys(latchkey: &Latchkey, user: &User) -> Vec<String> {
    let labels = latchkey.get(PATH).bearer(&user.session).send().await.json();
    let key = |label: &Value| label["key"].as_str().unwrap().to_owned();
    labels.as_array().unwrap().iter().map(key).collect()
}

/// Gives the user public labels `key-<number>`.
async fn fill(latchkey: &Latchkey, user: &User, count: usize) {
    for number in 0..count {
        created(latchkey, user, &format!("key-{number}"), "value").await;
    }
}

#[tokio::test]
async fn a_public_label_is_created_in_lower_case_and_recorded() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-create").await;
    let before = latchkey.user_item(&user).await;
    let answer = create(latchkey, &user, "Fav_Colour-1", "BLUE").send().await;
    assert_eq!((answer.status, answer.header("set-cookie")), (201, None));
    answer.has_names(&["key", "value", "scope", "created_at", "updated_at"]);
    let label = answer.json();
    let texts = ["key", "value", "scope"].map(|name| label[name].as_str().unwrap());
    assert_eq!(texts, ["fav_colour-1", "blue", "public"]);
    assert_eq!(label["created_at"], label["updated_at"]);
    let request = latchkey.by(&user, "POST", PATH);
    let answer = request.json(&json!({ "key": "year", "value": 2026 }));
    assert_eq!(answer.send().await.json()["value"], "2026");
    let after = latchkey.user_item(&user).await;
    only_changed(&before, &after, &["labels", "updated_at"]);
    assert_eq!(number(&after, "revision"), 2);
    let expected = [
        "signup succeed",
        "create label succeed",
        "create label succeed",
    ];
    assert_eq!(latchkey.activities(&user).await, expected);
    let topic = "/resource/users/activity/account";
    let listed = latchkey.get(topic).bearer(&user.session).send().await;
    assert_eq!(listed.json()[0]["action"], "create label");
}

#[tokio::test]
async fn invalid_parameters_are_rejected_without_effect() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-create-invalid").await;
    let activities = latchkey.activities(&user).await;
    let long = "a".repeat(256);
    for (fields, status, keys) in [
        (&[][..], 400, &["missing_key", "missing_value"][..]),
        (
            &[("key", ""), ("value", " ")],
            400,
            &["empty_key", "empty_value"],
        ),
        (&[("key", "theme")], 400, &["missing_value"]),
        (&[("key", "!"), ("value", "")], 400, &["empty_value"]),
    ] {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| format!("resource.labels.{key}"))
            .collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let request = latchkey.by(&user, "POST", PATH).form(fields);
        latchkey.refuses(&user, request, status, &keys).await;
    }
    for (key, value, expected) in [
        ("ab", "dark", &["key.invalid"][..]),
        (&long, "dark", &["key.invalid"]),
        ("a b", "dark", &["key.invalid"]),
        (" theme", "dark", &["key.invalid"]),
        ("\u{212a}ey", "dark", &["key.invalid"]),
        ("theme", "no", &["value.invalid"]),
        ("theme", "süß", &["value.invalid"]),
        ("theme", &long, &["value.invalid"]),
        ("a.b", "c.d", &["key.invalid", "value.invalid"]),
        ("email", "!", &["value.invalid"]),
    ] {
        let request = create(latchkey, &user, key, value);
        latchkey.refuses(&user, request, 422, expected).await;
    }
    let longest = "a".repeat(255);
    created(latchkey, &user, &longest, &longest).await;
    assert_eq!(latchkey.activities(&user).await.len(), activities.len() + 1);
}

#[tokio::test]
async fn reserved_keys_and_keys_taken_in_either_scope_are_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-create-taken").await;
    for key in ["email", "otp", "delete", "phone", "document", "Profile"] {
        let request = create(latchkey, &user, key, "verified");
        latchkey
            .refuses(&user, request, 400, &["resource.labels.private"])
            .await;
    }
    created(latchkey, &user, "theme", "dark").await;
    let set = json!({ "action": "set-label", "uid": user.uid, "key": "tier", "value": "gold" });
    manage(latchkey, set).await;
    for key in ["theme", "THEME", "tier"] {
        let request = create(latchkey, &user, key, "light");
        latchkey.refuses(&user, request, 422, &["key.taken"]).await;
    }
    // Another user has labels of their own.
    let other = latchkey.signed_up("label-create-other").await;
    created(latchkey, &other, "theme", "light").await;
}

#[tokio::test]
async fn a_user_has_twenty_public_labels_at_most() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-limit").await;
    let set = json!({ "action": "set-label", "uid": user.uid, "key": "tier", "value": "gold" });
    manage(latchkey, set).await;
    fill(latchkey, &user, 20).await;
    let limit = ["resource.labels.limit"];
    let request = || create(latchkey, &user, "one-more", "value");
    latchkey.refuses(&user, request(), 422, &limit).await;
    let taken = create(latchkey, &user, "key-3", "value");
    latchkey.refuses(&user, taken, 422, &["key.taken"]).await;
    let delete = latchkey.by(&user, "DELETE", "/resource/labels/key-3");
    delete.send().await.is_empty(204);
    assert_eq!(request().send().await.status, 201);
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_requests_creates_a_label_with_a_key() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-race").await;
    let requests =
        (0..16).map(|number| create(latchkey, &user, "theme", &format!("dark-{number}")));
    let answers = all_at_once(requests).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    let [won] = won[..] else {
        panic!("{won:?}");
    };
    for answer in lost {
        answer.is_refused(422, &["key.taken"]);
    }
    let theme = latchkey.by(&user, "GET", "/resource/labels/theme");
    assert_eq!(theme.send().await.json(), won.json());
    let expected = ["signup succeed", "create label succeed"];
    assert_eq!(latchkey.activities(&user).await, expected);
}

#[tokio::test]
async fn sixteen_concurrent_requests_do_not_exceed_the_limit() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("label-limit-race").await;
    fill(latchkey, &user, 18).await;
    let requests =
        (0..16).map(|number| create(latchkey, &user, &format!("race-{number}"), "value"));
    let answers = all_at_once(requests).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 2, "{answers:?}");
    for answer in lost {
        answer.is_refused(422, &["resource.labels.limit"]);
    }
    assert_eq!(keys(latchkey, &user).await.len(), 20);
}

#[tokio::test]
async fn a_label_of_the_service_written_at_the_same_time_is_kept() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.confirmed("label-beside").await;
    let event = json!({ "action": "verify-email", "uid": user.uid });
    let verified = latchkey.invoke_later("ManageUsersFunction", event);
    let requests = (0..4).map(|number| create(&latchkey, &user, &format!("key-{number}"), "value"));
    let answers = all_at_once(requests).await;
    verified.await.unwrap().unwrap();
    let mut expected = vec!["email".to_owned()];
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, 201, "{answer:?}");
        expected.push(format!("key-{number}"));
    }
    let mut found = keys(&latchkey, &user).await;
    found.sort();
    assert_eq!(found, expected);
}
