//! The erasing job

use serde_json::{Value, json};

use crate::{
    harness::{Fault, Faulty, Latchkey, PASSWORD, Snapshot, User, latchkey, number, otp},
    manage::users::manage,
};

const NEW: &str = "Newer-Horse-7-Battery";

/// Runs the job, as the schedule does.
async fn run(latchkey: &Latchkey) -> Result<Value, String> {
    let event = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} });
    latchkey.invoke("AccountEraseFunction", event).await
}

/// The stored items that contain the uid or the address of a user in their key.
async fn stored_of(latchkey: &Latchkey, user: &User) -> Snapshot {
    let mut all = latchkey.stored().await;
    all.retain(|key, _| key.contains(&user.uid) || key.contains(&user.email));
    all
}

#[tokio::test]
async fn a_closed_account_is_erased_when_its_days_have_passed() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.closed("erase").await;
    let early = latchkey.closed("erase-early").await;
    let open = latchkey.confirmed("erase-open").await;
    latchkey.age_closing(&user, 30).await;
    latchkey.age_closing(&early, 29).await;
    let others = (
        stored_of(&latchkey, &early).await,
        stored_of(&latchkey, &open).await,
    );
    let summary = run(&latchkey).await.unwrap();
    assert_eq!(
        summary,
        json!({ "erased": 1, "kept": 0, "unfinished": false })
    );
    assert_eq!(stored_of(&latchkey, &user).await, Snapshot::new());
    let after = (
        stored_of(&latchkey, &early).await,
        stored_of(&latchkey, &open).await,
    );
    assert_eq!(after, others);
    latchkey
        .sign_in(&user.email, PASSWORD)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    // The address is free again.
    assert_ne!(latchkey.signed_up("erase").await.uid, user.uid);
    assert_eq!(run(&latchkey).await.unwrap()["erased"], 0);
    let lines = latchkey.json_lines().into_iter();
    let counted: Vec<Value> = lines.filter(|line| line["Erasures"].is_number()).collect();
    assert_eq!(counted.len(), 1, "{counted:?}");
    assert_eq!(counted[0]["Outcome"], "erased");
}

#[tokio::test]
async fn a_run_begins_where_the_last_one_ended() {
    let latchkey = Latchkey::start(&[]).await;
    run(&latchkey).await.unwrap();
    let stored = latchkey.stored().await;
    let progress = &stored["GrantsTable ERASE -"];
    let last = number(progress, "last_day");
    assert_eq!(last, crate::harness::now() / 86_400 - 31);
    // An account of the last day is found, although the day was visited before.
    let user = latchkey.closed("erase-next").await;
    latchkey.age_closing(&user, 30).await;
    assert_eq!(run(&latchkey).await.unwrap()["erased"], 1);
}

#[tokio::test]
async fn no_account_is_erased_without_a_number_of_days() {
    let latchkey = Latchkey::start(&[("IDENTITY_DELETED_DAYS", "0")]).await;
    let user = latchkey.closed("erase-never").await;
    latchkey.age_closing(&user, 300).await;
    assert_eq!(run(&latchkey).await.unwrap()["erased"], 0);
    latchkey
        .sign_in(&user.email, PASSWORD)
        .send()
        .await
        .is_refused(401, &["identity.session.deleted"]);
}

#[tokio::test]
async fn an_account_that_was_reopened_is_kept() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.closed("erase-reopened").await;
    latchkey.age_closing(&user, 40).await;
    let listed = latchkey.stored().await;
    let token = latchkey.reset_token(&user).await;
    latchkey.confirm(&token, NEW).send().await.is_empty(201);
    // As if a run had read the list before.
    for (key, item) in listed {
        if key.contains("ERASE#") {
            latchkey.put_grant(item).await;
        }
    }
    let summary = run(&latchkey).await.unwrap();
    assert_eq!(
        (&summary["erased"], &summary["kept"]),
        (&json!(0), &json!(1))
    );
    let user = User {
        password: NEW.to_owned(),
        ..user
    };
    latchkey.signed_in(&user).await;
    assert!(
        !latchkey
            .stored()
            .await
            .keys()
            .any(|key| key.contains("ERASE#"))
    );
}

#[tokio::test]
async fn an_account_whose_state_an_operator_set_or_imported_is_kept() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.closed("erase-operator").await;
    latchkey.age_closing(&user, 40).await;
    let event = json!({ "action": "set-state", "uid": user.uid, "state": "deleted" });
    manage(&latchkey, event).await;
    let exported = manage(&latchkey, json!({ "action": "export" })).await;
    let mut line: Value = serde_json::from_str(exported["lines"].as_str().unwrap().trim()).unwrap();
    line["uid"] = json!("ID0123456789");
    line["email"] = json!("erase-imported@example.com");
    line["closed_at"] = json!("2026-01-02T00:00:00Z");
    line["closed_state"] = json!("active");
    let event = json!({ "action": "import", "lines": line.to_string() });
    manage(&latchkey, event).await;
    let summary = run(&latchkey).await.unwrap();
    assert_eq!(summary["erased"], 0);
    for uid in [user.uid.as_str(), "ID0123456789"] {
        let shown = manage(&latchkey, json!({ "action": "show", "uid": uid })).await;
        assert_eq!(shown["user"]["state"], "deleted", "{shown}");
    }
}

#[tokio::test]
async fn an_operator_erases_a_closed_account_completely() {
    let latchkey = latchkey().await;
    let user = latchkey.closed("erase-by-operator").await;
    manage(latchkey, json!({ "action": "delete", "uid": user.uid })).await;
    assert_eq!(stored_of(latchkey, &user).await, Snapshot::new());
}

#[tokio::test]
async fn sixteen_runs_at_once_erase_an_account_without_failure() {
    let latchkey = Latchkey::start(&[otp::FOR_RACES[1]]).await;
    let mut users = Vec::new();
    for number in 0..4 {
        let user = latchkey.closed(&format!("erase-race-{number}")).await;
        latchkey.age_closing(&user, 31).await;
        users.push(user);
    }
    let event = json!({});
    let runs: Vec<_> = (0..16)
        .map(|_| latchkey.invoke_later("AccountEraseFunction", event.clone()))
        .collect();
    for run in runs {
        run.await.unwrap().unwrap();
    }
    for user in users {
        assert_eq!(stored_of(&latchkey, &user).await, Snapshot::new());
    }
}

#[tokio::test]
async fn a_run_that_fails_is_continued_by_the_next_one() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    let mut users = Vec::new();
    for number in 0..3 {
        let user = latchkey.closed(&format!("erase-fault-{number}")).await;
        latchkey.age_closing(&user, 31).await;
        users.push(user);
    }
    // Each erasure fails after the deletion of the user.
    faulty.fail_always("BatchWriteItem", Fault::Refused(400, "ValidationException"));
    let error = run(latchkey).await.unwrap_err();
    assert!(error.contains("3 erasures failed"), "{error}");
    for user in &users {
        let rest = stored_of(latchkey, user).await;
        assert!(rest.keys().any(|key| key.contains("ERASE#")), "{rest:?}");
    }
    faulty.plan(|_| None);
    assert_eq!(run(latchkey).await.unwrap()["erased"], 3);
    for user in &users {
        assert_eq!(stored_of(latchkey, user).await, Snapshot::new());
    }
}

/// Closing removes the passkeys, so only an item that something else changed lists one.
#[tokio::test]
async fn a_passkey_that_a_closed_account_lists_is_erased_with_it() {
    let latchkey = Latchkey::start(&[]).await;
    let user = latchkey.confirmed("erase-passkey").await;
    latchkey.add_passkeys(&user, 1).await;
    let listed = latchkey.user_item(&user).await["passkeys"].clone();
    let passkey = latchkey.passkey_items(&user).await.remove(0);
    latchkey.close(&user).send().await.is_empty(200);
    latchkey.restore_item(passkey).await;
    latchkey
        .edit_user(&user, |item| {
            drop(item.insert("passkeys".to_owned(), listed));
        })
        .await;
    latchkey.age_closing(&user, 31).await;
    run(&latchkey).await.unwrap();
    assert!(latchkey.passkey_items(&user).await.is_empty());
    assert!(stored_of(&latchkey, &user).await.is_empty());
}
