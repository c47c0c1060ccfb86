//! `GET /.well-known/openid-configuration`

use serde_json::{Value, json};

use crate::harness::{Latchkey, bearer_of, claims, event, latchkey};

const PATH: &str = "/.well-known/openid-configuration";

async fn discovered(latchkey: &Latchkey) -> Value {
    latchkey.get(PATH).send().await.json()
}

/// The document, for a request that API Gateway received under this domain name.
async fn discovered_at(latchkey: &Latchkey, domain: &str) -> Value {
    let mut event = event("GET", PATH);
    event["requestContext"]["domainName"] = json!(domain);
    let answer = latchkey.invoke("DiscoveryFunction", event).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_document_describes_the_access_tokens_and_is_cacheable_for_a_minute() {
    let latchkey = latchkey().await;
    let answer = latchkey.get(PATH).send().await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, Some("public, max-age=60"))
    );
    let document = answer.json();
    assert_eq!(document["issuer"], latchkey.domain());
    let keys = reqwest::get(document["jwks_uri"].as_str().unwrap()).await;
    let keys: Value = keys.unwrap().json().await.unwrap();
    assert_eq!(keys, latchkey.jwks().await);
    let algorithms = document["id_token_signing_alg_values_supported"].clone();
    assert_eq!(algorithms, json!(["RS256", "ES256", "EdDSA"]));

    let user = latchkey.signed_up("discovery").await;
    let answer = latchkey.get("/auth/x").bearer(&user.session).send().await;
    let token = claims(bearer_of(&answer));
    assert_eq!(token["iss"], document["issuer"]);
    let mut supported: Vec<&str> = document["claims_supported"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    supported.sort_unstable();
    let mut issued: Vec<&String> = token.as_object().unwrap().keys().collect();
    issued.sort_unstable();
    assert_eq!(supported, issued);
}

#[tokio::test]
async fn the_keys_are_at_the_issuer_if_it_is_a_url_and_otherwise_at_the_api() {
    let at = |domain: &str| format!("{domain}/.well-known/jwks.json");
    let latchkey = Latchkey::start(&[("IDENTITY_DOMAIN", "https://app.example")]).await;
    let document = discovered_at(&latchkey, "api.example").await;
    assert_eq!(document["issuer"], "https://app.example");
    assert_eq!(document["jwks_uri"], at("https://api.example"));
    for (issuer, expected) in [
        ("https://id.example/base/", "https://id.example/base"),
        ("https://id.example", "https://id.example"),
        ("latchkey", "https://api.example"),
    ] {
        let latchkey = Latchkey::start(&[("IDENTITY_ACCESS_TOKEN_ISSUER", issuer)]).await;
        let document = discovered_at(&latchkey, "api.example").await;
        assert_eq!(document["issuer"], issuer);
        assert_eq!(document["jwks_uri"], at(expected), "{issuer}");
        // Under the same address as the request.
        if issuer == "latchkey" {
            let document = discovered(&latchkey).await;
            assert_eq!(document["jwks_uri"], at(latchkey.url()));
        }
    }
}
