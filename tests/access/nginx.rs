//! docs/examples/nginx.conf in a real nginx, between clients, the stack and a service

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use shared::{
    domain::{email_address::AccountKey, token_id::TokenId, user::Uid},
    platform::clock,
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};

use crate::harness::{
    Answer, Latchkey, PASSWORD, Request, User,
    gateway::{Server, Service, filled_in, free_port, installed},
    workspace,
};

/// The client's address, in another /16 than that of nginx.
const CLIENT: [u8; 4] = [127, 77, 0, 1];

fn program() -> Option<PathBuf> {
    installed("nginx", "apt-get install nginx")
}

/// A stack, nginx in front of it, and a service that records the requests that reach it.
struct Guarded {
    latchkey: Latchkey,
    client: reqwest::Client,
    nginx: Server,
    service: Service,
}

impl Guarded {
    async fn start(nginx: &Path, name: &str, variables: &[(&str, &str)]) -> Self {
        let latchkey = Latchkey::start(variables).await;
        let service = Service::start("served").await;
        let port = free_port();
        let documented = fs::read_to_string(workspace().join("docs/examples/nginx.conf")).unwrap();
        let site = filled_in(
            &documented,
            &[
                ("listen 80;", &format!("listen 127.0.0.1:{port};")),
                (
                    "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
                    latchkey.url(),
                ),
                ("http://127.0.0.1:8080", &service.url),
            ],
        );
        let nginx = Server::nginx(nginx, name, &site, port).await;
        let client = reqwest::Client::builder()
            .local_address(IpAddr::from(CLIENT))
            .user_agent("browser")
            .build()
            .unwrap();
        Self {
            latchkey,
            client,
            nginx,
            service,
        }
    }

    /// A user who signed up at the stack directly.
    async fn signed_up(&self, name: &str) -> User {
        let fields = [
            ("email", format!("{name}@example.com")),
            ("password", PASSWORD.to_owned()),
        ];
        let request = self
            .client
            .post(format!("{}/identity/users", self.latchkey.url()))
            .form(&fields);
        User::from_answer(&Request::from(request).send().await, PASSWORD)
    }

    fn request(&self, method: &str, path: &str) -> Request {
        self.client
            .request(
                method.parse().unwrap(),
                format!("{}{path}", self.nginx.url()),
            )
            .into()
    }

    #[track_caller]
    fn refused(&self, answer: &Answer, key: &str) {
        answer.is_refused(401, &[key]);
        assert_eq!(answer.header("authorization"), None);
        assert_eq!(self.service.reached(), Vec::<Value>::new());
    }

    /// Asserts that one request reached the service, as this user's, and returns it.
    async fn passed(&self, answer: &Answer, user: &User) -> Value {
        assert_eq!(
            (answer.status, answer.text()),
            (200, "served"),
            "{answer:?}"
        );
        let request = self.service.reached_once();
        let token = request["headers"]["authorization"]
            .as_str()
            .unwrap()
            .strip_prefix("Bearer ")
            .unwrap();
        let claims = self
            .latchkey
            .verified(token)
            .await
            .expect("a genuine token");
        assert_eq!(claims["uid"], user.uid);
        request
    }
}

#[tokio::test]
async fn only_requests_with_a_valid_session_reach_the_service() {
    let Some(nginx) = program() else { return };
    let guarded = Guarded::start(
        &nginx,
        "nginx",
        &[("IDENTITY_TRUSTED_PROXIES", "127.0.0.1")],
    )
    .await;
    let user = guarded.signed_up("nginx").await;

    let answer = guarded
        .request("GET", "/orders?reset_token=1%20")
        .cookie(&user.session)
        .send()
        .await;
    let request = guarded.passed(&answer, &user).await;
    assert_eq!(
        (&request["method"], &request["path"]),
        (&json!("GET"), &json!("/orders?reset_token=1%20"))
    );
    // nginx does not forward the session.
    assert_eq!(request["headers"].get("cookie"), None);
    assert!(!request.to_string().contains(&user.session));
    // Latchkey does not receive the path.
    assert!(
        guarded
            .latchkey
            .log()
            .iter()
            .all(|line| !line.contains("orders"))
    );

    let answer = guarded
        .request("GET", "/")
        .bearer(&user.session)
        .send()
        .await;
    guarded.passed(&answer, &user).await;

    guarded.refused(
        &guarded.request("GET", "/orders").send().await,
        "authz.invalid_session",
    );
    guarded.refused(
        &guarded
            .request("GET", "/orders")
            .cookie("forged")
            .send()
            .await,
        "authz.invalid_session",
    );
    // nginx's internal location is not reachable from outside.
    let answer = guarded
        .request("GET", "/_latchkey")
        .cookie(&user.session)
        .send()
        .await;
    assert_eq!((answer.status, answer.header("authorization")), (404, None));
    guarded.latchkey.set_state(&user, "banned").await;
    guarded.refused(
        &guarded
            .request("GET", "/orders")
            .cookie(&user.session)
            .send()
            .await,
        "authz.user_not_active",
    );
}

#[tokio::test]
async fn a_state_changing_request_requires_the_csrf_token_and_keeps_its_body() {
    let Some(nginx) = program() else { return };
    let guarded = Guarded::start(
        &nginx,
        "nginx-csrf",
        &[("IDENTITY_TRUSTED_PROXIES", "127.0.0.1")],
    )
    .await;
    let user = guarded.signed_up("nginx-csrf").await;
    let post = || {
        guarded
            .request("POST", "/orders")
            .cookie(&user.session)
            .body("text/plain", "an order".repeat(4000))
    };
    guarded.refused(&post().send().await, "authz.missing_csrf_token");
    guarded.refused(
        &post().header("x-original-method", "GET").send().await,
        "authz.missing_csrf_token",
    );
    guarded.refused(
        &post().header("x-forwarded-method", "GET").send().await,
        "authz.missing_csrf_token",
    );
    guarded.refused(
        &post().header("x-csrf-token", "another").send().await,
        "authz.csrf_token_mismatch",
    );
    let answer = post().header("x-csrf-token", &user.csrf_token).send().await;
    let request = guarded.passed(&answer, &user).await;
    assert_eq!(
        (&request["method"], &request["body"]),
        (&json!("POST"), &json!("an order".repeat(4000)))
    );
}

#[tokio::test]
async fn the_authorization_header_of_the_client_never_reaches_the_service() {
    let Some(nginx) = program() else { return };
    let guarded = Guarded::start(
        &nginx,
        "nginx-authorization",
        &[("IDENTITY_TRUSTED_PROXIES", "127.0.0.1")],
    )
    .await;
    let user = guarded.signed_up("nginx-own").await;
    let other = guarded.signed_up("nginx-other").await;
    // Another user's access token, which the service would accept.
    let answer = guarded
        .request("GET", "/")
        .cookie(&other.session)
        .send()
        .await;
    let foreign = guarded.passed(&answer, &other).await["headers"]["authorization"]
        .as_str()
        .unwrap()
        .to_owned();
    // A bearer token takes precedence over the cookie, and an access token is not a session.
    let answer = guarded
        .request("GET", "/")
        .cookie(&user.session)
        .header("authorization", &foreign)
        .send()
        .await;
    guarded.refused(&answer, "authz.invalid_session");
    for own in [
        foreign.replace("Bearer", "Basic"),
        format!("Token {foreign}"),
        "Basic dXNlcjpwYXNz".to_owned(),
    ] {
        let answer = guarded
            .request("GET", "/")
            .cookie(&user.session)
            .header("authorization", own)
            .send()
            .await;
        guarded.passed(&answer, &user).await;
    }
}

#[tokio::test]
async fn only_a_trusted_gateway_can_report_the_address_of_the_client() {
    let Some(nginx) = program() else { return };
    let guarded = Guarded::start(
        &nginx,
        "nginx-trusted",
        &[
            ("IDENTITY_TRUSTED_PROXIES", "127.0.0.1"),
            ("IDENTITY_SESSION_BINDING", "client"),
        ],
    )
    .await;
    let user = guarded.signed_up("nginx-address").await;
    let claimed = guarded
        .request("GET", "/")
        .cookie(&user.session)
        .header("x-forwarded-for", "198.51.100.1");
    guarded.passed(&claimed.send().await, &user).await;
    // A client in another network that claims the user's address.
    let remote = Request::from(
        reqwest::Client::builder()
            .user_agent("browser")
            .local_address(IpAddr::from([127, 78, 0, 1]))
            .build()
            .unwrap()
            .get(guarded.nginx.url()),
    );
    let answer = remote
        .cookie(&user.session)
        .header("x-forwarded-for", "127.77.0.1")
        .send()
        .await;
    guarded.refused(&answer, "authz.client_session_mismatch");

    let variables = [("IDENTITY_SESSION_BINDING", "client")];
    let guarded = Guarded::start(&nginx, "nginx-untrusted", &variables).await;
    let user = guarded.signed_up("nginx-address").await;
    let answer = guarded
        .request("GET", "/")
        .cookie(&user.session)
        .send()
        .await;
    guarded.refused(&answer, "authz.client_session_mismatch");
}

#[tokio::test]
async fn without_latchkey_no_request_reaches_the_service() {
    let Some(nginx) = program() else { return };
    let variables = [
        ("IDENTITY_TRUSTED_PROXIES", "127.0.0.1"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9"),
    ];
    let guarded = Guarded::start(&nginx, "nginx-failure", &variables).await;
    let now = clock::now();
    let claims = Claims::new(
        Purpose::Session,
        TokenId::generate(),
        Uid::generate("ID"),
        AccountKey::of("a@example.com"),
        now,
        now + 60,
    );
    let keys = SigningKeys::from_secrets("any", None).unwrap();
    let answer = guarded
        .request("GET", "/")
        .cookie(&keys.sign(&claims).unwrap())
        .send()
        .await;
    assert_eq!(
        (answer.status, answer.header("authorization")),
        (500, None),
        "{answer:?}"
    );
    assert_eq!(guarded.service.reached(), Vec::<Value>::new());
}
