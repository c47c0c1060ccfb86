//! `GET /.well-known/jwks.json`

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Answer, Folder, PASSWORD, Program, bearer_of, kid, latchkey, now, verified};

const PATH: &str = "/.well-known/jwks.json";

#[tokio::test]
async fn the_public_key_is_published_and_cacheable_for_a_minute() {
    let latchkey = latchkey().await;
    let answer = latchkey.get(PATH).send().await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, Some("public, max-age=60")),
        "{answer:?}"
    );
    let published = answer.json();
    let [key] = published["keys"].as_array().unwrap().as_slice() else {
        panic!("{published}")
    };
    let names: BTreeSet<&str> = key
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    // In particular not `d`, the private key.
    assert_eq!(
        names,
        BTreeSet::from(["alg", "crv", "kid", "kty", "use", "x"])
    );
    for (name, value) in [
        ("kty", "OKP"),
        ("crv", "Ed25519"),
        ("alg", "EdDSA"),
        ("use", "sig"),
    ] {
        assert_eq!(key[name], value);
    }
}

#[tokio::test]
async fn a_session_token_does_not_verify_by_a_published_key() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("jwks-session").await;
    let published = latchkey.jwks().await;
    assert!(
        published["keys"]
            .as_array()
            .unwrap()
            .iter()
            .all(|key| key["kid"].as_str() != kid(&user.session).as_deref())
    );
    assert_eq!(verified(&published, "latchkey", &user.session), None);
}

/// The data folder of a stack that is restarted with another token secret.
struct Rotating(Folder);

const CREDENTIALS: [(&str, &str); 2] = [("email", "rotation@example.com"), ("password", PASSWORD)];

impl Rotating {
    async fn start(name: &str) -> (Self, Program) {
        let folder = Folder::new(name);
        let program =
            Program::start(&["--listen", "127.0.0.1:0", "--data-dir", folder.path()]).await;
        assert_eq!(
            program.post("/identity/users", &CREDENTIALS).await.status,
            201
        );
        (Self(folder), program)
    }

    /// Restarts the stack with a new current secret, `age` seconds old, or of unknown age.
    async fn rotate(&self, program: Program, secret: &str, age: Option<i64>) -> Program {
        assert!(program.end("INT").await);
        let file = format!("{}/secrets.json", self.0.path());
        let mut secrets: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let previous = secrets["TokenSecret"]["AWSCURRENT"].take();
        secrets["TokenSecret"] =
            json!({ "AWSCURRENT": secret.repeat(64), "AWSPREVIOUS": previous });
        if let Some(age) = age {
            secrets["TokenSecret"]["CreatedDate"] = json!(now() - age);
        }
        std::fs::write(&file, secrets.to_string()).unwrap();
        Program::start(&["--listen", "127.0.0.1:0", "--data-dir", self.0.path()]).await
    }
}

/// Signs in and returns an access token.
async fn access_token(program: &Program) -> String {
    let session = program
        .post("/identity/sessions", &CREDENTIALS)
        .await
        .session();
    let request = reqwest::Client::new()
        .get(format!("{}/auth/request", program.url))
        .bearer_auth(session);
    bearer_of(&program.send(request).await).to_owned()
}

/// The claims of a token, with any issuer: the port, and so the issuer, changes with a restart.
fn verified_by(answer: &Answer, token: &str) -> Option<Value> {
    let issuer = crate::harness::claims(token)["iss"]
        .as_str()
        .unwrap()
        .to_owned();
    verified(&answer.json(), &issuer, token)
}

#[tokio::test]
async fn during_a_rotation_both_keys_are_published_and_their_tokens_verify() {
    let (stack, program) = Rotating::start("jwks-rotation").await;
    let old = access_token(&program).await;
    let before = program.get(PATH).await;
    let program = stack.rotate(program, "1", None).await;
    let after = program.get(PATH).await;
    let new = access_token(&program).await;

    assert_eq!(after.json()["keys"].as_array().unwrap().len(), 2);
    assert_eq!(after.json()["keys"][1], before.json()["keys"][0]);
    assert_ne!(kid(&old), kid(&new));
    assert!(verified_by(&after, &old).is_some() && verified_by(&after, &new).is_some());
    assert!(verified_by(&before, &new).is_none());

    let program = stack.rotate(program, "2", None).await;
    let last = program.get(PATH).await;
    assert!(verified_by(&last, &old).is_none() && verified_by(&last, &new).is_some());
    assert!(program.end("INT").await);
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs() {
    let (stack, program) = Rotating::start("jwks-lead").await;
    let before = program.get(PATH).await;
    let program = stack.rotate(program, "1", Some(0)).await;
    let early = access_token(&program).await;
    let after = program.get(PATH).await;
    assert_eq!(after.json()["keys"].as_array().unwrap().len(), 2);
    // The new token verifies also by a cached key set without the new key.
    assert!(verified_by(&before, &early).is_some() && verified_by(&after, &early).is_some());

    let program = stack.rotate(program, "2", Some(600)).await;
    let late = access_token(&program).await;
    assert_eq!(
        kid(&late).as_deref(),
        program.get(PATH).await.json()["keys"][0]["kid"].as_str()
    );
    assert!(program.end("INT").await);
}
