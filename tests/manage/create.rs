//! Creation of users

use serde_json::{Value, json};

use super::users::{manage, refuses};
use crate::harness::{Latchkey, PASSWORD, latchkey, now, number, text};

/// Hash of `Pass-123-word`, computed with libxcrypt.
const BCRYPT: &str = "$2a$10$abcdefghijklmnopqrstuun9caK.EKpJTvpbtkoEsTsMuUseQZ2cm";

fn create(fields: &Value) -> Value {
    let mut event = fields.clone();
    event["action"] = json!("create");
    event
}

#[tokio::test]
async fn a_user_is_created_with_the_given_fields_and_can_sign_in() {
    let latchkey = latchkey().await;
    let fields = json!({
        "email": "Manage.Create@example.com",
        "password": PASSWORD,
        "role": "admin",
        "level": 3,
        "data": { "language": "de" },
        "uid": "UAC0FFEE0001",
        "referral_uid": "ID0123456789",
    });
    let user = &manage(latchkey, create(&fields)).await["user"];
    assert_eq!(
        (&user["uid"], &user["email"]),
        (&json!("UAC0FFEE0001"), &json!("Manage.Create@example.com"))
    );
    assert_eq!(
        (&user["state"], &user["role"], &user["level"]),
        (&json!("active"), &json!("admin"), &json!(3))
    );
    assert_eq!(
        (&user["data"], &user["referral_uid"]),
        (&json!("{\"language\":\"de\"}"), &json!("ID0123456789"))
    );
    let signed_in = latchkey
        .sign_in("manage.create@example.com", PASSWORD)
        .send()
        .await;
    assert_eq!(
        (signed_in.status, &signed_in.json()["uid"]),
        (201, &json!("UAC0FFEE0001"))
    );
    // The user is found by uid, and no mail was sent.
    let shown = manage(latchkey, json!({ "action": "show", "uid": "UAC0FFEE0001" })).await;
    assert_eq!(shown["user"], *user);
    assert!(
        latchkey
            .mails_to("Manage.Create@example.com")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_user_can_be_created_with_a_password_hash() {
    let latchkey = latchkey().await;
    let fields =
        json!({ "email": "manage-hash@example.com", "password_hash": BCRYPT, "state": "pending" });
    let user = &manage(latchkey, create(&fields)).await["user"];
    assert_eq!(
        (&user["state"], &user["level"], &user["role"]),
        (&json!("pending"), &json!(0), &json!("member"))
    );
    assert!(user["uid"].as_str().unwrap().starts_with("ID"));
    assert_eq!(
        latchkey
            .sign_in("manage-hash@example.com", "Pass-123-word")
            .send()
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn invalid_fields_are_rejected_without_effect() {
    let latchkey = Latchkey::start(&[]).await;
    let taken = latchkey.signed_up("manage-taken").await;
    let good = json!({ "email": "manage-new@example.com", "password": PASSWORD });
    let changed = |name: &str, value: Value| {
        let mut fields = good.clone();
        fields[name] = value;
        fields
    };
    for (fields, field, code) in [
        (json!({ "password": PASSWORD }), "email", "missing"),
        (
            json!({ "email": "manage-new@example.com" }),
            "password",
            "missing",
        ),
        (changed("email", json!("nobody")), "email", "invalid"),
        (
            changed("email", json!(format!("{}@example.com", "a".repeat(254)))),
            "email",
            "invalid",
        ),
        (
            changed("email", json!(taken.email.to_uppercase())),
            "email",
            "taken",
        ),
        (changed("password", json!("short")), "password", "invalid"),
        (
            changed("password", json!("Password1")),
            "password",
            "invalid",
        ),
        (changed("password", json!(7)), "password", "invalid"),
        (
            changed("password_hash", json!(BCRYPT)),
            "password",
            "invalid",
        ),
        (
            json!({ "email": "manage-new@example.com", "password_hash": "secret" }),
            "password_hash",
            "invalid",
        ),
        (
            json!({ "email": "manage-new@example.com", "password_hash": BCRYPT.replace("$10$", "$20$") }),
            "password_hash",
            "invalid",
        ),
        (changed("uid", json!(taken.uid)), "uid", "taken"),
        (changed("uid", json!("ID1")), "uid", "invalid"),
        (changed("state", json!("Active!")), "state", "invalid"),
        (changed("role", json!("a\nb")), "role", "invalid"),
        (changed("level", json!(1.5)), "level", "invalid"),
        (changed("data", json!("{")), "data", "invalid"),
        (
            changed("otp_secret", json!("secret")),
            "otp_secret",
            "invalid",
        ),
        (changed("labels", json!(["verified"])), "labels", "invalid"),
        (
            changed("labels", json!([{ "key": "email" }])),
            "labels.value",
            "missing",
        ),
        (
            changed("created_at", json!("yesterday")),
            "created_at",
            "invalid",
        ),
        (changed("emial", json!("x")), "emial", "unknown"),
    ] {
        refuses(&latchkey, create(&fields), Some(field), code).await;
    }
    let answer = manage(
        &latchkey,
        create(&changed("data", json!("1".repeat(70_000)))),
    )
    .await;
    assert_eq!(answer["error"]["code"], "too_large");
    assert!(
        latchkey
            .log()
            .iter()
            .all(|line| !line.contains("\"ERROR\"")),
        "invalid input is logged as an error"
    );
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_creations_of_an_address_or_uid_succeeds() {
    let latchkey = Latchkey::start(&[]).await;
    let create = |number: usize, email: String, uid: Option<&str>| {
        let fields = json!({ "action": "create", "email": email, "password_hash": BCRYPT, "uid": uid, "role": format!("role-{number}") });
        latchkey.invoke_later("ManageUsersFunction", fields)
    };
    let mut winners = Vec::new();
    for event in [
        (0..16)
            .map(|number| create(number, "manage-race@example.com".to_owned(), None))
            .collect::<Vec<_>>(),
        (0..16)
            .map(|number| {
                create(
                    number,
                    format!("manage-race{number}@example.com"),
                    Some("ID00000000AA"),
                )
            })
            .collect(),
    ] {
        let mut answers = Vec::new();
        for answer in event {
            answers.push(answer.await.unwrap().unwrap());
        }
        let won: Vec<&Value> = answers
            .iter()
            .filter(|answer| answer.get("user").is_some())
            .collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        assert_eq!(
            answers
                .iter()
                .filter(|answer| answer["error"]["code"] == "taken")
                .count(),
            15,
            "{answers:?}"
        );
        winners.push(won[0]["user"].clone());
    }
    for winner in winners {
        let shown = manage(&latchkey, json!({ "action": "show", "uid": winner["uid"] })).await;
        assert_eq!(shown["user"], winner);
    }
    // Two users, each with two items.
    assert_eq!(
        latchkey
            .everything()
            .await
            .keys()
            .filter(|key| key.starts_with("UsersTable"))
            .count(),
        4
    );
}

#[tokio::test]
async fn the_defaults_are_those_of_a_sign_up() {
    let latchkey = latchkey().await;
    let signed_up = latchkey.signed_up("manage-plain").await;
    manage(latchkey, create(&json!({ "email": "manage-plain2@example.com", "password": PASSWORD, "state": "pending" }))).await;
    let created = crate::harness::User {
        email: "manage-plain2@example.com".to_owned(),
        ..signed_up.clone()
    };
    let mut one = latchkey.user_item(&signed_up).await;
    let mut other = latchkey.user_item(&created).await;
    assert!(
        (number(&other, "created_at") - now()).abs() < 60 && text(&other, "uid").starts_with("ID")
    );
    for item in [&mut one, &mut other] {
        item.retain(|name, _| {
            ![
                "pk",
                "uid",
                "email",
                "password_hash",
                "created_at",
                "updated_at",
            ]
            .contains(&name.as_str())
        });
    }
    assert_eq!(other, one);
}

#[tokio::test]
async fn two_spellings_of_a_domain_are_one_address() {
    let latchkey = latchkey().await;
    let fields = |email: &str| json!({ "email": email, "password": PASSWORD });
    let created = manage(latchkey, create(&fields("manage-idn@bücher.example"))).await;
    assert_eq!(created["user"]["email"], "manage-idn@bücher.example");
    let again = create(&fields("manage-idn@xn--bcher-kva.example"));
    refuses(latchkey, again, Some("email"), "taken").await;
}
