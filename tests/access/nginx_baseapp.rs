//! docs/examples/nginx-baseapp.conf in a real nginx, between a browser, a front end, the stack and
//! the other services of an exchange

use std::fs;

use serde_json::{Value, json};

use crate::harness::{
    Answer, Latchkey, PASSWORD, Request, User,
    gateway::{Server, Service, filled_in, free_port, installed},
    workspace,
};

const BARONG: &str = "/api/v2/barong";

struct Exchange {
    latchkey: Latchkey,
    nginx: Server,
    front_end: Service,
    services: Service,
}

impl Exchange {
    /// `None` without nginx.
    async fn start(name: &str) -> Option<Self> {
        let nginx = installed("nginx", "apt-get install nginx")?;
        let port = free_port();
        // Where users open the front end.
        let host = format!("http://127.0.0.1:{port}");
        let variables = [("IDENTITY_ALLOWED_ORIGINS", host.as_str())];
        let latchkey = Latchkey::start(&variables).await;
        let front_end = Service::start("<title>baseapp</title>").await;
        let services = Service::start("served").await;
        let file = workspace().join("docs/examples/nginx-baseapp.conf");
        let text = fs::read_to_string(file).unwrap();
        let site = filled_in(
            &text,
            &[
                ("listen 80;", &format!("listen 127.0.0.1:{port};")),
                (
                    "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
                    latchkey.url(),
                ),
                ("http://127.0.0.1:8081", &front_end.url),
            ],
        )
        .replace("http://127.0.0.1:8080", &services.url);
        let nginx = Server::nginx(&nginx, name, &site, port).await;
        Some(Self {
            latchkey,
            nginx,
            front_end,
            services,
        })
    }

    /// A request of the front end's page in a browser.
    fn request(&self, method: &str, path: &str) -> Request {
        let client = reqwest::Client::builder().user_agent("Mozilla/5.0 baseapp");
        let url = format!("{}{path}", self.nginx.url());
        let request = client
            .build()
            .unwrap()
            .request(method.parse().unwrap(), url);
        Request::from(request)
            .header("origin", self.nginx.url())
            .header("sec-fetch-site", "same-origin")
    }

    fn barong(&self, method: &str, path: &str) -> Request {
        self.request(method, &format!("{BARONG}{path}"))
    }

    async fn signed_up(&self, name: &str) -> User {
        let body = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        let answer = self.barong("POST", "/identity/users").json(&body);
        User::from_answer(&answer.send().await, PASSWORD)
    }

    #[track_caller]
    fn not_reached(&self) {
        assert_eq!(self.services.reached(), Vec::<Value>::new());
        assert_eq!(self.front_end.reached(), Vec::<Value>::new());
    }
}

#[track_caller]
fn is_error(answer: &Answer, status: u16, key: &str) {
    let body: Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(
        (answer.status, body),
        (status, json!({ "errors": [key] })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn the_front_end_uses_the_api_under_barongs_paths() {
    let Some(exchange) = Exchange::start("baseapp").await else {
        return;
    };
    for path in ["/", "/signin", "/static/app.js?v=1"] {
        let answer = exchange.request("GET", path).send().await;
        assert_eq!(answer.text(), "<title>baseapp</title>", "{path}");
        assert_eq!(exchange.front_end.reached_once()["path"], path);
    }
    for path in ["/identity/configs", "/public/configs"] {
        let answer = exchange.barong("GET", path).send().await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.json()["captcha_type"], "none");
    }
    let user = exchange.signed_up("baseapp").await;
    let body = json!({ "email": user.email, "password": PASSWORD });
    let answer = exchange.barong("POST", "/identity/sessions").json(&body);
    let signed_in = User::from_answer(&answer.send().await, PASSWORD);
    let me = exchange.barong("GET", "/resource/users/me");
    let me = me.cookie(&signed_in.session).send().await.json();
    assert_eq!(me["uid"], user.uid);
    for path in ["/resource/labels", "/resource/api_keys?page=1&limit=4"] {
        let answer = exchange.barong("GET", path).cookie(&signed_in.session);
        assert_eq!(answer.send().await.json(), json!([]), "{path}");
    }
    // baseapp sends the whole user to change the language.
    let mut changed = me.clone();
    changed["data"] = json!(r#"{"language":"ru"}"#);
    let change = exchange.barong("PUT", "/resource/users/me").json(&changed);
    let change = change
        .cookie(&signed_in.session)
        .csrf(&signed_in.csrf_token);
    assert_eq!(change.send().await.json()["data"], changed["data"]);
    let activity = "/resource/users/activity/session?page=1&limit=1";
    let answer = exchange.barong("GET", activity).cookie(&signed_in.session);
    let answer = answer.send().await;
    assert_eq!(
        (answer.status, answer.header("per-page")),
        (200, Some("1")),
        "{answer:?}"
    );
    let sign_out = exchange.barong("DELETE", "/identity/sessions");
    let answer = sign_out.cookie(&signed_in.session).send().await;
    assert_eq!(answer.status, 204);
    exchange.not_reached();
}

#[tokio::test]
async fn what_the_service_does_not_have_is_not_found() {
    let Some(exchange) = Exchange::start("baseapp-missing").await else {
        return;
    };
    let user = exchange.signed_up("baseapp-missing").await;
    for path in [
        "/resource/profiles/me",
        "/resource/phones",
        "/resource/documents",
        "/resource/data_storage",
        "/resource/service_accounts/api_keys",
        "/identity/users/access",
        "/public/kyc",
        "/admin/users",
        "/management/users/get",
    ] {
        let answer = exchange.barong("GET", path).cookie(&user.session);
        is_error(&answer.send().await, 404, "record.not_found");
    }
    for (method, path) in [
        ("POST", "/resource/api_keys"),
        ("PATCH", "/resource/api_keys/7a1c"),
        ("DELETE", "/resource/api_keys/7a1c?totp_code=123456"),
    ] {
        let answer = exchange.barong(method, path).cookie(&user.session);
        is_error(&answer.send().await, 404, "record.not_found");
    }
    for path in ["/auth/request", "/.well-known/jwks.json"] {
        let answer = exchange.barong("GET", path).cookie(&user.session);
        let answer = answer.send().await;
        assert_eq!((answer.status, answer.header("authorization")), (404, None));
    }
    exchange.not_reached();
}

#[tokio::test]
async fn private_paths_require_a_session_and_public_ones_do_not() {
    let Some(exchange) = Exchange::start("baseapp-paths").await else {
        return;
    };
    let user = exchange.signed_up("baseapp-paths").await;
    let public = exchange
        .request("GET", "/api/v2/peatio/public/markets?a=b")
        .cookie(&user.session)
        .header("authorization", "Bearer forged");
    assert_eq!(public.send().await.text(), "served");
    let reached = exchange.services.reached_once();
    assert_eq!(reached["path"], "/api/v2/peatio/public/markets?a=b");
    for header in ["cookie", "authorization"] {
        assert_eq!(reached["headers"].get(header), None);
    }

    let orders = |method| exchange.request(method, "/api/v2/peatio/market/orders");
    is_error(&orders("GET").send().await, 401, "authz.invalid_session");
    let post = || {
        orders("POST")
            .cookie(&user.session)
            .body("text/plain", "an order")
    };
    is_error(&post().send().await, 401, "authz.missing_csrf_token");
    exchange.not_reached();
    let posted = post().csrf(&user.csrf_token).send().await;
    for answer in [posted, orders("GET").cookie(&user.session).send().await] {
        assert_eq!(answer.text(), "served", "{answer:?}");
    }
    for reached in exchange.services.reached() {
        let token = reached["headers"]["authorization"].as_str().unwrap();
        let claims = exchange.latchkey.verified(&token["Bearer ".len()..]).await;
        assert_eq!(claims.expect("a genuine token")["uid"], user.uid);
        assert!(!reached.to_string().contains(&user.session));
    }
}
