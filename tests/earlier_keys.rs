//! Tokens that name an account key under which the account is no longer stored

use serde_json::json;
use shared::{
    domain::{email_address::AccountKey, token_id::TokenId, user::Uid},
    platform::clock::{self, Timestamp},
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};

use crate::harness::{
    Latchkey, PASSWORD, User, claims, event, jti, latchkey, now, signed_in_operations,
};

/// The token as it was signed before the account moved to its present key.
async fn earlier(latchkey: &Latchkey, user: &User, purpose: Purpose, token_id: &str) -> String {
    let secret = latchkey.token_secret().await;
    let keys = SigningKeys::from_secrets(&secret, None).unwrap();
    let claims = Claims::new(
        purpose,
        TokenId::from_text(token_id),
        Uid::parse(&user.uid).unwrap(),
        AccountKey::stored("earlier@example.com"),
        clock::now(),
        Timestamp::from_seconds(now() + 3600),
    );
    keys.sign(&claims).unwrap()
}

#[tokio::test]
async fn every_operation_that_requires_a_session_accepts_it() {
    let latchkey = latchkey().await;
    let user = latchkey.confirmed("earlier-session").await;
    let session = earlier(latchkey, &user, Purpose::Session, &jti(&user.session)).await;
    for (method, path) in signed_in_operations() {
        let request = latchkey.request(method.parse().unwrap(), &path);
        let answer = request.bearer(&session).send().await;
        assert_ne!(answer.status, 401, "{method} {path}: {answer:?}");
    }
    let answer = latchkey.get("/auth/orders").bearer(&session).send().await;
    assert_eq!(answer.status, 200);
    let mut request = event("GET", "/orders");
    request["requestContext"]["http"]["sourceIp"] = json!("127.0.0.1");
    request["headers"]["authorization"] = json!(format!("Bearer {session}"));
    let answer = latchkey.invoke("AuthorizeFunction", request).await;
    assert_eq!(answer.unwrap()["isAuthorized"], true);
    latchkey.sign_out(&session).send().await.is_empty(204);
}

#[tokio::test]
async fn a_mailed_token_is_accepted() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("earlier-mail").await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    let token_id = |token: &str| claims(token)["jti"].as_str().unwrap().to_owned();
    let id = token_id(mail.confirmation_token().unwrap());
    let token = earlier(latchkey, &user, Purpose::Confirmation, &id).await;
    let answer = latchkey
        .post("/identity/users/email/confirm_code")
        .form(&[("token", token.as_str()), ("password", PASSWORD)])
        .send()
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = token_id(&latchkey.reset_token(&user).await);
    let token = earlier(latchkey, &user, Purpose::Reset, &id).await;
    latchkey
        .confirm(&token, "Newer-Horse-7-Battery")
        .send()
        .await
        .is_empty(201);
}
