//! Accounts whose address was not confirmed in time: absent to every operation

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::{
    harness::{
        Fault, Faulty, Item, Latchkey, Mail, PASSWORD, Request, User, all_at_once, event,
        eventually, latchkey, number, otp, session_id, signed_in_operations, text,
    },
    manage::users::manage,
};

const LIFETIME: i64 = 30 * 86_400;
const OTHER: &str = "Other-Horse-7-Battery";

/// A user who signed up as long ago as the address may stay unconfirmed, and the token of the
/// confirmation mail.
async fn expired(latchkey: &Latchkey, name: &str) -> (User, String) {
    let user = latchkey.signed_up(name).await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    latchkey.age_user(&user, LIFETIME).await;
    (user, mail.confirmation_token().unwrap().to_owned())
}

fn sign_up(latchkey: &Latchkey, email: &str) -> Request {
    let fields = [("email", email), ("password", OTHER)];
    latchkey.post("/identity/users").form(&fields)
}

/// The keys of the items of the Users table that belong to the user.
async fn keys_of(latchkey: &Latchkey, user: &User) -> Vec<String> {
    let stored = latchkey.stored().await.into_iter();
    stored
        .filter(|(key, item)| {
            let uid = item.get("uid").and_then(|uid| uid.as_s().ok());
            key.starts_with("UsersTable") && (uid == Some(&user.uid) || key.contains(&user.uid))
        })
        .map(|(key, _)| key)
        .collect()
}

#[tokio::test]
async fn its_sessions_are_invalid_at_every_operation() {
    let latchkey = latchkey().await;
    let (user, _) = expired(latchkey, "pending-session").await;
    for (method, path) in signed_in_operations() {
        let request = latchkey.by(&user, &method, &path);
        latchkey
            .refuses(&user, request, 401, &["authz.invalid_session"])
            .await;
    }
    let answer = latchkey
        .get("/auth/orders")
        .bearer(&user.session)
        .send()
        .await;
    assert_eq!(answer.status, 401);
    let mut request = event("GET", "/orders");
    request["requestContext"]["http"]["sourceIp"] = json!("127.0.0.1");
    request["headers"]["authorization"] = json!(format!("Bearer {}", user.session));
    let answer = latchkey.invoke("AuthorizeFunction", request).await;
    assert_eq!(answer.unwrap()["isAuthorized"], false);
    latchkey
        .refuses(
            &user,
            latchkey.sign_out(&user.session),
            404,
            &["identity.session.not_found"],
        )
        .await;
}

#[tokio::test]
async fn it_is_present_until_its_last_day_has_passed_and_forever_once_it_is_confirmed() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("pending-day").await;
    latchkey.age_user(&user, LIFETIME - 60).await;
    latchkey.signed_in(&user).await;
    let (confirmed, token) = {
        let user = latchkey.signed_up("pending-confirmed").await;
        let mail = latchkey.mail_to(&user.email, 1, |_| true).await;
        (user, mail.confirmation_token().unwrap().to_owned())
    };
    latchkey.age_user(&confirmed, LIFETIME - 60).await;
    let answer = latchkey
        .post("/identity/users/email/confirm_code")
        .form(&[("token", token.as_str()), ("password", PASSWORD)])
        .send()
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    latchkey.age_user(&confirmed, LIFETIME).await;
    latchkey.signed_in(&confirmed).await;
    // An operator may make it pending again.
    latchkey.set_state(&confirmed, "pending").await;
    latchkey.signed_in(&confirmed).await;
}

#[tokio::test]
async fn signing_in_is_refused_like_an_unknown_address() {
    let latchkey = latchkey().await;
    let (user, _) = expired(latchkey, "pending-sign-in").await;
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    let activities = latchkey.activities(&user).await;
    let refused = latchkey.sign_in(&user.email, PASSWORD).send().await;
    let unknown = latchkey
        .sign_in("pending-unknown@example.com", PASSWORD)
        .send()
        .await;
    refused.is_refused(404, &["identity.session.invalid_params"]);
    assert_eq!(
        (refused.status, refused.json()),
        (unknown.status, unknown.json())
    );
    assert_eq!(latchkey.activities(&user).await, activities);
    assert_eq!(latchkey.failures(&user.email).await, 1);
}

#[tokio::test]
async fn codes_are_neither_sent_nor_accepted() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("pending-codes").await;
    let mail = latchkey.mail_to(&user.email, 1, |_| true).await;
    let confirmation = mail.confirmation_token().unwrap();
    let reset = latchkey.reset_token(&user).await;
    latchkey.age_user(&user, LIFETIME).await;
    let mails = latchkey.queued_mails(&user).await.len();
    latchkey
        .refuses(
            &user,
            latchkey.ask_for_code(&user.email),
            404,
            &["identity.password.user_doesnt_exist"],
        )
        .await;
    let before = latchkey.items_of(&user).await;
    latchkey
        .post("/identity/users/email/generate_code")
        .form(&[("email", &user.email)])
        .send()
        .await
        .is_empty(201);
    assert_eq!(latchkey.items_of(&user).await, before);
    assert_eq!(latchkey.queued_mails(&user).await.len(), mails);
    latchkey
        .refuses(
            &user,
            latchkey.confirm(&reset, OTHER),
            404,
            &["record.not_found"],
        )
        .await;
    for session in ["", &user.session] {
        let request = latchkey
            .post("/identity/users/email/confirm_code")
            .form(&[("token", confirmation), ("password", PASSWORD)])
            .cookie(session);
        latchkey
            .refuses(
                &user,
                request,
                422,
                &["identity.user.active_or_doesnt_exist"],
            )
            .await;
    }
}

#[tokio::test]
async fn a_reset_is_hidden_like_one_of_an_unknown_address() {
    let latchkey = Latchkey::start(&[("IDENTITY_PREVENT_USER_EXISTENCE_ERRORS", "true")]).await;
    let (user, _) = expired(&latchkey, "pending-hidden").await;
    let before = latchkey.items_of(&user).await;
    latchkey
        .ask_for_code(&user.email)
        .send()
        .await
        .is_empty(201);
    assert_eq!(latchkey.items_of(&user).await, before);
}

#[tokio::test]
async fn it_is_no_referrer() {
    let latchkey = latchkey().await;
    let (user, _) = expired(latchkey, "pending-referrer").await;
    latchkey
        .post("/identity/users")
        .form(&[
            ("email", "pending-referred@example.com"),
            ("password", PASSWORD),
            ("refid", &user.uid),
        ])
        .send()
        .await
        .is_refused(422, &["identity.user.referral_doesnt_exist"]);
}

#[tokio::test]
async fn its_mails_are_settled_and_not_sent() {
    let latchkey = latchkey().await;
    let (user, _) = expired(latchkey, "pending-mail").await;
    let sent = latchkey.mails_to(&user.email).await.len();
    let mut mail: Item = latchkey.queued_mails(&user).await.remove(0);
    mail.retain(|name, _| !["settled_at", "leased_by"].contains(&name.as_str()));
    let key = "MAIL#of-an-expired-account";
    mail.insert("sk".to_owned(), AttributeValue::S(key.to_owned()));
    latchkey.put_grant(mail).await;
    eventually("the mail is settled", || async {
        let mail = latchkey.grant(&user, key).await.unwrap();
        mail.contains_key("settled_at").then_some(())
    })
    .await;
    assert_eq!(latchkey.mails_to(&user.email).await.len(), sent);
}

#[tokio::test]
async fn a_sign_up_replaces_it_and_nothing_of_it_works_for_the_new_account() {
    let latchkey = latchkey().await;
    let stranger = latchkey.signed_up("pending-replaced").await;
    let mail = latchkey.mail_to(&stranger.email, 1, |_| true).await;
    let confirmation = mail.confirmation_token().unwrap();
    let reset = latchkey.reset_token(&stranger).await;
    latchkey.set_otp_secret(&stranger, otp::SECRET).await;
    latchkey.age_user(&stranger, LIFETIME).await;
    let answer = sign_up(latchkey, &stranger.email).send().await;
    let owner = User::from_answer(&answer, OTHER);
    assert_ne!(owner.uid, stranger.uid);
    assert!(keys_of(latchkey, &stranger).await.is_empty());
    assert_eq!(keys_of(latchkey, &owner).await.len(), 2);
    assert!(!latchkey.user_item(&owner).await.contains_key("otp_secret"));

    let before = latchkey.items_of(&owner).await;
    latchkey
        .get("/resource/users/me")
        .bearer(&stranger.session)
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    latchkey
        .sign_out(&stranger.session)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    let end = format!("/resource/sessions/{}", session_id(&stranger.session));
    latchkey
        .by(&owner, "DELETE", &end)
        .send()
        .await
        .is_refused(404, &["record.not_found"]);
    latchkey
        .confirm(&reset, "Third-Horse-7-Battery")
        .send()
        .await
        .is_refused(404, &["record.not_found"]);
    for session in ["", &stranger.session, &owner.session] {
        latchkey
            .post("/identity/users/email/confirm_code")
            .form(&[("token", confirmation), ("password", PASSWORD)])
            .cookie(session)
            .send()
            .await
            .is_refused(422, &["identity.user.active_or_doesnt_exist"]);
    }
    latchkey
        .post("/identity/users")
        .form(&[
            ("email", "pending-old-refid@example.com"),
            ("password", PASSWORD),
            ("refid", &stranger.uid),
        ])
        .send()
        .await
        .is_refused(422, &["identity.user.referral_doesnt_exist"]);
    latchkey
        .sign_in(&owner.email, PASSWORD)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    assert_eq!(latchkey.items_of(&owner).await, before);

    // The owner confirms the address with the mail of the new account.
    let mail = latchkey
        .mail_to(&owner.email, 2, |mail| mail.confirmation_token().is_some())
        .await;
    let answer = latchkey
        .post("/identity/users/email/confirm_code")
        .form(&[("token", mail.confirmation_token().unwrap())])
        .cookie(&owner.session)
        .send()
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    latchkey.signed_in(&owner).await;
}

#[tokio::test]
async fn one_of_sixteen_concurrent_sign_ups_replaces_it() {
    let latchkey = Latchkey::start(&[
        otp::FOR_RACES[1],
        ("IDENTITY_REQUESTS_PER_MINUTE", "100000"),
    ])
    .await;
    let (stranger, _) = expired(&latchkey, "pending-race").await;
    let answers = all_at_once((0..16).map(|_| sign_up(&latchkey, &stranger.email))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 1);
    for answer in lost {
        answer.is_refused(422, &["email.taken"]);
    }
    let owner = User::from_answer(won[0], OTHER);
    latchkey.signed_in(&owner).await;
    assert!(keys_of(&latchkey, &stranger).await.is_empty());
    assert_eq!(keys_of(&latchkey, &owner).await.len(), 2);
}

#[tokio::test]
async fn a_lost_answer_or_a_conflict_does_not_make_the_address_taken() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    for (number, fault) in [
        Fault::AnswerLost,
        Fault::Cancelled(&["TransactionConflict"]),
        Fault::Cancelled(&["None", "TransactionConflict"]),
    ]
    .into_iter()
    .enumerate()
    {
        let latchkey = &faulty.latchkey;
        let (stranger, _) = expired(latchkey, &format!("pending-fault-{number}")).await;
        faulty.fail("TransactWriteItems", 1, fault);
        let answer = sign_up(latchkey, &stranger.email).send().await;
        assert_eq!(faulty.calls("TransactWriteItems"), 2, "{fault:?}");
        let owner = User::from_answer(&answer, OTHER);
        latchkey.signed_in(&owner).await;
        assert!(keys_of(latchkey, &stranger).await.is_empty());
    }
}

#[tokio::test]
async fn a_sign_up_replaces_an_account_under_a_key_of_an_earlier_version() {
    let latchkey = latchkey().await;
    let stranger = latchkey
        .signed_up_with("-", &json!({ "email": "pending-old@bücher.example" }))
        .await;
    latchkey.age_user(&stranger, LIFETIME).await;
    // The account as earlier versions stored it.
    let mut item = latchkey.user_item(&stranger).await;
    latchkey.delete_user(&stranger).await;
    let key = "USER#pending-old@bücher.example";
    item.insert("pk".to_owned(), AttributeValue::S(key.to_owned()));
    latchkey.restore_item(item).await;
    let owner = User::from_answer(&sign_up(latchkey, &stranger.email).send().await, OTHER);
    assert!(keys_of(latchkey, &stranger).await.is_empty());
    assert_eq!(keys_of(latchkey, &owner).await.len(), 2);
    assert!(
        !latchkey
            .stored()
            .await
            .keys()
            .any(|stored| stored.contains(key))
    );
}

#[tokio::test]
async fn with_zero_days_no_account_expires() {
    let latchkey = Latchkey::start(&[("IDENTITY_PENDING_DAYS", "0")]).await;
    let user = latchkey.signed_up("pending-forever").await;
    latchkey.age_user(&user, 4000 * 86_400).await;
    latchkey.signed_in(&user).await;
    sign_up(&latchkey, &user.email)
        .send()
        .await
        .is_refused(422, &["email.taken"]);
}

#[tokio::test]
async fn operators_see_it_and_replace_it() {
    let latchkey = Latchkey::start(&[]).await;
    let (stranger, _) = expired(&latchkey, "pending-operator").await;
    for selector in [
        json!({ "email": stranger.email }),
        json!({ "uid": stranger.uid }),
    ] {
        let mut event = selector;
        event["action"] = json!("show");
        let answer = manage(&latchkey, event).await;
        assert_eq!(answer["user"]["uid"], stranger.uid);
        assert_eq!(answer["user"]["state"], "pending");
    }
    let export = manage(&latchkey, json!({ "action": "export" })).await;
    assert!(export["lines"].as_str().unwrap().contains(&stranger.uid));
    let created = manage(
        &latchkey,
        json!({ "action": "create", "email": stranger.email, "password": OTHER }),
    )
    .await;
    assert_ne!(created["user"]["uid"], stranger.uid, "{created}");
    assert!(keys_of(&latchkey, &stranger).await.is_empty());
    let session = latchkey.sign_in(&stranger.email, OTHER).send().await;
    assert_eq!(session.status, 201);
}

#[tokio::test]
async fn an_operator_can_give_it_more_time() {
    let latchkey = latchkey().await;
    let (user, _) = expired(latchkey, "pending-more-time").await;
    let event = json!({ "action": "set-state", "email": user.email, "state": "pending" });
    let answer = manage(latchkey, event).await;
    assert_eq!(answer["user"]["state"], "pending", "{answer}");
    latchkey.signed_in(&user).await;
}

#[tokio::test]
async fn an_imported_account_has_the_whole_time_from_its_import() {
    let latchkey = latchkey().await;
    let hash = text(
        &latchkey
            .user_item(&latchkey.signed_up("pending-hash").await)
            .await,
        "password_hash",
    )
    .to_owned();
    let line = json!({
        "email": "pending-imported@example.com", "password_hash": hash, "state": "pending",
        "created_at": "2020-01-01T00:00:00Z", "pending_since": "2020-01-01T00:00:00Z",
    });
    let event = json!({ "action": "import", "lines": line.to_string() });
    let answer = manage(latchkey, event).await;
    assert_eq!(answer["imported"], 1, "{answer}");
    let answer = latchkey
        .sign_in("pending-imported@example.com", PASSWORD)
        .send()
        .await;
    let user = User::from_answer(&answer, PASSWORD);
    latchkey
        .edit_user(&user, |item| {
            let since = number(item, "pending_since") - LIFETIME;
            item.insert(
                "pending_since".to_owned(),
                AttributeValue::N(since.to_string()),
            );
        })
        .await;
    latchkey
        .sign_in(&user.email, PASSWORD)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
}

#[tokio::test]
async fn an_unconfirmed_address_receives_only_the_notice_of_a_reset() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("pending-notices").await;
    let kinds = async || {
        let mails = latchkey.queued_mails(&user).await;
        let kinds = mails.iter().map(|mail| text(mail, "kind").to_owned());
        let mut kinds: Vec<String> = kinds.collect();
        kinds.sort();
        kinds
    };
    latchkey
        .change_password(&user, PASSWORD, OTHER)
        .send()
        .await
        .is_empty(201);
    latchkey.set_otp_secret(&user, otp::SECRET).await;
    for _ in 0..4 {
        latchkey
            .post("/identity/sessions")
            .form(&[
                ("email", user.email.as_str()),
                ("password", OTHER),
                ("otp_code", &otp::wrong_code()),
            ])
            .send()
            .await
            .is_refused(403, &["identity.session.invalid_otp"]);
    }
    assert_eq!(kinds().await, ["confirmation"]);
    let token = latchkey.reset_token(&user).await;
    latchkey
        .confirm(&token, PASSWORD)
        .send()
        .await
        .is_empty(201);
    latchkey.mail_to(&user.email, 1, Mail::is_notice).await;
    assert_eq!(
        kinds().await,
        ["confirmation", "password_changed", "password_reset"]
    );
}
