//! `GET /resource/sessions`

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::{
    domain::{session::SessionId, token_id::TokenId},
    platform::{clock::Timestamp, random::sha256_hex},
};

use crate::harness::{Latchkey, User, jti, latchkey, number, session_id};

const PATH: &str = "/resource/sessions";

async fn listed(latchkey: &Latchkey, user: &User) -> Vec<Value> {
    let answer = latchkey.get(PATH).cookie(&user.session).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn sessions_are_listed_newest_first_with_the_current_one_marked() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("list").await;
    let other = latchkey
        .sign_in(&user.email, &user.password)
        .header("user-agent", "Other/2")
        .send()
        .await
        .session();
    latchkey.age_session(&user, &user.session, 100).await;
    let item = latchkey.session_item(&user, &user.session).await.unwrap();
    let time =
        |name: &str, seconds: i64| Timestamp::from_seconds(number(&item, name) + seconds).rfc3339();

    let sessions = listed(latchkey, &user).await;
    assert_eq!(
        (
            sessions.len(),
            &sessions[0]["id"],
            &sessions[0]["user_agent"]
        ),
        (2, &json!(session_id(&other)), &json!("Other/2"))
    );
    assert_eq!(sessions[0]["current"], false);
    // The listing itself counts as a use.
    let after = latchkey.session_item(&user, &user.session).await.unwrap();
    let expected = json!({
        "id": session_id(&user.session),
        "user_ip": "127.0.0.1",
        "user_agent": "",
        "created_at": time("began_at", 0),
        "last_used_at": Timestamp::from_seconds(number(&after, "last_used_at")).rfc3339(),
        "expires_at": time("began_at", 86_400),
        "current": true,
    });
    assert_eq!(sessions[1], expected);
    assert!(number(&after, "last_used_at") >= number(&item, "last_used_at") + 100);
    let answer = latchkey
        .get(PATH)
        .bearer(&other)
        .header("user-agent", "Other/2")
        .send()
        .await;
    assert_eq!(answer.json()[0]["current"], true);
    assert_eq!(answer.json()[1]["current"], false);
}

#[tokio::test]
async fn the_list_contains_no_secret_and_its_ids_do_not_work_as_sessions() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("list-secret").await;
    let answer = latchkey.get(PATH).cookie(&user.session).send().await;
    for secret in [
        &user.session,
        &jti(&user.session),
        &user.csrf_token,
        &sha256_hex(&user.csrf_token),
    ] {
        assert!(!answer.text().contains(secret.as_str()), "{secret}");
    }
    for id in latchkey.session_ids(&user).await {
        latchkey
            .get(PATH)
            .bearer(&id)
            .send()
            .await
            .is_refused(401, &["authz.invalid_session"]);
    }
}

#[tokio::test]
async fn only_valid_sessions_of_the_user_are_listed() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("list-live").await;
    let other = latchkey.signed_up("list-other").await;
    let [idle, old, of_earlier_epoch, ended, valid] = [
        latchkey.signed_in(&user).await,
        latchkey.signed_in(&user).await,
        latchkey.signed_in(&user).await,
        latchkey.signed_in(&user).await,
        latchkey.signed_in(&user).await,
    ];
    latchkey.age_session(&user, &idle, 1861).await;
    latchkey.age_session(&user, &old, 86_401).await;
    latchkey.use_session(&user, &old).await;
    let other_epoch = AttributeValue::N("7".to_owned());
    latchkey
        .edit_session(&user, &of_earlier_epoch, |item| {
            drop(item.insert("epoch".to_owned(), other_epoch));
        })
        .await;
    latchkey.sign_out(&ended).send().await.is_empty(204);

    let mut expected = [session_id(&user.session), session_id(&valid)];
    expected.sort();
    let mut found = latchkey.session_ids(&user).await;
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(
        latchkey.session_ids(&other).await,
        [session_id(&other.session)]
    );
}

#[tokio::test]
async fn the_listed_expiry_reflects_a_reduced_maximum_age() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_SESSION_EXPIRE_TIME", "600"),
        ("IDENTITY_SESSION_MAX_AGE", "600"),
    ])
    .await;
    let user = latchkey.signed_up("shorter").await;
    let began = number(
        &latchkey.session_item(&user, &user.session).await.unwrap(),
        "began_at",
    );
    let later = AttributeValue::N((began + 86_400).to_string());
    latchkey
        .edit_session(&user, &user.session, |item| {
            drop(item.insert("expires_at".to_owned(), later));
        })
        .await;
    assert_eq!(
        listed(&latchkey, &user).await[0]["expires_at"],
        Timestamp::from_seconds(began + 600).rfc3339()
    );
}

#[tokio::test]
async fn the_newest_thousand_sessions_and_the_current_one_are_listed_and_all_others_can_be_ended() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("list-many").await;
    let session = latchkey.session_item(&user, &user.session).await.unwrap();
    let own = session_id(&user.session);
    let later = own[1..14].parse::<u64>().unwrap() + 1;
    let id = |number: usize| format!("t{later:013}-{number:064x}");
    for number in 0..1001 {
        let mut item = session.clone();
        let id = id(number);
        item.insert("sk".to_owned(), AttributeValue::S(format!("SESSION#{id}")));
        item.insert("id_hash".to_owned(), AttributeValue::S(id));
        latchkey.put_grant(item).await;
    }
    let listed = latchkey.session_ids(&user).await;
    assert_eq!(listed.len(), 1001);
    assert_eq!(listed.last(), Some(&own));
    let oldest = id(0);
    assert!(!listed.contains(&oldest));
    latchkey
        .by(&user, "DELETE", "/resource/sessions")
        .send()
        .await
        .is_empty(204);
    assert_eq!(
        latchkey.session_ids(&user).await,
        std::slice::from_ref(&own)
    );
    let newest = latchkey.signed_in(&user).await;
    assert_eq!(
        latchkey.session_ids(&user).await,
        [session_id(&newest), own.clone()]
    );
    latchkey
        .by(&user, "DELETE", &format!("/resource/sessions/{oldest}"))
        .send()
        .await
        .is_refused(404, &["record.not_found"]);
}

/// Sessions that an earlier version opened have a token id without a time.
#[tokio::test]
async fn a_session_of_an_earlier_version_is_listed_and_can_be_ended() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("list-earlier").await;
    let mut item = latchkey.session_item(&user, &user.session).await.unwrap();
    let id = SessionId::of(&TokenId::from_text("of an earlier version"));
    let key = format!("SESSION#{}", id.as_str());
    item.insert("sk".to_owned(), AttributeValue::S(key));
    item.insert(
        "id_hash".to_owned(),
        AttributeValue::S(id.as_str().to_owned()),
    );
    latchkey.put_grant(item).await;
    assert!(
        latchkey
            .session_ids(&user)
            .await
            .contains(&id.as_str().to_owned())
    );
    let path = format!("/resource/sessions/{}", id.as_str());
    latchkey
        .by(&user, "DELETE", &path)
        .send()
        .await
        .is_empty(204);
    assert_eq!(
        latchkey.session_ids(&user).await,
        [session_id(&user.session)]
    );
}
