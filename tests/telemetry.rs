//! Log lines of invocations, and metrics

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::platform::telemetry::metrics;

use crate::harness::{Latchkey, PASSWORD, eventually, latchkey};

const WRONG: &str = "Wrong-Horse-7-Battery";
const NAMESPACE: &str = "Latchkey/telemetry";

impl Latchkey {
    /// The sum of each metric, as `Name` or `Name/value of its dimension`; for a duration, the
    /// number of measurements.
    fn metrics(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for document in self
            .json_lines()
            .iter()
            .filter(|line| line["_aws"].is_object())
        {
            let [directive] = document["_aws"]["CloudWatchMetrics"]
                .as_array()
                .unwrap()
                .as_slice()
            else {
                panic!("{document}");
            };
            assert_eq!(directive["Namespace"], NAMESPACE);
            assert!(
                document["request_id"].is_string() && document["operation"].is_string(),
                "{document}"
            );
            let dimension = directive["Dimensions"][0][0]
                .as_str()
                .map(|name| document[name].as_str().unwrap());
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap();
                assert_eq!(
                    metric["Unit"],
                    if name == "HashTime" {
                        "Milliseconds"
                    } else {
                        "Count"
                    }
                );
                let key =
                    dimension.map_or_else(|| name.to_owned(), |value| format!("{name}/{value}"));
                let count = document[name]
                    .as_u64()
                    .unwrap_or_else(|| document[name].as_array().unwrap().len() as u64);
                *counts.entry(key).or_default() += count;
            }
        }
        counts
    }

    async fn counted(&self, metric: &str, count: u64) {
        eventually(metric, || async {
            (self.metrics().get(metric) == Some(&count)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_request_is_logged_in_one_line() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("telemetry-line").await;
    assert_eq!(
        latchkey.sign_in(&user.email, PASSWORD).send().await.status,
        201
    );
    assert_eq!(
        latchkey.sign_in(&user.email, WRONG).send().await.status,
        404
    );
    let lines = latchkey.invocations("session-create", "answered", 2).await;
    let [right, wrong] = lines.as_slice() else {
        panic!("{lines:#?}")
    };
    for (line, status, key, cold_start) in [
        (right, 201, Value::Null, true),
        (wrong, 404, json!("identity.session.invalid_params"), false),
    ] {
        assert_eq!(
            (&line["status"], &line["key"], &line["cold_start"]),
            (&json!(status), &key, &json!(cold_start)),
            "{line}"
        );
        assert_eq!(
            (&line["route"], &line["address"]),
            (&json!("POST /identity/sessions"), &json!("127.0.0.0/24")),
            "{line}"
        );
        assert!(
            line["request_id"].as_str().is_some_and(|id| id.len() == 36),
            "{line}"
        );
        assert!(
            line["duration_ms"]
                .as_f64()
                .is_some_and(|duration| duration > 0.0),
            "{line}"
        );
    }
    assert_ne!(right["request_id"], wrong["request_id"]);
}

#[tokio::test]
async fn a_line_contains_the_number_of_round_trips() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("telemetry-trips").await;
    for _ in 0..2 {
        assert_eq!(latchkey.get("/identity/ping").send().await.status, 200);
        assert_eq!(
            latchkey.sign_in(&user.email, PASSWORD).send().await.status,
            201
        );
        assert_eq!(
            latchkey
                .get("/resource/users/me")
                .bearer(&user.session)
                .send()
                .await
                .status,
            200
        );
    }
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    for operation in ["ping", "session-create", "user-me"] {
        let lines = latchkey.invocations(operation, "answered", 2).await;
        cold.push(lines[0]["round_trips"].clone());
        warm.push(lines[1]["round_trips"].clone());
    }
    // The count of a cold sign-in depends on how it overlaps with the fetch of the secret. A
    // function that only verifies tokens reads their keys with the session.
    assert!(
        cold[0] == 0 && cold[1].as_u64() >= Some(1) && cold[2] == 1,
        "{cold:?}"
    );
    // A sign-in counts the attempt and reads the user in one round trip, and writes in another.
    assert_eq!(json!(warm), json!([0, 2, 1]));
}

#[tokio::test]
async fn a_sign_in_with_a_device_cookie_takes_two_round_trips() {
    let latchkey = Latchkey::start(&[]).await;
    let (user, authenticator) = latchkey.enrolled("telemetry-device").await;
    let code = &authenticator.recovery_codes[0];
    let first = latchkey.sign_in_with(&user, code).send().await;
    let code = authenticator.code();
    let cookie = first.device_cookie();
    let second = latchkey.sign_in_with(&user, &code).device(&cookie);
    assert_eq!(second.send().await.status, 201);
    let other = latchkey.signed_up("telemetry-device-plain").await;
    let sign_in = || latchkey.sign_in(&other.email, PASSWORD);
    let cookie = sign_in().send().await.device_cookie();
    assert_eq!(sign_in().device(&cookie).send().await.status, 201);
    let lines = latchkey.invocations("session-create", "answered", 4).await;
    let trips: Vec<_> = lines.iter().map(|line| &line["round_trips"]).collect();
    assert_eq!(json!(trips[1..]), json!([2, 2, 2]), "{lines:?}");
}

#[tokio::test]
async fn an_event_is_logged_in_one_line() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("telemetry-event").await;
    latchkey.mail_to(&user.email, 1, |_| true).await;
    let line = &latchkey.invocations("mail-send", "handled", 1).await[0];
    assert_eq!(
        (
            &line["cold_start"],
            line["key"].is_null(),
            line["address"].is_null()
        ),
        (&json!(true), true, true),
        "{line}"
    );
    let shown = latchkey
        .invoke(
            "ManageUsersFunction",
            json!({ "action": "show", "email": user.email }),
        )
        .await;
    assert!(shown.is_ok());
    latchkey.invocations("manage-users", "handled", 1).await;
}

#[tokio::test]
async fn sign_ins_resets_mails_and_hashes_are_counted() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_METRICS_NAMESPACE", NAMESPACE),
        ("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "1"),
        ("IDENTITY_ARGON2", "m=8192,t=1,p=1"),
    ])
    .await;
    let email = "bounce+telemetry@simulator.amazonses.com";
    let user = latchkey.signed_up("telemetry-metrics").await;
    latchkey.signed_in(&user).await;
    latchkey
        .post("/identity/sessions")
        .json(&json!({}))
        .send()
        .await
        .is_refused(
            400,
            &[
                "identity.session.missing_email",
                "identity.session.missing_password",
            ],
        );
    let token = latchkey.reset_token(&user).await;
    latchkey
        .confirm(&token, "Other-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
    for status in [404, 404, 429] {
        assert_eq!(
            latchkey
                .sign_in("telemetry-nobody@example.com", WRONG)
                .send()
                .await
                .status,
            status
        );
    }
    latchkey
        .signed_up_with("-", &json!({ "email": email }))
        .await;

    for (metric, count) in [
        ("SignIns/succeeded", 1),
        ("SignIns/invalid", 1),
        ("SignIns/wrong_credentials", 2),
        ("SignIns/limited", 1),
        ("Throttles", 1),
        ("PasswordResets/asked", 1),
        ("PasswordResets/sent", 1),
        ("PasswordResets/used", 1),
        // Two confirmations, the reset and its notice.
        ("Mails/sent", 4),
        ("Mails/bounced", 1),
        // Two sign-ups, three evaluated passwords, one new password.
        ("HashTime", 6),
    ] {
        latchkey.counted(metric, count).await;
    }
    let known: BTreeSet<String> = metrics::ALL
        .iter()
        .flat_map(|metric| match metric.dimension {
            Some((_, values)) => values
                .iter()
                .map(|value| format!("{}/{value}", metric.name))
                .collect(),
            None => vec![metric.name.to_owned()],
        })
        .collect();
    for metric in latchkey.metrics().into_keys() {
        assert!(known.contains(&metric), "{metric}");
    }
}

#[tokio::test]
async fn security_events_are_counted() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_METRICS_NAMESPACE", NAMESPACE),
        ("IDENTITY_ARGON2", "m=8192,t=1,p=1"),
    ])
    .await;
    // A wrong code at the sign-in, and at the step-up until the session ends.
    let (user, authenticator) = latchkey.enrolled("telemetry-security").await;
    let wrong = latchkey.sign_in_with(&user, &authenticator.wrong_code());
    assert_eq!(wrong.send().await.status, 403);
    // A text that is no code is refused without being counted.
    let no_code = latchkey.sign_in_with(&user, "no code");
    assert_eq!(no_code.send().await.status, 403);
    for _ in 0..10 {
        let step_up = latchkey
            .post("/resource/sessions/current")
            .bearer(&user.session)
            .form(&[("password", WRONG)]);
        assert_eq!(step_up.send().await.status, 404);
    }
    // A device token of an earlier epoch.
    let other = latchkey.signed_up("telemetry-device-refused").await;
    let sign_in = |password: &str, cookie: &str| {
        latchkey
            .sign_in(&other.email, password)
            .device(cookie)
            .send()
    };
    let first = latchkey.sign_in(&other.email, PASSWORD).send().await;
    let outdated = first.device_cookie();
    assert_eq!(sign_in(PASSWORD, &outdated).await.status, 201);
    latchkey
        .edit_user(&other, |item| {
            let epoch = aws_sdk_dynamodb::types::AttributeValue::N("7".to_owned());
            drop(item.insert("device_epoch".to_owned(), epoch));
        })
        .await;
    let renewed = sign_in(PASSWORD, &outdated).await;
    assert_eq!(renewed.status, 201);
    latchkey
        .post("/identity/sessions")
        .header("sec-fetch-site", "cross-site")
        .json(&json!({}))
        .send()
        .await
        .is_refused(403, &["authz.cross_site_request"]);
    for (metric, count) in [
        ("SecurityEvents/wrong_code", 1),
        ("SecurityEvents/step_up_failed", 10),
        ("SecurityEvents/session_ended", 1),
        ("SecurityEvents/device_refused", 1),
        ("SecurityEvents/cross_site", 1),
    ] {
        latchkey.counted(metric, count).await;
    }
}

#[tokio::test]
async fn the_cause_of_a_failure_is_logged_with_the_request_id() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("telemetry-cause").await;
    latchkey
        .edit_user(&user, |item| drop(item.remove("role")))
        .await;
    latchkey
        .get("/resource/users/me")
        .bearer(&user.session)
        .send()
        .await
        .is_refused(500, &["server.internal_error"]);
    let cause = latchkey
        .invocations("user-me", "the request failed", 1)
        .await
        .remove(0);
    let lines = latchkey.invocations("user-me", "answered", 1).await;
    let line = lines
        .iter()
        .find(|line| line["request_id"] == cause["request_id"])
        .expect("the line of the request");
    assert_eq!(
        (&line["status"], &line["key"]),
        (&json!(500), &json!("server.internal_error"))
    );
    assert!(
        cause["cause"]
            .as_str()
            .is_some_and(|cause| cause.contains("role")),
        "{cause}"
    );
}
