//! The action `reseal`, and exports and imports of OTP secrets

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::{
    rekey::updated,
    users::{manage, refuses},
};
use crate::harness::{
    Fault, Faulty, Item, Latchkey, PASSWORD, User, all_at_once, eventually,
    otp::{self, FOR_RACES},
    text,
};

/// Another secret than [`otp::SECRET`].
const PENDING: &str = "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK";

/// The sums over all pages of a run.
#[derive(Debug, Default, PartialEq)]
struct Run {
    resealed: u64,
    versions: BTreeMap<String, u64>,
    failed: Vec<Value>,
}

impl Run {
    fn new(resealed: u64, versions: &[(&str, u64)]) -> Self {
        Self {
            resealed,
            versions: versions
                .iter()
                .map(|(version, count)| ((*version).to_owned(), *count))
                .collect(),
            failed: Vec::new(),
        }
    }
}

async fn reseal(latchkey: &Latchkey, apply: bool) -> Run {
    let mut run = Run::default();
    let mut after = Value::Null;
    loop {
        let event = json!({ "action": "reseal", "apply": apply, "after": after });
        let answer = manage(latchkey, event).await;
        run.resealed += answer["resealed"].as_u64().expect("a number");
        for (version, count) in answer["versions"].as_object().unwrap() {
            *run.versions.entry(version.clone()).or_default() += count.as_u64().unwrap();
        }
        run.failed
            .extend(answer["failed"].as_array().unwrap().clone());
        after = answer["next"].clone();
        if after.is_null() {
            return run;
        }
    }
}

async fn set(latchkey: &Latchkey, user: &User, field: &str, secret: &str) {
    latchkey
        .edit_user(user, |item| {
            item.insert(field.to_owned(), AttributeValue::S(secret.to_owned()));
        })
        .await;
}

/// Users of the previous version: one with a second factor, one with a pending secret, one with
/// neither.
async fn plain_users(latchkey: &Latchkey) -> [User; 3] {
    let users = [
        latchkey.confirmed("reseal-enabled").await,
        latchkey.confirmed("reseal-pending").await,
        latchkey.confirmed("reseal-without").await,
    ];
    set(latchkey, &users[0], "otp_secret", otp::SECRET).await;
    set(latchkey, &users[1], "otp_pending_secret", PENDING).await;
    users
}

/// The items of the Users table. Those of the Grants table change while mails are delivered.
async fn users_table(latchkey: &Latchkey) -> Vec<(String, Item)> {
    let stored = latchkey.stored().await.into_iter();
    stored
        .filter(|(key, _)| key.starts_with("UsersTable"))
        .collect()
}

/// The same without the values of OTP secrets and the revisions.
async fn without_secrets(latchkey: &Latchkey) -> Vec<(String, Item)> {
    let users = users_table(latchkey).await.into_iter();
    users
        .map(|(key, mut item)| {
            for name in ["otp_secret", "otp_pending_secret", "revision"] {
                item.remove(name);
            }
            (key, item)
        })
        .collect()
}

/// Waits until no delivery of a mail updates its item any more.
async fn mails_are_settled(latchkey: &Latchkey, user: &User) {
    eventually("the mail is settled", || async {
        let mails = latchkey.queued_mails(user).await;
        let is_settled = |mail: &Item| mail.contains_key("settled_at");
        mails.iter().all(is_settled).then_some(())
    })
    .await;
}

/// Stores a further key in the data secret, which becomes the current one.
async fn rotate(latchkey: &Latchkey, version: &str) {
    let mut secret = latchkey.data_secret().await;
    secret[version] = json!(version.repeat(64));
    secret["current"] = json!(version);
    latchkey.put_data_secret(&secret).await;
}

#[tokio::test]
async fn reseal_reports_what_it_would_do_then_seals_each_value_once() {
    let latchkey = Latchkey::start(&FOR_RACES).await;
    let [enabled, pending, _] = plain_users(&latchkey).await;
    let before = users_table(&latchkey).await;
    assert_eq!(
        reseal(&latchkey, false).await,
        Run::new(2, &[("plain text", 2)])
    );
    assert_eq!(users_table(&latchkey).await, before);

    let unchanged = without_secrets(&latchkey).await;
    assert_eq!(reseal(&latchkey, true).await, Run::new(2, &[("1", 2)]));
    assert_eq!(without_secrets(&latchkey).await, unchanged);
    let stored = format!("{:?}", latchkey.stored().await);
    assert!(!stored.contains(otp::SECRET) && !stored.contains(PENDING));
    let sealed = users_table(&latchkey).await;
    assert_eq!(reseal(&latchkey, true).await, Run::new(0, &[("1", 2)]));
    assert_eq!(users_table(&latchkey).await, sealed);

    let signed_in = latchkey
        .sign_in_with(&enabled, &otp::code(otp::step()))
        .send()
        .await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
    let code = otp::code_of(PENDING, otp::step());
    let activated = latchkey.otp("enable", &pending.session, &code).send().await;
    assert_eq!(activated.status, 201, "{activated:?}");
}

#[tokio::test]
async fn secrets_of_the_previous_version_work_before_and_after_they_are_sealed() {
    let latchkey = updated().await;
    let sign_in = |code: &str| {
        latchkey.post("/identity/sessions").form(&[
            ("email", "otto@example.com"),
            ("password", PASSWORD),
            ("otp_code", code),
        ])
    };
    let step = otp::step();
    let signed_in = sign_in(&otp::code(step)).send().await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
    // The sign-in has sealed one of the two secrets.
    assert_eq!(
        reseal(&latchkey, false).await,
        Run::new(1, &[("1", 1), ("plain text", 1)])
    );
    assert_eq!(reseal(&latchkey, true).await, Run::new(1, &[("1", 2)]));
    let signed_in = sign_in(&otp::code(step + 1)).send().await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
    let petra = latchkey.sign_in("petra@example.com", PASSWORD).send().await;
    let code = otp::code_of(PENDING, step);
    let enabled = latchkey.otp("enable", &petra.session(), &code).send().await;
    assert_eq!(enabled.status, 201, "{enabled:?}");
}

#[tokio::test]
async fn reseal_moves_values_to_the_current_key_and_reports_those_that_do_not_open() {
    let latchkey = Latchkey::start(&FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("reseal-moved").await;
    let (damaged, _) = latchkey.enrolled("reseal-damaged").await;
    let of_other = text(&latchkey.user_item(&user).await, "otp_secret").to_owned();
    set(&latchkey, &damaged, "otp_secret", &of_other).await;
    rotate(&latchkey, "2").await;
    for resealed in [1, 0] {
        let run = reseal(&latchkey, true).await;
        assert_eq!(run.resealed, resealed);
        assert_eq!(
            run.versions,
            Run::new(0, &[("1", 1), ("2", 1)]).versions,
            "a value that does not open is still counted"
        );
        assert_eq!(run.failed.len(), 1, "{run:?}");
        assert_eq!(run.failed[0]["uid"], damaged.uid);
        assert_eq!(run.failed[0]["field"], "otp_secret");
        assert!(run.failed[0]["reason"].as_str().unwrap().contains("\"1\""));
    }
    let kept = text(&latchkey.user_item(&damaged).await, "otp_secret").to_owned();
    assert_eq!(kept, of_other);
    let moved = text(&latchkey.user_item(&user).await, "otp_secret").to_owned();
    assert!(moved.starts_with("v1.2."), "{moved}");
    let signed_in = latchkey
        .sign_in_with(&user, &authenticator.code())
        .send()
        .await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
}

#[tokio::test]
async fn an_interrupted_run_is_completed_by_the_next_one() {
    let faulty = Faulty::start(&FOR_RACES).await;
    let latchkey = &faulty.latchkey;
    for number in 0..6 {
        let user = latchkey
            .confirmed(&format!("reseal-stopped-{number}"))
            .await;
        set(latchkey, &user, "otp_secret", otp::SECRET).await;
        mails_are_settled(latchkey, &user).await;
    }
    let mut writes = 0;
    faulty.plan(move |operation| {
        writes += usize::from(operation == "UpdateItem");
        (operation == "UpdateItem" && writes > 3).then_some(Fault::Failed)
    });
    let event = json!({ "action": "reseal", "apply": true });
    let answer = manage(latchkey, event).await;
    assert_eq!(answer["error"]["code"], "unavailable", "{answer}");
    faulty.heal();
    assert_eq!(
        reseal(latchkey, false).await,
        Run::new(3, &[("1", 3), ("plain text", 3)])
    );
    assert_eq!(reseal(latchkey, true).await, Run::new(3, &[("1", 6)]));
}

#[tokio::test]
async fn a_retried_write_of_a_value_is_reported_as_done() {
    let faulty = Faulty::start(&FOR_RACES).await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.confirmed("reseal-lost").await;
    set(latchkey, &user, "otp_secret", otp::SECRET).await;
    mails_are_settled(latchkey, &user).await;
    faulty.fail("UpdateItem", 1, Fault::AnswerLost);
    let run = reseal(latchkey, true).await;
    assert_eq!(run.versions, Run::new(0, &[("1", 1)]).versions);
    assert_eq!(run.failed, Vec::<Value>::new());
    let signed_in = latchkey
        .sign_in_with(&user, &otp::code(otp::step()))
        .send()
        .await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
}

#[tokio::test]
async fn requests_during_a_run_are_answered_and_no_secret_is_lost() {
    let latchkey = Latchkey::start(&FOR_RACES).await;
    let [user, ..] = plain_users(&latchkey).await;
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let event = json!({ "action": "reseal", "apply": true });
            latchkey.invoke_later("ManageUsersFunction", event)
        })
        .collect();
    let code = otp::code(otp::step());
    let answers = all_at_once((0..4).map(|_| latchkey.sign_in_with(&user, &code))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert!(
        statuses
            .iter()
            .all(|status| [201, 403, 429].contains(status)),
        "{statuses:?}"
    );
    assert!(statuses.iter().filter(|&&status| status == 201).count() <= 1);
    for run in runs {
        let answer = run.await.unwrap().unwrap();
        assert_eq!(answer["versions"], json!({ "1": 2 }), "{answer}");
        assert_eq!(answer["failed"], json!([]));
    }
    let next = otp::code(otp::step() + 1);
    let signed_in = latchkey.sign_in_with(&user, &next).send().await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
}

#[tokio::test]
async fn an_invalid_field_is_rejected() {
    let latchkey = Latchkey::start(&[]).await;
    for (fields, field) in [
        (json!({ "after": "x" }), "after"),
        (json!({ "apply": "yes" }), "apply"),
    ] {
        let mut event = fields;
        event["action"] = json!("reseal");
        refuses(&latchkey, event, Some(field), "invalid").await;
    }
    let event = json!({ "action": "export", "plain_otp_secrets": "yes" });
    refuses(&latchkey, event, Some("plain_otp_secrets"), "invalid").await;
}

async fn export(latchkey: &Latchkey, plain: bool) -> String {
    let event = json!({ "action": "export", "plain_otp_secrets": plain });
    let answer = manage(latchkey, event).await;
    assert_eq!(
        (&answer["next"], &answer["unopened"]),
        (&json!(null), &json!([]))
    );
    answer["lines"].as_str().unwrap().to_owned()
}

/// The outcomes of an import, as `<outcome> <field>`.
async fn import(latchkey: &Latchkey, lines: &str) -> Vec<String> {
    let answer = manage(latchkey, json!({ "action": "import", "lines": lines })).await;
    let outcome = |result: &Value| {
        let field = result["field"].as_str().unwrap_or_default();
        format!("{} {field}", result["outcome"].as_str().unwrap())
    };
    let mut outcomes: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(outcome)
        .collect();
    outcomes.sort();
    outcomes
}

#[tokio::test]
async fn an_export_contains_plain_secrets_only_on_request() {
    let latchkey = Latchkey::start(&FOR_RACES).await;
    plain_users(&latchkey).await;
    let (_, authenticator) = latchkey.enrolled("export-sealed").await;
    let secrets = [otp::SECRET, PENDING, &authenticator.secret];
    let before = users_table(&latchkey).await;
    let sealed = export(&latchkey, false).await;
    let plain = export(&latchkey, true).await;
    for secret in secrets {
        assert!(!sealed.contains(secret) && plain.contains(secret));
    }
    assert_eq!(sealed.matches("v1.1.").count(), 3);
    assert_eq!(plain.matches("v1.1.").count(), 0);
    assert_eq!(
        users_table(&latchkey).await,
        before,
        "an export writes nothing"
    );
}

#[tokio::test]
async fn an_exported_secret_is_restored_in_the_same_stack_for_the_same_user_only() {
    let latchkey = Latchkey::start(&FOR_RACES).await;
    let (user, authenticator) = latchkey.enrolled("import-sealed").await;
    let line: Value = serde_json::from_str(&export(&latchkey, false).await).unwrap();
    let delete = json!({ "action": "delete", "uid": user.uid });
    manage(&latchkey, delete).await;
    let before = latchkey.everything().await;
    let with = |name: &str, value: Value| {
        let mut line = line.clone();
        line[name] = value;
        line.to_string()
    };
    let secret = line["otp_secret"].as_str().unwrap();
    let truncated = &secret[..secret.len() - 4];
    for refused in [
        with("uid", json!("ID0000000000")),
        with("uid", json!(null)),
        with("otp_secret", json!(truncated)),
        with("otp_secret", json!(secret.replace("v1.1.", "v1.7."))),
        with("otp_secret", json!(secret.replace("v1.1.", "v2.1."))),
    ] {
        let outcomes = import(&latchkey, &refused).await;
        assert_eq!(outcomes, ["invalid otp_secret"], "{refused}");
    }
    assert_eq!(latchkey.everything().await, before);
    assert_eq!(import(&latchkey, &line.to_string()).await, ["imported "]);
    let signed_in = latchkey
        .sign_in_with(&user, &authenticator.code())
        .send()
        .await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
}

#[tokio::test]
async fn users_move_to_another_stack_with_plain_secrets_and_are_sealed_there() {
    let from = Latchkey::start(&FOR_RACES).await;
    let to = Latchkey::start(&FOR_RACES).await;
    let (user, authenticator) = from.enrolled("import-moved").await;
    let pending = from.confirmed("import-moved-pending").await;
    set(&from, &pending, "otp_pending_secret", PENDING).await;
    assert_eq!(
        import(&to, &export(&from, false).await).await,
        ["invalid otp_pending_secret", "invalid otp_secret"]
    );
    assert!(to.everything().await.is_empty());
    assert_eq!(
        import(&to, &export(&from, true).await).await,
        ["imported ", "imported "]
    );
    let stored = format!("{:?}", to.stored().await);
    assert!(!stored.contains(&authenticator.secret) && !stored.contains(PENDING));
    assert_eq!(stored.matches("v1.1.").count(), 2);
    let signed_in = to.sign_in_with(&user, &authenticator.code()).send().await;
    assert_eq!(signed_in.status, 201, "{signed_in:?}");
}

#[tokio::test]
async fn an_export_keeps_a_secret_that_does_not_open_encrypted_and_reports_it() {
    let latchkey = Latchkey::start(&FOR_RACES).await;
    let user = latchkey.confirmed("export-unopened").await;
    set(&latchkey, &user, "otp_secret", "v1.7.AAAA").await;
    let event = json!({ "action": "export", "plain_otp_secrets": true });
    let answer = manage(&latchkey, event).await;
    assert!(answer["lines"].as_str().unwrap().contains("v1.7.AAAA"));
    let unopened = answer["unopened"].as_array().unwrap();
    assert_eq!(unopened.len(), 1, "{answer}");
    assert_eq!(unopened[0]["uid"], user.uid);
    assert_eq!(unopened[0]["field"], "otp_secret");
}
