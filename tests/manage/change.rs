//! Changes of users

use serde_json::{Value, json};

use super::users::manage;
use crate::harness::{Latchkey, User, latchkey, otp};

async fn change(latchkey: &Latchkey, user: &User, action: &str, fields: Value) -> Value {
    let mut event = fields;
    event["action"] = json!(action);
    event["uid"] = json!(user.uid);
    let answer = manage(latchkey, event).await;
    assert_eq!(answer["user"]["uid"], user.uid, "{answer}");
    answer["user"].clone()
}

/// Asserts that the action changes only these attributes of the user's item, and no other item.
/// Activities are not compared.
async fn changes_only(
    latchkey: &Latchkey,
    user: &User,
    names: &[&str],
    action: &str,
    fields: Value,
) {
    let mut before = latchkey.items_of(user).await;
    change(latchkey, user, action, fields).await;
    let mut after = latchkey.items_of(user).await;
    for items in [&mut before, &mut after] {
        let item = items
            .iter_mut()
            .find(|(key, _)| key.contains("USER#"))
            .unwrap()
            .1;
        item.retain(|name, _| name != "revision" && !names.contains(&name.as_str()));
    }
    assert_eq!(after, before, "{action}");
}

#[tokio::test]
async fn banning_or_deleting_a_user_ends_every_session_for_good() {
    let latchkey = latchkey().await;
    for (state, key) in [
        ("banned", "identity.session.banned"),
        ("deleted", "identity.session.deleted"),
    ] {
        let user = latchkey.signed_up(&format!("manage-{state}")).await;
        let other = latchkey.signed_in(&user).await;
        changes_only(
            latchkey,
            &user,
            &["state", "session_epoch", "updated_at"],
            "set-state",
            json!({ "state": state }),
        )
        .await;
        for session in [&user.session, &other] {
            latchkey
                .sign_out(session)
                .send()
                .await
                .is_refused(404, &["identity.session.not_found"]);
        }
        latchkey
            .sign_in(&user.email, &user.password)
            .send()
            .await
            .is_refused(401, &[key]);

        assert_eq!(
            change(latchkey, &user, "set-state", json!({ "state": "active" })).await["state"],
            "active"
        );
        latchkey
            .sign_out(&user.session)
            .send()
            .await
            .is_refused(404, &["identity.session.not_found"]);
        latchkey.signed_in(&user).await;
    }
}

#[tokio::test]
async fn other_states_do_not_end_sessions() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("manage-active").await;
    changes_only(
        latchkey,
        &user,
        &["state", "updated_at"],
        "set-state",
        json!({ "state": "active" }),
    )
    .await;
    latchkey.sign_out(&user.session).send().await.is_empty(204);
}

#[tokio::test]
async fn sign_ins_concurrent_with_a_ban_leave_no_session() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("manage-ban-race").await;
    let sign_ins: Vec<_> = (0..6)
        .map(|_| latchkey.sign_in(&user.email, &user.password))
        .collect();
    let ban = latchkey.invoke_later(
        "ManageUsersFunction",
        json!({ "action": "set-state", "uid": user.uid, "state": "banned" }),
    );
    let answers = crate::harness::all_at_once(sign_ins).await;
    assert_eq!(ban.await.unwrap().unwrap()["user"]["state"], "banned");
    for answer in answers.iter().filter(|answer| answer.status == 201) {
        latchkey
            .sign_out(&answer.session())
            .send()
            .await
            .is_refused(404, &["identity.session.not_found"]);
    }
}

#[tokio::test]
async fn role_and_level_are_set_together_or_alone() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("manage-role").await;
    let role_and_level = |user: &Value| {
        (
            user["role"].as_str().unwrap().to_owned(),
            user["level"].as_u64().unwrap(),
        )
    };
    for (fields, role, level) in [
        (json!({ "role": "admin", "level": 3 }), "admin", 3),
        (json!({ "role": "super-admin_2" }), "super-admin_2", 3),
        (json!({ "level": 0 }), "super-admin_2", 0),
    ] {
        assert_eq!(
            role_and_level(&change(latchkey, &user, "set-role", fields).await),
            (role.to_owned(), level)
        );
    }
    changes_only(
        latchkey,
        &user,
        &["role", "updated_at"],
        "set-role",
        json!({ "role": "member" }),
    )
    .await;
    latchkey.sign_out(&user.session).send().await.is_empty(204);
}

#[tokio::test]
async fn concurrent_changes_are_all_applied() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.signed_up("manage-roles").await;
    let changes: Vec<_> = [json!({ "role": "admin" }), json!({ "level": 5 })]
        .into_iter()
        .map(|mut event| {
            event["action"] = json!("set-role");
            event["uid"] = json!(user.uid);
            latchkey.invoke_later("ManageUsersFunction", event)
        })
        .collect();
    for change in changes {
        assert!(change.await.unwrap().unwrap().get("user").is_some());
    }
    let shown = &manage(&latchkey, json!({ "action": "show", "uid": user.uid })).await["user"];
    assert_eq!(
        (&shown["role"], &shown["level"]),
        (&json!("admin"), &json!(5))
    );
}

#[tokio::test]
async fn every_session_can_be_ended() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("manage-sessions").await;
    let other = latchkey.signed_in(&user).await;
    changes_only(
        latchkey,
        &user,
        &["session_epoch", "updated_at"],
        "end-sessions",
        json!({}),
    )
    .await;
    for session in [&user.session, &other] {
        latchkey
            .sign_out(session)
            .send()
            .await
            .is_refused(404, &["identity.session.not_found"]);
    }
    let again = latchkey.signed_in(&user).await;
    latchkey.sign_out(&again).send().await.is_empty(204);
}

#[tokio::test]
async fn disabling_the_second_factor_allows_sign_in_without_it() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("manage-otp").await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    latchkey
        .sign_in(&user.email, &user.password)
        .send()
        .await
        .is_refused(401, &["identity.session.missing_otp"]);
    let names = ["otp_secret", "otp_last_step", "updated_at"];
    changes_only(latchkey, &user, &names, "disable-otp", json!({})).await;
    assert!(!latchkey.user_item(&user).await.contains_key("otp_secret"));
    latchkey.signed_in(&user).await;
}

#[tokio::test]
async fn verifying_an_address_that_bounced_resumes_mail() {
    let latchkey = Latchkey::start(&[]).await;
    let email = "bounce+manage@simulator.amazonses.com";
    let user = latchkey
        .signed_up_with("-", &json!({ "email": email }))
        .await;
    let labels = || async {
        manage(&latchkey, json!({ "action": "show", "email": email })).await["user"]["labels"]
            .clone()
    };
    crate::harness::eventually("the label", || async {
        (labels().await[0]["value"] == "bounced").then_some(())
    })
    .await;
    changes_only(
        &latchkey,
        &user,
        &["labels", "updated_at"],
        "verify-email",
        json!({}),
    )
    .await;
    let after = labels().await;
    assert_eq!(
        (after.as_array().unwrap().len(), &after[0]["value"]),
        (1, &json!("verified"))
    );
    // A mail is sent again (and bounces).
    latchkey.reset_mail(email).await;
}

#[tokio::test]
async fn every_change_is_an_activity_of_the_user() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("manage-activities").await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    change(latchkey, &user, "set-state", json!({ "state": "active" })).await;
    change(latchkey, &user, "set-role", json!({ "role": "admin" })).await;
    change(latchkey, &user, "disable-otp", json!({})).await;
    change(latchkey, &user, "end-sessions", json!({})).await;
    // A rejected change leaves none.
    let rejected = json!({ "action": "disable-otp", "uid": user.uid });
    assert_eq!(
        manage(latchkey, rejected).await["error"]["code"],
        "not_enabled"
    );
    let user = latchkey.with_new_session(&user).await;
    for (topic, actions) in [
        ("account", &["set role", "set state", "signup"][..]),
        ("otp", &["disable 2FA"]),
        ("session", &["login", "end sessions"]),
    ] {
        let answer = latchkey
            .by(&user, "GET", &format!("/resource/users/activity/{topic}"))
            .send()
            .await;
        let listed = answer.json();
        let listed = listed.as_array().unwrap();
        let names: Vec<_> = listed
            .iter()
            .map(|activity| activity["action"].as_str().unwrap())
            .collect();
        assert_eq!(names, actions, "{topic}");
        for activity in listed {
            assert_eq!(activity["result"], "succeed", "{activity}");
            let is_of_the_user =
                ["login", "signup"].contains(&activity["action"].as_str().unwrap());
            let is_of_the_operator =
                activity["user_agent"] == "manage-users" && activity["user_ip"] == "";
            assert_eq!(is_of_the_operator, !is_of_the_user, "{activity}");
        }
    }
}

#[tokio::test]
async fn a_user_is_mailed_when_an_operator_turns_the_second_factor_off() {
    let latchkey = latchkey().await;
    for (state, mails) in [("active", 2), ("pending", 1)] {
        let data = json!({ "data": "{\"language\": \"de\"}" });
        let user = latchkey
            .signed_up_with(&format!("manage-otp-{state}"), &data)
            .await;
        latchkey.set_otp_secret(&user, otp::SECRET).await;
        change(latchkey, &user, "set-state", json!({ "state": state })).await;
        change(latchkey, &user, "disable-otp", json!({})).await;
        crate::harness::eventually("every mail settled", || async {
            let queued = latchkey.queued_mails(&user).await;
            let is_settled = queued.iter().all(|mail| mail.contains_key("settled_at"));
            (is_settled && queued.len() == mails).then_some(())
        })
        .await;
        let sent = latchkey.mails_to(&user.email).await;
        assert_eq!(sent.len(), mails, "{state}");
        let notices = sent.iter().filter(|mail| {
            let text = format!("{mail:?}");
            text.contains("Zwei-Faktor-Authentifizierung deaktiviert")
        });
        assert_eq!(notices.count(), mails - 1, "{state}");
    }
}
