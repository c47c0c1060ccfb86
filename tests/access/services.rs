//! The example services in docs/examples, in Python (`PyJWT`), Node.js and Rust: each finds the keys
//! through the discovery document, and verifies tokens of every kind of key

use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{
    Answer, Folder, Latchkey, Request, bearer_of,
    gateway::{Server, free_port, installed, is_missing},
    pem::{KEY_NAME, KINDS, ed25519_key},
    workspace,
};

/// The Rust example, as a service would contain it.
#[path = "../../docs/examples/service.rs"]
mod service;

const AUDIENCE: &str = "shop";

/// A stack with this key that issues tokens for two audiences, one of which is the example.
async fn stack(key: &str) -> Latchkey {
    let variables = [
        ("IDENTITY_ACCESS_TOKEN_KEY_ARN", KEY_NAME),
        ("IDENTITY_ACCESS_TOKEN_AUDIENCE", "peatio,shop"),
    ];
    Latchkey::start_with_secrets(&variables, &[(KEY_NAME, key)]).await
}

async fn access_token(latchkey: &Latchkey, session: &str) -> String {
    let request = latchkey.get("/auth/request").bearer(session);
    bearer_of(&request.send().await).to_owned()
}

/// Tokens that a service must refuse.
async fn refused_tokens(latchkey: &Latchkey, genuine: &str) -> Vec<String> {
    let parts: Vec<&str> = genuine.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        panic!("{genuine}")
    };
    let with_claim = |name: &str, value: Value| {
        let decoded = BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
        let mut claims: Value = serde_json::from_slice(&decoded).unwrap();
        claims[name] = value;
        BASE64URL_NOPAD.encode(claims.to_string().as_bytes())
    };
    let none = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"none"}"#);
    let other = stack(&ed25519_key()).await;
    let foreigner = other.signed_up("service-foreigner").await;
    let user = latchkey.signed_up("service-refused").await;
    vec![
        String::new(),
        "x.y.z".to_owned(),
        format!(
            "{header}.{}.{signature}",
            with_claim("role", json!("admin"))
        ),
        format!("{header}.{}.{signature}", with_claim("exp", json!(1))),
        format!("{none}.{claims}."),
        format!("{header}.{claims}.{}", "A".repeat(signature.len())),
        // Of another stack, and a session token of this one.
        access_token(&other, &foreigner.session).await,
        user.session,
    ]
}

/// Starts an example that listens on the port in `PORT`.
async fn example(program: &Path, file: &str, latchkey: &Latchkey, audience: &str) -> Server {
    let port = free_port();
    let mut command = Command::new(program);
    command
        .arg(workspace().join("docs/examples").join(file))
        .env("LATCHKEY_ISSUER", latchkey.domain())
        .env("LATCHKEY_AUDIENCE", audience)
        .env("PORT", port.to_string());
    let folder = Folder::new(&format!("{file}-{port}"));
    Server::start(command, folder, "error.log", port).await
}

async fn orders(server: &Server, token: &str) -> Answer {
    let request = reqwest::Client::new().get(format!("{}/orders", server.url()));
    Request::from(request.bearer_auth(token)).send().await
}

/// Asserts that the example rejects a request.
#[track_caller]
fn is_rejected(answer: &Answer) {
    let body: Value = serde_json::from_str(answer.text()).unwrap();
    let rejected = json!({ "errors": ["authz.invalid_token"] });
    assert_eq!((answer.status, body), (401, rejected), "{answer:?}");
}

/// Asserts that the example serves the user of a genuine token of every kind of key, and no other.
async fn serves_only_genuine_tokens(program: &Path, file: &str) {
    for (algorithm, key) in KINDS {
        let latchkey = stack(&key()).await;
        let server = example(program, file, &latchkey, AUDIENCE).await;
        let user = latchkey.signed_up("service").await;
        let token = access_token(&latchkey, &user.session).await;
        let answer = orders(&server, &token).await;
        assert_eq!(answer.status, 200, "{file} {algorithm}: {answer:?}");
        assert_eq!(
            answer.json(),
            json!({ "orders": [], "of": user.uid, "role": "member" })
        );
        for refused in refused_tokens(&latchkey, &token).await {
            is_rejected(&orders(&server, &refused).await);
        }
        let other = example(program, file, &latchkey, "mail").await;
        is_rejected(&orders(&other, &token).await);
    }
}

/// A Python with `PyJWT`, in a folder of `PATH`.
async fn python_with_pyjwt() -> Option<PathBuf> {
    let path = shared::platform::environment::variable("PATH").unwrap_or_default();
    for folder in path.split(':') {
        let python = Path::new(folder).join("python3");
        if !python.is_file() {
            continue;
        }
        let import = ["-c", "import jwt, cryptography; jwt.PyJWKClient"];
        let output = Command::new(&python).args(import).output().await;
        if output.is_ok_and(|output| output.status.success()) {
            return Some(python);
        }
    }
    is_missing("PyJWT", r#"pip install "PyJWT[crypto]""#);
    None
}

#[tokio::test]
async fn the_python_service_verifies_tokens_of_every_kind_of_key() {
    let Some(python) = python_with_pyjwt().await else {
        return;
    };
    serves_only_genuine_tokens(&python, "service.py").await;
}

#[tokio::test]
async fn the_node_service_verifies_tokens_of_every_kind_of_key() {
    let Some(node) = installed("node", "apt-get install nodejs") else {
        return;
    };
    serves_only_genuine_tokens(&node, "service.mjs").await;
}

/// The inline code of a function in an example template.
fn inline_code(file: &str, function: &str) -> String {
    let text = std::fs::read_to_string(workspace().join("docs/examples").join(file)).unwrap();
    let template: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
    let code = &template["Resources"][function]["Properties"]["InlineCode"];
    code.as_str().unwrap().to_owned()
}

/// What the Lambda runtime returns for an event: the value, or the text of the error.
const RUN: &str = "require('./index.cjs').handler(JSON.parse(process.argv[2]))
    .then((value) => ({ value }), (error) => ({ error: error.message }))
    .then((outcome) => console.log(JSON.stringify(outcome)));";

#[tokio::test]
async fn the_authorizer_of_the_rest_api_asks_latchkey() {
    let Some(node) = installed("node", "apt-get install nodejs") else {
        return;
    };
    let folder = Folder::new("rest-api");
    let write = |name: &str, text: &str| std::fs::write(format!("{}/{name}", folder.path()), text);
    write(
        "index.cjs",
        &inline_code("rest-api.yaml", "AuthorizeFunction"),
    )
    .unwrap();
    write("run.cjs", RUN).unwrap();
    let latchkey = stack(&ed25519_key()).await;
    let user = latchkey.signed_up("rest-api").await;
    let outcome = async |url: &str, method: &str, headers: Value| -> Value {
        let arn = "arn:aws:execute-api:eu-central-1:123456789012:api/live/GET/orders";
        let event = json!({ "httpMethod": method, "headers": headers, "methodArn": arn });
        let mut command = Command::new(&node);
        command
            .args(["run.cjs", &event.to_string()])
            .current_dir(folder.path())
            .env("LATCHKEY_URL", url);
        let output = command.output().await.unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    };
    let cookie = format!("a=b; _barong_session={}", user.session);
    for (method, headers) in [
        ("GET", json!({ "Cookie": cookie, "Host": "orders.example" })),
        (
            "GET",
            json!({ "Authorization": format!("Bearer {}", user.session) }),
        ),
        (
            "POST",
            json!({ "Cookie": cookie, "X-CSRF-Token": user.csrf_token }),
        ),
    ] {
        let outcome = outcome(latchkey.url(), method, headers).await;
        let allowed = &outcome["value"];
        assert_eq!(allowed["principalId"], user.uid, "{outcome}");
        let statement = &allowed["policyDocument"]["Statement"][0];
        assert_eq!(statement["Effect"], "Allow");
        let context = &allowed["context"];
        assert_eq!(
            (&context["role"], &context["level"]),
            (&json!("member"), &json!(0))
        );
        let verifier = service::Verifier::discover(&latchkey.domain(), AUDIENCE).await;
        let token = context["token"].as_str().unwrap();
        let named = verifier.unwrap().user(token).await.unwrap();
        assert_eq!(named.expect("a genuine token").uid, user.uid);
    }
    for (method, headers) in [
        ("GET", json!({})),
        ("GET", Value::Null),
        ("GET", json!({ "Cookie": "_barong_session=forged" })),
        ("POST", json!({ "Cookie": cookie })),
    ] {
        let outcome = outcome(latchkey.url(), method, headers).await;
        assert_eq!(outcome, json!({ "error": "Unauthorized" }), "{method}");
    }
    let outcome = outcome("http://127.0.0.1:9", "GET", json!({ "Cookie": cookie })).await;
    assert!(outcome["error"] != "Unauthorized" && outcome["error"].is_string());
}

#[tokio::test]
async fn the_rust_service_verifies_tokens_of_every_kind_of_key() {
    for (algorithm, key) in KINDS {
        let latchkey = stack(&key()).await;
        let issuer = latchkey.domain();
        let verifier = async |audience| {
            let verifier = service::Verifier::discover(&issuer, audience);
            verifier.await.unwrap()
        };
        let own = verifier(AUDIENCE).await;
        let user = latchkey.signed_up("service").await;
        let token = access_token(&latchkey, &user.session).await;
        let named = own.user(&token).await.unwrap().expect(algorithm);
        assert_eq!((named.uid, named.role), (user.uid, "member".to_owned()));
        for refused in refused_tokens(&latchkey, &token).await {
            assert!(own.user(&refused).await.unwrap().is_none(), "{refused}");
        }
        assert!(verifier("mail").await.user(&token).await.unwrap().is_none());
    }
}
