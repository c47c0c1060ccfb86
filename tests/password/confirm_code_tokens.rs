//! `POST /identity/users/password/confirm_code`: verification of the token

use shared::{
    domain::{email_address::AccountKey, token_id::TokenId, user::Uid},
    platform::clock::Timestamp,
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};

use crate::harness::{PASSWORD, claims, forgeries, latchkey, now};

const NEW: &str = "Newer-Horse-7-Battery";

#[tokio::test]
async fn a_forged_token_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-forged").await;
    let other = latchkey.signed_up("confirm-forger").await;
    let genuine = latchkey.reset_token(&user).await;
    let others = latchkey.reset_token(&other).await;
    for (what, forged) in forgeries(&genuine, &others) {
        let before = latchkey.items_of(&user).await;
        let answer = latchkey.confirm(&forged, NEW).send().await;
        assert_eq!(
            (answer.status, answer.text()),
            (422, r#"{"errors":["jwt.decode_and_verify"]}"#),
            "{what}"
        );
        assert_eq!(latchkey.items_of(&user).await, before, "{what}");
    }
    assert_eq!(
        latchkey.sign_in(&user.email, PASSWORD).send().await.status,
        201
    );
    latchkey.confirm(&genuine, NEW).send().await.is_empty(201);
}

#[tokio::test]
async fn a_token_of_another_purpose_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-purpose").await;
    latchkey.reset_token(&user).await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    for token in [
        user.session.as_str(),
        mail.confirmation_token().unwrap(),
        &user.csrf_token,
    ] {
        latchkey
            .refuses(
                &user,
                latchkey.confirm(token, NEW),
                422,
                &["jwt.decode_and_verify"],
            )
            .await;
    }
}

#[tokio::test]
async fn an_expired_token_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-expired").await;
    let genuine = latchkey.reset_token(&user).await;
    let keys = SigningKeys::from_secrets(&latchkey.token_secret().await, None).unwrap();
    let token = |began: i64, ends: i64| {
        let claims = claims(&genuine);
        let text = |name: &str| claims[name].as_str().unwrap();
        keys.sign(&Claims::new(
            Purpose::Reset,
            TokenId::from_text(text("jti")),
            Uid::parse(text("uid")).unwrap(),
            AccountKey::of(text("user")),
            Timestamp::from_seconds(began),
            Timestamp::from_seconds(ends),
        ))
        .unwrap()
    };
    for ends in [now() - 3600, now() - 1, 0] {
        let expired = token(ends - 3600, ends);
        latchkey
            .refuses(
                &user,
                latchkey.confirm(&expired, NEW),
                422,
                &["jwt.decode_and_verify"],
            )
            .await;
    }
    // The same token with a later expiry works, so only the expiry was wrong.
    latchkey
        .confirm(&token(now(), now() + 60), NEW)
        .send()
        .await
        .is_empty(201);
}

#[tokio::test]
async fn a_code_whose_stored_item_has_expired_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-aged").await;
    let token = latchkey.reset_token(&user).await;
    latchkey.age_code(&user, 3601).await;
    let before = latchkey.user_item(&user).await;
    let answer = latchkey.confirm(&token, NEW).send().await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(latchkey.user_item(&user).await, before);
    assert_eq!(
        latchkey.sign_in(&user.email, PASSWORD).send().await.status,
        201
    );
}

#[tokio::test]
async fn a_token_of_a_deleted_user_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-gone").await;
    let token = latchkey.reset_token(&user).await;
    latchkey.delete_user(&user).await;
    latchkey
        .refuses(
            &user,
            latchkey.confirm(&token, NEW),
            404,
            &["record.not_found"],
        )
        .await;
}

#[tokio::test]
async fn a_reset_affects_only_the_user_of_the_token() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("confirm-own").await;
    let other = latchkey.signed_up("confirm-other").await;
    let token = latchkey.reset_token(&user).await;
    latchkey.reset_token(&other).await;
    let before = latchkey.items_of(&other).await;
    latchkey
        .confirm(&token, NEW)
        .cookie(&other.session)
        .send()
        .await
        .is_empty(201);
    assert_eq!(latchkey.items_of(&other).await, before);
    latchkey
        .sign_in(&other.email, NEW)
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
}
