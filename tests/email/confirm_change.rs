//! `POST /resource/users/email/confirm`

use serde_json::json;
use shared::{
    domain::{email_address::AccountKey, token_id::TokenId, user::Uid},
    platform::clock::Timestamp,
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};

use crate::harness::{
    Latchkey, Mail, PASSWORD, USER_NAMES, User, claims, forgeries, latchkey, now, only_changed,
    session_id,
};

const PATH: &str = "/resource/users/email/confirm";
const INVALID: [&str; 1] = ["jwt.decode_and_verify"];
const UTILIZED: [&str; 1] = ["identity.user.utilized_token"];
const NEW_PASSWORD: &str = "Newer-Horse-7-Battery";

/// The user with another address.
fn moved(user: &User, email: &str) -> User {
    User {
        email: email.to_owned(),
        ..user.clone()
    }
}

#[tokio::test]
async fn a_missing_or_empty_token_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("move-absent").await;
    let request = latchkey.by(&user, "POST", PATH);
    let key = ["resource.user.missing_token"];
    latchkey.refuses(&user, request, 400, &key).await;
    for blank in ["", " \t"] {
        let request = latchkey.confirm_email_change(&user, blank);
        let key = ["resource.user.empty_token"];
        latchkey.refuses(&user, request, 400, &key).await;
    }
}

/// Earlier versions stored users of such an address under another key, which must be free too.
#[tokio::test]
async fn an_account_can_move_to_an_internationalised_domain_in_any_spelling_once() {
    let latchkey = latchkey().await;
    let ascii = "moved-idn@xn--bcher-kva.example";
    let users = [
        (
            latchkey.confirmed("move-idn").await,
            "moved-idn@bücher.example",
        ),
        (latchkey.confirmed("move-idn-late").await, ascii),
    ];
    let mut tokens = Vec::new();
    for (number, (user, email)) in users.iter().enumerate() {
        latchkey
            .change_email(user, email)
            .send()
            .await
            .is_empty(201);
        let is_link = |mail: &Mail| mail.email_change_token().is_some();
        let mail = latchkey.mail_to(ascii, number + 1, is_link).await;
        tokens.push(mail.email_change_token().unwrap().to_owned());
    }
    let answer = latchkey
        .confirm_email_change(&users[0].0, &tokens[0])
        .send()
        .await;
    assert_eq!(
        (answer.status, &answer.json()["email"]),
        (201, &json!("moved-idn@bücher.example"))
    );
    let late = latchkey.confirm_email_change(&users[1].0, &tokens[1]);
    latchkey
        .refuses(&users[1].0, late, 422, &["email.taken"])
        .await;
    let signed_in = latchkey.sign_in(ascii, PASSWORD).send().await;
    assert_eq!(signed_in.json()["uid"], users[0].0.uid);
}

#[tokio::test]
async fn a_confirmation_moves_the_account_and_ends_every_other_session() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("move").await;
    let others = [
        latchkey.signed_in(&user).await,
        latchkey.signed_in(&user).await,
    ];
    let reset = latchkey.reset_token(&user).await;
    let email = "Moved@example.com";
    let token = latchkey.email_change_token(&user, email).await;
    let before = latchkey.user_item(&user).await;

    // White space around the token, as some mail clients add it, does not matter.
    let padded = format!(" {token}\r\n");
    let answer = latchkey.confirm_email_change(&user, &padded).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let names: Vec<&str> = USER_NAMES
        .into_iter()
        .filter(|name| *name != "csrf_token")
        .collect();
    answer.has_names(&names);
    let body = answer.json();
    assert_eq!(
        (&body["email"], &body["uid"], &body["state"]),
        (&json!(email), &json!(user.uid), &json!("active"))
    );
    let cookies = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie");
    assert_eq!(cookies.count(), 1, "the device cookie: {answer:?}");

    let new = moved(&user, email);
    let mut after = latchkey.user_item(&new).await;
    assert_ne!(after["pk"], before["pk"]);
    after.insert("pk".to_owned(), before["pk"].clone());
    only_changed(
        &before,
        &after,
        &[
            "email",
            "labels",
            "session_epoch",
            "device_epoch",
            "updated_at",
        ],
    );
    assert_eq!(latchkey.grant(&user, "EMAIL_CHANGE").await, None);
    latchkey
        .sign_in(&user.email, PASSWORD)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    for session in &others {
        latchkey
            .get("/resource/users/me")
            .cookie(session)
            .send()
            .await
            .is_refused(401, &["authz.invalid_session"]);
    }
    // The session of the request stays valid, with the same cookie and CSRF token.
    assert_eq!(
        latchkey.session_ids(&new).await,
        [session_id(&user.session)]
    );
    let me = latchkey.by(&new, "GET", "/resource/users/me").send().await;
    assert_eq!(me.json()["email"], json!(email));
    latchkey
        .confirm(&reset, NEW_PASSWORD)
        .send()
        .await
        .is_refused(422, &UTILIZED);
    let activities = latchkey.activities(&user).await;
    assert_eq!(
        activities
            .iter()
            .filter(|text| *text == "change email succeed")
            .count(),
        1
    );
    latchkey.signed_in(&new).await;
    let changed = latchkey.change_password(&new, PASSWORD, NEW_PASSWORD);
    changed.send().await.is_empty(201);
}

#[tokio::test]
async fn the_previous_address_receives_a_notice_without_a_link_to_reset_the_password() {
    let latchkey = Latchkey::start(&[("IDENTITY_SUPPORT_URL", "mailto:help@example.com")]).await;
    let user = latchkey.confirmed("move-notice").await;
    let email = "moved-notice@example.com";
    let token = latchkey.email_change_token(&user, email).await;
    let answer = latchkey.confirm_email_change(&user, &token).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let notice = latchkey.mail_to(&user.email, 2, Mail::is_notice).await;
    assert!(notice.subject.contains("was changed"), "{}", notice.subject);
    assert!(notice.text.contains("help@example.com"), "{}", notice.text);
    assert!(!notice.text.contains("password_reset"), "{}", notice.text);
    let new = latchkey.mails_to(email).await;
    assert_eq!(new.iter().filter(|mail| mail.is_notice()).count(), 0);
}

#[tokio::test]
async fn the_device_cookie_is_valid_for_the_new_address_and_the_old_one_is_not() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("move-device").await;
    let before = latchkey.sign_in(&user.email, PASSWORD).send().await;
    let email = "moved-device@example.com";
    let token = latchkey.email_change_token(&user, email).await;
    let answer = latchkey.confirm_email_change(&user, &token).send().await;
    let cookie = answer.device_cookie();
    assert_eq!(claims(&cookie)["uid"], json!(user.uid));
    // Failures of strangers delay the address, but not the device.
    latchkey.reset_failures(email).await;
    for _ in 0..6 {
        latchkey.sign_in(email, NEW_PASSWORD).send().await;
    }
    let with = |cookie: &str| latchkey.sign_in(email, PASSWORD).device(cookie);
    assert_eq!(with(&before.device_cookie()).send().await.status, 429);
    assert_eq!(with(&cookie).send().await.status, 201);
}

#[tokio::test]
async fn a_foreign_link_changes_nothing() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("move-foreign").await;
    let stranger = latchkey.confirmed("move-stranger").await;
    // The user mistypes the address, which belongs to the stranger's second mailbox.
    let email = "moved-foreign@example.com";
    let token = latchkey.email_change_token(&user, email).await;
    let owners = latchkey.items_of(&user).await;
    // The stranger is signed out, signed in to another account, or has a change of their own.
    latchkey
        .post(PATH)
        .form(&[("token", &token)])
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    let request = latchkey.confirm_email_change(&stranger, &token);
    latchkey.refuses(&stranger, request, 422, &INVALID).await;
    let own = latchkey
        .email_change_token(&stranger, "moved-stranger@example.com")
        .await;
    let request = latchkey.confirm_email_change(&stranger, &token);
    latchkey.refuses(&stranger, request, 422, &INVALID).await;
    let request = latchkey.confirm_email_change(&user, &own);
    latchkey.refuses(&user, request, 422, &INVALID).await;
    assert_eq!(latchkey.items_of(&user).await, owners);
    // A page of another site cannot send the CSRF token.
    latchkey
        .post(PATH)
        .cookie(&user.session)
        .form(&[("token", &token)])
        .send()
        .await
        .is_refused(401, &["authz.missing_csrf_token"]);
    assert_eq!(latchkey.items_of(&user).await, owners);
}

#[tokio::test]
async fn a_forged_token_or_one_of_another_purpose_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("move-forged").await;
    let other = latchkey.confirmed("move-forger").await;
    let genuine = latchkey
        .email_change_token(&user, "moved-forged@example.com")
        .await;
    let others = latchkey
        .email_change_token(&other, "moved-forger@example.com")
        .await;
    for (what, forged) in forgeries(&genuine, &others) {
        let before = latchkey.items_of(&user).await;
        let answer = latchkey.confirm_email_change(&user, &forged).send().await;
        assert_eq!(
            (answer.status, answer.text()),
            (422, r#"{"errors":["jwt.decode_and_verify"]}"#),
            "{what}"
        );
        assert_eq!(latchkey.items_of(&user).await, before, "{what}");
    }
    let reset = latchkey.reset_token(&user).await;
    for token in [&reset, &user.session] {
        let request = latchkey.confirm_email_change(&user, token);
        latchkey.refuses(&user, request, 422, &INVALID).await;
    }
    latchkey
        .confirm(&genuine, NEW_PASSWORD)
        .send()
        .await
        .is_refused(422, &INVALID);
    let answer = latchkey.confirm_email_change(&user, &genuine).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn an_expired_token_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("move-expired").await;
    let genuine = latchkey
        .email_change_token(&user, "moved-expired@example.com")
        .await;
    let keys = SigningKeys::from_secrets(&latchkey.token_secret().await, None).unwrap();
    let token = |ends: i64| {
        let claims = claims(&genuine);
        let text = |name: &str| claims[name].as_str().unwrap();
        keys.sign(&Claims::new(
            Purpose::EmailChange,
            TokenId::from_text(text("jti")),
            Uid::parse(text("uid")).unwrap(),
            AccountKey::of(text("user")),
            Timestamp::from_seconds(ends - 3600),
            Timestamp::from_seconds(ends),
        ))
        .unwrap()
    };
    for ends in [now() - 3600, now() - 1, 0] {
        let request = latchkey.confirm_email_change(&user, &token(ends));
        latchkey.refuses(&user, request, 422, &INVALID).await;
    }
    latchkey.age_grant(&user, "EMAIL_CHANGE", 3601).await;
    let answer = latchkey
        .confirm_email_change(&user, &token(now() + 60))
        .send()
        .await;
    answer.is_refused(422, &UTILIZED);
    latchkey.signed_in(&user).await;
}

#[tokio::test]
async fn a_used_or_replaced_link_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("move-replaced").await;
    let first = latchkey
        .email_change_token(&user, "moved-first@example.com")
        .await;
    let second = latchkey
        .email_change_token(&user, "moved-second@example.com")
        .await;
    let request = latchkey.confirm_email_change(&user, &first);
    latchkey.refuses(&user, request, 422, &UTILIZED).await;
    let answer = latchkey.confirm_email_change(&user, &second).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let new = moved(&user, "moved-second@example.com");
    for token in [&first, &second] {
        let request = latchkey.confirm_email_change(&new, token);
        latchkey.refuses(&new, request, 422, &UTILIZED).await;
    }
}

#[tokio::test]
async fn a_change_of_the_password_voids_the_link() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("move-password").await;
    let token = latchkey
        .email_change_token(&user, "moved-password@example.com")
        .await;
    let changed = latchkey.change_password(&user, PASSWORD, NEW_PASSWORD);
    changed.send().await.is_empty(201);
    let request = latchkey.confirm_email_change(&user, &token);
    latchkey.refuses(&user, request, 422, &UTILIZED).await;
}

#[tokio::test]
async fn the_owner_who_receives_the_notice_stops_a_thief_who_knows_the_password() {
    let latchkey = latchkey().await;
    let owner = latchkey.confirmed("move-owner").await;
    let thief = latchkey.with_new_session(&owner).await;
    let token = latchkey
        .email_change_token(&thief, "moved-thief@example.com")
        .await;
    let notice = latchkey.mail_to(&owner.email, 1, Mail::is_notice).await;
    assert!(notice.text.contains("password_reset"), "{}", notice.text);
    let reset = latchkey.reset_token(&owner).await;
    latchkey
        .confirm(&reset, NEW_PASSWORD)
        .send()
        .await
        .is_empty(201);
    latchkey
        .confirm_email_change(&thief, &token)
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    let owner = User {
        password: NEW_PASSWORD.to_owned(),
        ..owner
    };
    // Not even the owner can use the link any more.
    let owner = latchkey.with_new_session(&owner).await;
    let request = latchkey.confirm_email_change(&owner, &token);
    latchkey.refuses(&owner, request, 422, &UTILIZED).await;
}

#[tokio::test]
async fn an_account_that_is_pending_again_keeps_its_address() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("move-pending").await;
    let token = latchkey
        .email_change_token(&user, "moved-pending@example.com")
        .await;
    latchkey.set_state(&user, "pending").await;
    let request = latchkey.confirm_email_change(&user, &token);
    let key = ["resource.user.email_not_confirmed"];
    latchkey.refuses(&user, request, 422, &key).await;
}

#[tokio::test]
async fn an_address_that_was_taken_since_the_request_is_refused() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("move-late").await;
    let email = "moved-late@example.com";
    let token = latchkey.email_change_token(&user, email).await;
    let other = latchkey.signed_up("moved-late").await;
    let others = latchkey.items_of(&other).await;
    let request = latchkey.confirm_email_change(&user, &token);
    latchkey
        .refuses(&user, request, 422, &["email.taken"])
        .await;
    assert_eq!(latchkey.items_of(&other).await, others);
    // An account that expired before its address was confirmed gives way, with its session.
    latchkey.age_user(&other, 31 * 86_400).await;
    let answer = latchkey.confirm_email_change(&user, &token).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    latchkey
        .get("/resource/users/me")
        .cookie(&other.session)
        .send()
        .await
        .is_refused(401, &["authz.invalid_session"]);
    let stored = latchkey.stored().await;
    assert!(!stored.contains_key(&format!("UsersTable UID#{} ", other.uid)));
}

#[tokio::test]
async fn a_reset_mail_that_waits_for_delivery_does_not_reach_the_previous_address() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("move-outbox").await;
    latchkey.reset_mail(&user.email).await;
    let queued = latchkey.queued_mails(&user).await;
    let reset = queued
        .into_iter()
        .find(|item| {
            item["kind"]
                .as_s()
                .is_ok_and(|kind| kind == "password_reset")
        })
        .unwrap();
    let token = latchkey
        .email_change_token(&user, "moved-outbox@example.com")
        .await;
    let answer = latchkey.confirm_email_change(&user, &token).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    // The same mail, as a request that read the account before the change queues it.
    let mut late = reset;
    for name in ["settled_at", "leased_until", "leased_by"] {
        late.remove(name);
    }
    for (name, value) in [("sk", "MAIL#late-reset"), ("id", "late-reset")] {
        let value = aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned());
        late.insert(name.to_owned(), value);
    }
    latchkey.put_grant(late).await;
    latchkey
        .log_with(1, "not sent: the user has another address now")
        .await;
    let resets = latchkey.mails_to(&user.email).await;
    assert_eq!(
        resets
            .iter()
            .filter(|mail| mail.reset_token().is_some())
            .count(),
        1
    );
}
