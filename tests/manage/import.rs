//! Exports and imports of users

use std::fmt::Write;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::users::manage;
use crate::harness::{Latchkey, User, latchkey, otp};

/// Hash of `Pass-123-word`, computed with libxcrypt.
const BCRYPT: &str = "$2a$10$abcdefghijklmnopqrstuun9caK.EKpJTvpbtkoEsTsMuUseQZ2cm";
const ARGON2: &str = "$argon2id$v=19$m=8192,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$/X5EVS2D22ucK8nb1tiP4PrNEd9GVKwh/oAT/XoF68M";

async fn import(latchkey: &Latchkey, lines: &[Value]) -> Value {
    let lines: String = lines
        .iter()
        .fold(String::new(), |text, line| text + &*line.to_string() + "\n");
    manage(latchkey, json!({ "action": "import", "lines": lines })).await
}

/// Every line of an export with pages of `limit` lines.
async fn export(latchkey: &Latchkey, limit: usize) -> Vec<String> {
    export_with(latchkey, limit, false).await
}

async fn export_with(latchkey: &Latchkey, limit: usize, plain_otp_secrets: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = manage(
            latchkey,
            json!({
                "action": "export", "limit": limit, "after": after,
                "plain_otp_secrets": plain_otp_secrets,
            }),
        )
        .await;
        let page_lines: Vec<String> = page["lines"]
            .as_str()
            .unwrap()
            .lines()
            .map(ToOwned::to_owned)
            .collect();
        assert_eq!(page["count"], page_lines.len());
        assert!(page_lines.len() <= limit);
        lines.extend(page_lines);
        after = page["next"].clone();
        if after.is_null() {
            return lines;
        }
    }
}

/// A line of an import in Barong's format.
fn barong(name: &str) -> Value {
    json!({
        "id": 7,
        "uid": format!("UA{:0>10}", name.len()),
        "email": format!("{name}@Example.com"),
        "password_digest": BCRYPT,
        "role": "trader",
        "level": 2,
        "state": "active",
        "otp": false,
        "referral_id": null,
        "referral_uid": null,
        "data": "{\"language\":\"de\"}",
        "labels": [
            { "id": 1, "user_id": 7, "key": "email", "value": "verified", "scope": "private", "description": null },
            { "key": "tier", "value": "gold", "scope": "public", "created_at": "2019-08-03T00:00:00Z", "updated_at": "2019-08-04T00:00:00Z" },
        ],
        "created_at": "2019-08-01T12:00:00.000+02:00",
        "updated_at": "2019-08-02T12:00:00Z",
    })
}

#[tokio::test]
async fn users_of_barong_are_imported_and_can_sign_in() {
    let latchkey = latchkey().await;
    let line = barong("import-barong");
    let answer = import(latchkey, std::slice::from_ref(&line)).await;
    assert_eq!(
        answer["results"],
        json!([{ "line": 1, "outcome": "imported", "uid": line["uid"] }])
    );

    let signed_in = latchkey
        .sign_in("import-barong@example.com", "Pass-123-word")
        .send()
        .await;
    assert_eq!(signed_in.status, 201);
    let user = signed_in.json();
    for name in [
        "uid",
        "email",
        "role",
        "level",
        "state",
        "data",
        "referral_uid",
    ] {
        assert_eq!(user[name], line[name], "{name}");
    }
    assert_eq!(
        (&user["created_at"], &user["updated_at"]),
        (&json!("2019-08-01T10:00:00Z"), &line["updated_at"])
    );
    let label = |key: &str, value: &str, scope: &str, created: &str, updated: &str| json!({ "key": key, "value": value, "scope": scope, "created_at": created, "updated_at": updated });
    let expected = json!([
        label(
            "email",
            "verified",
            "private",
            "2019-08-01T10:00:00Z",
            "2019-08-02T12:00:00Z"
        ),
        label(
            "tier",
            "gold",
            "public",
            "2019-08-03T00:00:00Z",
            "2019-08-04T00:00:00Z"
        ),
    ]);
    assert_eq!(user["labels"], expected);
}

#[tokio::test]
async fn an_imported_label_otp_is_not_stored_because_it_is_derived() {
    let latchkey = latchkey().await;
    let label = json!({ "key": "otp", "value": "enabled", "scope": "private" });
    let mut off = barong("import-otp-off");
    let mut on = barong("import-label-otp-on");
    for line in [&mut off, &mut on] {
        line["labels"].as_array_mut().unwrap().push(label.clone());
    }
    on["otp_secret"] = json!(otp::SECRET);
    on["otp"] = json!(true);
    let answer = import(latchkey, &[off.clone(), on.clone()]).await;
    assert_eq!(answer["imported"], 2, "{answer}");
    for (line, expected) in [(off, 0), (on, 1)] {
        let shown = manage(latchkey, json!({ "action": "show", "uid": line["uid"] })).await;
        let labels = shown["user"]["labels"].as_array().unwrap();
        let derived = labels.iter().filter(|label| label["key"] == "otp");
        assert_eq!(derived.count(), expected, "{shown}");
        assert_eq!(labels.len(), 2 + expected, "{shown}");
    }
}

#[tokio::test]
async fn every_line_has_an_outcome_and_existing_users_do_not_change() {
    let latchkey = Latchkey::start(&[]).await;
    let existing = latchkey.signed_up("import-there").await;
    let before = latchkey.items_of(&existing).await;
    let with = |name: &str, more: Value| {
        let mut line = barong(name);
        line.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        line.to_string()
    };
    let again = barong("import-a").to_string();
    let lines = [
        again.clone(),
        again,
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "\"text\"".to_owned(),
        with("import-there", json!({ "password_digest": BCRYPT })),
        with("import-there", json!({ "uid": existing.uid })),
        with("import-there", json!({ "uid": null })),
        with("import-bb", json!({ "uid": existing.uid })),
        with("import-ccc", json!({ "password_digest": "secret-digest" })),
        with("import-ccc", json!({ "password_digest": null })),
        with("import-ccc", json!({ "uid": "1" })),
        with("import-ccc", json!({ "created_at": "01.08.2019" })),
        with("import-ccc", json!({ "phones": [{ "number": "1" }] })),
        with(
            "import-ccc",
            json!({ "labels": [{ "key": "a", "value": 7 }] }),
        ),
        with("import-ccc", json!({ "otp_secret": "secret-seed" })),
        with("import-ccc", json!({ "phones": [], "otp": true })),
    ]
    .join("\r\n");
    let answer = manage(&latchkey, json!({ "action": "import", "lines": lines })).await;
    let outcomes: Vec<String> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            format!(
                "{} {} {}",
                result["line"],
                result["outcome"].as_str().unwrap(),
                result["field"].as_str().unwrap_or("-")
            )
        })
        .collect();
    let expected = [
        "1 imported -",
        "2 exists -",
        "4 invalid -",
        "5 invalid -",
        "6 invalid -",
        "7 taken email",
        "8 exists -",
        "9 exists -",
        "10 taken uid",
        "11 invalid password_digest",
        "12 invalid password_hash",
        "13 invalid uid",
        "14 invalid created_at",
        "15 invalid phones",
        "16 invalid labels.value",
        "17 invalid otp_secret",
        "18 imported -",
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(
        [
            &answer["imported"],
            &answer["exists"],
            &answer["taken"],
            &answer["invalid"]
        ],
        [2, 3, 2, 10]
    );
    assert!(
        answer["results"][16]["note"]
            .as_str()
            .unwrap()
            .contains("second factor is off"),
        "{answer}"
    );
    for secret in ["secret-digest", "secret-seed", BCRYPT] {
        assert!(!answer.to_string().contains(secret), "{answer}");
        assert!(!latchkey.log().iter().any(|line| line.contains(secret)));
    }
    assert_eq!(latchkey.items_of(&existing).await, before);
    let keys = latchkey
        .everything()
        .await
        .into_keys()
        .filter(|key| key.starts_with("UsersTable"));
    assert_eq!(keys.count(), 6, "three users with two items each");
}

#[tokio::test]
async fn an_export_contains_everything_stored_and_its_import_restores_it() {
    let from = Latchkey::start(&[]).await;
    let to = Latchkey::start(&[]).await;
    let user = from
        .signed_up_with(
            "export-all",
            &json!({ "data": "{\"a\": [1, \"ü\"]}", "lang": "pt-BR" }),
        )
        .await;
    let plain = from.signed_up("export-plain").await;
    let codes = [
        "/X5EVS2D22ucK8nb1tiP4PrNEd9GVKwh/oAT/XoF68M",
        "AX5EVS2D22ucK8nb1tiP4PrNEd9GVKwh/oAT/XoF68M",
    ]
    .map(|end| format!("{}{end}", &ARGON2[..=ARGON2.rfind('$').unwrap()]));
    let label = [
        ("key", "email"),
        ("value", "verified"),
        ("scope", "private"),
    ]
    .map(|(name, value)| (name.to_owned(), s(value)));
    let times =
        [("created_at", "1"), ("updated_at", "2")].map(|(name, value)| (name.to_owned(), n(value)));
    from.edit_user(&user, |item| {
        item.extend([
            ("state".to_owned(), s("locked")),
            ("role".to_owned(), s("admin")),
            ("level".to_owned(), n("3")),
            ("otp_secret".to_owned(), s(otp::SECRET)),
            ("otp_last_step".to_owned(), n("59000000")),
            (
                "otp_recovery_codes".to_owned(),
                AttributeValue::Ss(codes.to_vec()),
            ),
            ("session_epoch".to_owned(), n("4")),
            ("device_epoch".to_owned(), n("2")),
            ("referral_uid".to_owned(), s("ID0123456789")),
            (
                "labels".to_owned(),
                AttributeValue::L(vec![AttributeValue::M(
                    label.into_iter().chain(times).collect(),
                )]),
            ),
        ]);
    })
    .await;
    from.edit_user(&plain, |item| {
        drop(item.insert("otp_pending_secret".to_owned(), s(otp::SECRET)));
    })
    .await;

    let lines = export_with(&from, 1000, true).await;
    assert_eq!(lines.len(), 2);
    let answer = manage(
        &to,
        json!({ "action": "import", "lines": lines.join("\n") }),
    )
    .await;
    assert_eq!(answer["imported"], 2, "{answer}");
    for user in [&user, &plain] {
        let mut imported = to.user_item(user).await;
        // An imported account has the whole time for its confirmation.
        let restarted = imported.remove("pending_since").is_some();
        assert_eq!(restarted, user.uid == plain.uid);
        assert_eq!(sorted(imported), sorted(from.user_item(user).await));
        let shown = manage(&to, json!({ "action": "show", "uid": user.uid })).await;
        assert_eq!(shown["user"]["email"], user.email);
    }
    let item = to.user_item(&user).await;
    assert_eq!(crate::harness::text(&item, "language"), "pt");
    let mut restored = without_time_of_import(&export_with(&to, 1000, true).await);
    let mut lines = without_time_of_import(&lines);
    lines.sort();
    restored.sort();
    assert_eq!(restored, lines);
    to.signed_in(&plain).await;
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: &str) -> AttributeValue {
    AttributeValue::N(number.to_owned())
}

/// Sorts the recovery codes, which are stored as a set, and removes the OTP secrets, which each
/// stack encrypts under its own key.
fn sorted(mut item: crate::harness::Item) -> crate::harness::Item {
    for name in ["otp_secret", "otp_pending_secret"] {
        item.remove(name);
    }
    if let Some(AttributeValue::Ss(codes)) = item.get_mut("otp_recovery_codes") {
        codes.sort();
    }
    item
}

/// The lines without the member that an import sets in a pending user.
fn without_time_of_import(lines: &[String]) -> Vec<String> {
    let without = |line: &String| {
        let mut user: Value = serde_json::from_str(line).unwrap();
        let members = user.as_object_mut().unwrap();
        members.retain(|name, _| name != "pending_since");
        user.to_string()
    };
    lines.iter().map(without).collect()
}

#[tokio::test]
async fn a_large_table_is_exported_and_imported_in_pages() {
    const USERS: usize = 2500;
    let from = Latchkey::start(&[]).await;
    let to = Latchkey::start(&[]).await;
    for start in (0..USERS).step_by(1000) {
        let mut lines = String::new();
        for number in start..(start + 1000).min(USERS) {
            let line = json!({ "uid": format!("ID{number:010}"), "email": format!("user{number}@example.com"), "password_digest": BCRYPT });
            writeln!(lines, "{line}").unwrap();
        }
        let answer = manage(&from, json!({ "action": "import", "lines": lines })).await;
        assert_eq!(
            answer["imported"],
            (start + 1000).min(USERS) - start,
            "{}",
            answer["error"]
        );
    }
    let lines = export(&from, 700).await;
    assert_eq!(lines.len(), USERS);
    let mut uids: Vec<String> = lines
        .iter()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["uid"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    uids.sort();
    uids.dedup();
    assert_eq!(uids.len(), USERS, "every user is exported once");

    // An interrupted import can be repeated.
    for (lines, outcome) in [
        (&lines[..900], "imported"),
        (&lines[..900], "exists"),
        (&lines[900..1800], "imported"),
        (&lines[1800..], "imported"),
    ] {
        let answer = manage(
            &to,
            json!({ "action": "import", "lines": lines.join("\n") }),
        )
        .await;
        assert_eq!(answer[outcome], lines.len(), "{}", answer["error"]);
    }
    let mut moved = without_time_of_import(&export(&to, 5000).await);
    let mut lines = without_time_of_import(&lines);
    moved.sort();
    lines.sort();
    assert!(moved == lines, "the tables differ");
    let user = User {
        email: "user1234@example.com".to_owned(),
        password: "Pass-123-word".to_owned(),
        uid: "ID0000001234".to_owned(),
        session: String::new(),
        csrf_token: String::new(),
    };
    to.signed_in(&user).await;
}

#[tokio::test]
async fn a_page_of_an_export_stays_below_the_response_limit_of_lambda() {
    let latchkey = Latchkey::start(&[]).await;
    let data = "\\\"".repeat(10_000);
    for start in 0..10 {
        let lines: Vec<Value> = (0..20)
            .map(|number| json!({ "email": format!("large{start}-{number}@example.com"), "password_hash": ARGON2, "data": format!("\"{data}\"") }))
            .collect();
        assert_eq!(import(&latchkey, &lines).await["imported"], 20);
    }
    let page = manage(&latchkey, json!({ "action": "export" })).await;
    let bytes = page.to_string().len();
    assert!(
        (4_000_000..6_000_000).contains(&bytes) && !page["next"].is_null(),
        "{bytes}"
    );
    assert_eq!(export(&latchkey, 1000).await.len(), 200);
}
