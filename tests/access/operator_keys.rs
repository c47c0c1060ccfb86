//! Access tokens of an operator's key, at every operation that signs or publishes

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::harness::{
    Item, Latchkey, bearer_of, event, kid, now, number,
    pem::{KEY_NAME, KINDS, ed25519_key, p256_key, rsa_key},
};

const PATH: &str = "/auth/request";
const KEY_ARN: &str = "IDENTITY_ACCESS_TOKEN_KEY_ARN";
const JWKS: &str = "/.well-known/jwks.json";

async fn with_key(pem: &str) -> Latchkey {
    Latchkey::start_with_secrets(&[(KEY_ARN, KEY_NAME)], &[(KEY_NAME, pem)]).await
}

/// An access token of `/auth`.
async fn access_token(latchkey: &Latchkey, session: &str) -> String {
    let answer = latchkey.get(PATH).bearer(session).send().await;
    bearer_of(&answer).to_owned()
}

/// An access token of the Lambda authorizer.
async fn authorizer_token(latchkey: &Latchkey, session: &str) -> String {
    let mut event = event("GET", "/orders");
    event["headers"] = json!({ "authorization": format!("Bearer {session}") });
    let answer = latchkey.invoke("AuthorizeFunction", event).await.unwrap();
    answer["context"]["token"].as_str().unwrap().to_owned()
}

/// The ids of the published keys, in order.
fn kids(published: &Value) -> Vec<String> {
    let keys = published["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

/// The record that other services have received a key, as if that was long ago.
fn received(published: &Value) -> Item {
    let key = &published["keys"][0];
    let public_key = key["x"].as_str().unwrap();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let key = [
        ("id".to_owned(), text(key["kid"].as_str().unwrap())),
        ("bytes".to_owned(), text(public_key)),
        ("signs_from".to_owned(), AttributeValue::N("0".to_owned())),
    ];
    Item::from([
        ("pk".to_owned(), text("KEYS#access")),
        (
            "keys".to_owned(),
            AttributeValue::L(vec![AttributeValue::M(key.into())]),
        ),
        ("revision".to_owned(), AttributeValue::N("1".to_owned())),
    ])
}

#[tokio::test]
async fn the_algorithm_follows_the_key_and_tokens_verify_by_the_published_key() {
    for (algorithm, key) in KINDS {
        let latchkey = with_key(&key()).await;
        let user = latchkey.signed_up("operator").await;
        let published = latchkey.jwks().await;
        assert_eq!(published["keys"].as_array().unwrap().len(), 1);
        assert_eq!(published["keys"][0]["alg"], algorithm);
        for token in [
            access_token(&latchkey, &user.session).await,
            authorizer_token(&latchkey, &user.session).await,
        ] {
            let header = jsonwebtoken::decode_header(&token).unwrap();
            assert_eq!(format!("{:?}", header.alg), algorithm);
            let claims = latchkey.verified(&token).await.expect("a genuine token");
            assert_eq!(claims["uid"], user.uid, "{algorithm}");
        }
        // Sessions are not affected.
        assert_eq!(latchkey.verified(&user.session).await, None);
    }
}

#[tokio::test]
async fn an_unusable_key_stops_the_functions_with_an_error_that_quotes_nothing_of_it() {
    let valid = rsa_key();
    let damaged = valid.replacen("MII", "MIJ", 1);
    let secret_lines: Vec<&str> = valid.lines().filter(|line| line.len() == 64).collect();
    for (pem, reason) in [
        ("a passphrase", "no private key in PEM"),
        (damaged.as_str(), "neither an RSA key of 2048"),
    ] {
        let latchkey = with_key(pem).await;
        let user = latchkey.signed_up("unusable").await;
        for path in [PATH, JWKS] {
            let answer = latchkey.get(path).bearer(&user.session).send().await;
            assert!(answer.status >= 500, "{path}: {answer:?}");
        }
        let log = latchkey.log_with(2, reason).await;
        let named = log.iter().filter(|line| line.contains(reason));
        assert!(named.clone().all(|line| line.contains(KEY_ARN)), "{log:?}");
        assert!(log.iter().all(|line| {
            !line.contains("a passphrase")
                && !secret_lines.iter().any(|secret| line.contains(secret))
        }));
        // Sign-in does not depend on the key.
        latchkey.signed_in(&user).await;
    }
}

#[tokio::test]
async fn a_key_that_replaces_another_is_published_first_and_signs_two_hours_later() {
    let first = ed25519_key();
    let old = with_key(&first).await.jwks().await;
    let latchkey = with_key(&first).await;
    latchkey.restore_item(received(&old)).await;
    let user = latchkey.signed_up("replaced").await;
    latchkey.put_secret(KEY_NAME, &p256_key()).await;
    // Not published, so no service knows it.
    let token = access_token(&latchkey, &user.session).await;
    assert_eq!(kid(&token), Some(kids(&old)[0].clone()));

    let before = now();
    let published = latchkey.jwks().await;
    assert_eq!(
        (kids(&published).len(), &kids(&published)[1]),
        (2, &kids(&old)[0])
    );
    let mut item = latchkey.published_access_keys().await.unwrap();
    assert_eq!(number(&item, "revision"), 2);
    let keys = item["keys"].as_l().unwrap();
    let signs_from = number(keys[0].as_m().unwrap(), "signs_from");
    assert!(signs_from >= before + 7200, "{signs_from}");
    let token = access_token(&latchkey, &user.session).await;
    assert!(latchkey.verified(&token).await.is_some());

    // Two hours later.
    let mut keys = keys.clone();
    if let AttributeValue::M(key) = &mut keys[0] {
        key.insert("signs_from".to_owned(), AttributeValue::N("1".to_owned()));
    }
    item.insert("keys".to_owned(), AttributeValue::L(keys));
    latchkey.delete_published_access_keys().await;
    latchkey.restore_item(item).await;
    let token = authorizer_token(&latchkey, &user.session).await;
    assert_eq!(kid(&token), Some(kids(&published)[0].clone()));
    assert!(latchkey.verified(&token).await.is_some());
}

#[tokio::test]
async fn a_key_that_replaces_the_derived_key_waits_as_well() {
    let latchkey = with_key(&ed25519_key()).await;
    let user = latchkey.signed_up("derived").await;
    // The version has an age, as in Secrets Manager.
    latchkey.put_secret(KEY_NAME, &rsa_key()).await;
    latchkey.put_secret(KEY_NAME, &rsa_key()).await;
    let secret = latchkey.token_secret().await;
    let derived = shared::tokens::access_key::AccessKey::derive(&secret).unwrap();
    let derived = json!({ "keys": [derived.jwk()] });
    latchkey.restore_item(received(&derived)).await;
    let token = access_token(&latchkey, &user.session).await;
    assert_eq!(kid(&token), Some(kids(&derived)[0].clone()));
    let published = latchkey.jwks().await;
    assert!(kids(&published).contains(&kids(&derived)[0]));
    assert_eq!(kids(&published).len(), 3);
    assert!(latchkey.verified(&token).await.is_some());
}

#[tokio::test]
async fn the_first_key_of_a_stack_and_a_key_of_unknown_age_sign_at_once() {
    // A key of the environment has no age, also where services have received another.
    let latchkey = with_key(&rsa_key()).await;
    let other = with_key(&ed25519_key()).await.jwks().await;
    latchkey.restore_item(received(&other)).await;
    let user = latchkey.signed_up("unknown-age").await;
    let token = access_token(&latchkey, &user.session).await;
    assert_eq!(kid(&token), Some(kids(&latchkey.jwks().await)[0].clone()));

    let latchkey = with_key(&rsa_key()).await;
    latchkey.put_secret(KEY_NAME, &p256_key()).await;
    let user = latchkey.signed_up("first").await;
    let token = access_token(&latchkey, &user.session).await;
    let published = latchkey.jwks().await;
    assert_eq!(published["keys"][0]["alg"], "ES256");
    assert_eq!(kid(&token), Some(kids(&published)[0].clone()));
}

#[tokio::test]
async fn the_publication_of_the_derived_key_is_recorded() {
    let latchkey = Latchkey::start(&[]).await;
    assert_eq!(latchkey.published_access_keys().await, None);
    let published = latchkey.jwks().await;
    let item = latchkey.published_access_keys().await.unwrap();
    let keys = item["keys"].as_l().unwrap();
    let ids: Vec<&String> = keys
        .iter()
        .map(|key| key.as_m().unwrap()["id"].as_s().unwrap())
        .collect();
    assert_eq!(ids, kids(&published).iter().collect::<Vec<_>>());
}
