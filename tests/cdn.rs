//! A CDN in front of the API: requests that bypass it, and the address of its viewer

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::harness::{
    Answer, Latchkey, PASSWORD, Request, Template, User, event, eventually, latchkey, workspace,
};

const SECRET: &str = "x-origin-verify";
const VIEWER: &str = "cloudfront-viewer-address";
const FIRST: &str = "first-secret-of-the-cdn";
const SECOND: &str = "second-secret-of-the-cdn";
const WRONG: &str = "Wrong-Horse-7-Battery";

/// Binaries with a route that need no CDN: they use neither the client's address nor a session, or
/// gateways call them.
const EXEMPT: [&str; 11] = [
    "auth",
    "captcha-register-geetest",
    "configs",
    "discovery",
    "jwks",
    "pages",
    "passkey-related-origins",
    "password-validate",
    "ping",
    "time",
    "version",
];

/// A stack behind a CDN with these secrets.
async fn behind_a_cdn(secrets: &[&str], more: &[(&str, &str)]) -> Latchkey {
    let hashes: Vec<String> = secrets
        .iter()
        .map(|secret| shared::platform::random::sha256_hex(secret))
        .collect();
    let hashes = hashes.join(",");
    let variables: Vec<_> = more
        .iter()
        .copied()
        .chain([("IDENTITY_CDN_SECRET_SHA256", hashes.as_str())])
        .collect();
    Latchkey::start(&variables).await
}

/// The request as the CDN sends it for a viewer.
fn through_cdn(request: Request, viewer: &str) -> Request {
    request.header(SECRET, FIRST).header(VIEWER, viewer)
}

/// A user who signed up through the CDN.
async fn signed_up(latchkey: &Latchkey, name: &str, viewer: &str) -> User {
    let body = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
    let request = latchkey.post("/identity/users").json(&body);
    User::from_answer(&through_cdn(request, viewer).send().await, PASSWORD)
}

/// [`signed_up`], as soon as the confirmation mail is sent, so that nothing changes the tables any
/// more.
async fn settled(latchkey: &Latchkey, name: &str) -> User {
    let user = signed_up(latchkey, name, "198.51.100.10:46532").await;
    eventually("the mail", || async {
        let mails = latchkey.queued_mails(&user).await;
        let is_sent = mails.iter().all(|mail| mail.contains_key("settled_at"));
        (!mails.is_empty() && is_sent).then_some(())
    })
    .await;
    user
}

#[track_caller]
fn is_denied(answer: &Answer) {
    answer.is_refused(403, &["authz.direct_access_denied"]);
}

/// Method and path of the routes of the functions that the predicate selects by their binary.
fn routes(is_wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let functions = Template::read().functions.into_iter();
    functions
        .filter(|function| is_wanted(&function.binary))
        .flat_map(|function| function.routes)
        .map(|(method, path)| {
            (
                method,
                path.replace("{topic}", "all").replace("{id}", "none"),
            )
        })
        .collect()
}

async fn me(latchkey: &Latchkey, user: &User, viewer: Option<&str>) -> Answer {
    let request = latchkey
        .by(user, "GET", "/resource/users/me")
        .header(SECRET, FIRST);
    match viewer {
        Some(viewer) => request.header(VIEWER, viewer).send().await,
        None => request.send().await,
    }
}

#[test]
fn every_function_with_a_route_checks_the_cdn_or_is_exempt() {
    let mut exempt = BTreeSet::new();
    for function in Template::read().functions {
        let path = format!("functions/src/bin/{}.rs", function.binary);
        let code = fs::read_to_string(workspace().join(path)).unwrap();
        let checks = code.contains("let cdn = Cdn::new(cdn_secrets(&variables)?);")
            && code.contains(" serve_behind(cdn, ");
        assert_ne!(
            checks,
            function.routes.is_empty() || EXEMPT.contains(&function.binary.as_str()),
            "{}",
            function.binary
        );
        if !checks && !function.routes.is_empty() {
            exempt.insert(function.binary);
        }
    }
    assert_eq!(exempt, EXEMPT.map(str::to_owned).into());
}

#[tokio::test]
async fn a_request_that_bypasses_the_cdn_is_refused_before_any_other_check() {
    let limit = ("IDENTITY_REQUESTS_PER_MINUTE", "60");
    let latchkey = behind_a_cdn(&[FIRST], &[limit]).await;
    let user = settled(&latchkey, "cdn-bypass").await;
    let before = latchkey.stored().await;
    let routes = routes(|binary| !EXEMPT.contains(&binary));
    assert!(routes.len() > 18, "{routes:?}");
    for (method, path) in &routes {
        let request = || latchkey.by(&user, method, path);
        let hash = shared::platform::random::sha256_hex(FIRST);
        for direct in [
            request(),
            request().header(VIEWER, "198.51.100.10:46532"),
            request().header(SECRET, ""),
            request().header(SECRET, SECOND),
            request().header(SECRET, hash),
            request().header(SECRET, FIRST).header(SECRET, FIRST),
            request().header("origin", "https://evil.example"),
            request().body("text/plain", "x"),
        ] {
            is_denied(&direct.send().await);
        }
    }
    let body = [("email", "cdn-new@example.com"), ("password", PASSWORD)];
    for valid in [
        latchkey.sign_in(&user.email, PASSWORD),
        latchkey.sign_in(&user.email, WRONG),
        latchkey.post("/identity/users").form(&body),
        latchkey.ask_for_code(&user.email),
        latchkey.change_password(&user, PASSWORD, "Another-Horse-8-Battery"),
        latchkey.sign_out(&user.session),
    ] {
        is_denied(&valid.send().await);
    }
    // A body that is not base64.
    let mut event = event("POST", "/identity/sessions");
    event["body"] = json!("%");
    event["isBase64Encoded"] = json!(true);
    let answer = latchkey.invoke("SessionCreateFunction", event).await;
    let answer = answer.unwrap();
    assert_eq!(answer["statusCode"], 403, "{answer}");
    assert_eq!(
        latchkey.stored().await,
        before,
        "nothing is counted, used or created"
    );
    // The owner's own requests through the CDN work.
    let viewer = "203.0.113.7:443";
    assert_eq!(me(&latchkey, &user, Some(viewer)).await.status, 200);
    let sign_in = latchkey.sign_in(&user.email, PASSWORD);
    let answer = through_cdn(sign_in, viewer).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn operations_that_use_neither_an_address_nor_a_session_answer_without_the_cdn() {
    let latchkey = behind_a_cdn(&[FIRST], &[]).await;
    let user = signed_up(&latchkey, "cdn-exempt", "198.51.100.10:46532").await;
    for (method, path, status) in [
        ("GET", "/identity/ping", 200),
        ("GET", "/identity/time", 200),
        ("GET", "/identity/version", 200),
        ("GET", "/identity/configs", 200),
        ("GET", "/.well-known/jwks.json", 200),
        ("GET", "/.well-known/openid-configuration", 200),
        // No origins are configured.
        ("GET", "/.well-known/webauthn", 404),
        ("GET", "/accounts/sign_in", 200),
        ("GET", "/auth/anything", 200),
        ("POST", "/identity/password/validate", 400),
        // No captcha is configured.
        ("GET", "/identity/users/register_geetest", 404),
    ] {
        let answer = latchkey.by(&user, method, path).send().await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn during_a_rotation_both_secrets_are_accepted() {
    let latchkey = behind_a_cdn(&[SECOND, FIRST], &[]).await;
    let user = signed_up(&latchkey, "cdn-rotation", "198.51.100.10:46532").await;
    let with = |secret: &str| {
        latchkey
            .by(&user, "GET", "/resource/users/me")
            .header(SECRET, secret)
            .header(VIEWER, "198.51.100.10:46532")
    };
    for secret in [FIRST, SECOND] {
        assert_eq!(with(secret).send().await.status, 200, "{secret}");
    }
    for wrong in ["third-secret-of-the-cdn", &format!("{FIRST},{SECOND}")] {
        is_denied(&with(wrong).send().await);
    }
}

#[tokio::test]
async fn the_origin_is_checked_after_the_cdn() {
    let latchkey = behind_a_cdn(&[FIRST], &[]).await;
    let foreign = || {
        latchkey
            .sign_in("nobody@example.com", WRONG)
            .header("origin", "https://evil.example")
    };
    is_denied(&foreign().send().await);
    through_cdn(foreign(), "198.51.100.10:46532")
        .send()
        .await
        .is_refused(403, &["authz.cross_site_request"]);
}

#[tokio::test]
async fn sessions_are_bound_to_the_network_of_the_viewer() {
    let binding = ("IDENTITY_SESSION_BINDING", "client");
    let latchkey = behind_a_cdn(&[FIRST], &[binding]).await;
    for (name, opened, near, far) in [
        (
            "cdn-v4",
            "198.51.100.10:46532",
            &["198.51.7.7:1", "198.51.100.10"][..],
            "203.0.113.7:443",
        ),
        (
            "cdn-v6",
            "2001:db8:0:1:0:0:0:1:46532",
            &["[2001:db8:0:1::9]:443", "2001:db8:0:1::9:443"],
            "2001:db8:0:2::9:443",
        ),
    ] {
        let user = signed_up(&latchkey, name, opened).await;
        for viewer in near {
            let answer = me(&latchkey, &user, Some(viewer)).await;
            assert_eq!(answer.status, 200, "{viewer}: {answer:?}");
        }
        // An unknown address is refused, and the session is kept.
        for unknown in [None, Some("unknown"), Some("2001:db8:0:1:0:0:0:1")] {
            let answer = me(&latchkey, &user, unknown).await;
            answer.is_refused(401, &["authz.client_session_mismatch"]);
        }
        assert_eq!(me(&latchkey, &user, Some(opened)).await.status, 200);
        let answer = me(&latchkey, &user, Some(far)).await;
        answer.is_refused(401, &["authz.client_session_mismatch"]);
        let answer = me(&latchkey, &user, Some(opened)).await;
        answer.is_refused(401, &["authz.invalid_session"]);
    }
}

#[tokio::test]
async fn requests_are_counted_by_the_network_of_the_viewer() {
    let limit = ("IDENTITY_REQUESTS_PER_MINUTE", "4");
    let latchkey = behind_a_cdn(&[FIRST], &[limit]).await;
    for viewers in [
        ["198.51.100.10:1", "198.51.100.10:2", "198.51.100.10"],
        [
            "2001:db8:0:1::1:1",
            "[2001:db8:0:1::2]:1",
            "2001:db8:0:1:0:0:0:3:1",
        ],
    ] {
        // At most one calendar minute ends during the requests.
        let mut admitted = 0;
        for viewer in viewers.iter().cycle().take(12) {
            let request = latchkey.ask_for_code("nobody@example.com");
            let answer = through_cdn(request, viewer).send().await;
            admitted += usize::from(answer.status != 429);
        }
        assert!(admitted == 4 || admitted == 8, "{viewers:?}: {admitted}");
    }
    for host in 1..=12 {
        let request = latchkey.ask_for_code("nobody@example.com");
        let answer = through_cdn(request, &format!("203.0.113.{host}:443"))
            .send()
            .await;
        assert_ne!(answer.status, 429, "{host}");
    }
}

/// The addresses of the user's activities, newest first.
async fn activity_addresses(latchkey: &Latchkey, user: &User) -> Vec<String> {
    let answer = through_cdn(
        latchkey.by(user, "GET", "/resource/users/activity/all"),
        "198.51.100.10:46532",
    )
    .send()
    .await;
    let activities = answer.json();
    let address = |activity: &Value| activity["user_ip"].as_str().unwrap().to_owned();
    activities.as_array().unwrap().iter().map(address).collect()
}

#[tokio::test]
async fn activities_and_log_lines_show_the_viewer_and_never_the_secret() {
    let latchkey = behind_a_cdn(&[FIRST], &[]).await;
    let user = signed_up(&latchkey, "cdn-activity", "198.51.100.10:46532").await;
    let wrong = latchkey.sign_in(&user.email, WRONG);
    through_cdn(wrong, "2001:db8:0:0:0:0:0:1:46532")
        .send()
        .await;
    // The CDN reports no address.
    for _ in 0..2 {
        let unknown = latchkey.sign_in(&user.email, WRONG).header(SECRET, FIRST);
        let answer = unknown.send().await;
        answer.is_refused(404, &["identity.session.invalid_params"]);
    }
    let direct = latchkey.sign_in(&user.email, WRONG).header(SECRET, SECOND);
    is_denied(&direct.send().await);
    assert_eq!(
        activity_addresses(&latchkey, &user).await,
        ["", "", "2001:db8::1", "198.51.100.10"]
    );
    let lines = latchkey.invocations("session-create", "answered", 4).await;
    let addresses: Vec<_> = lines.iter().map(|line| line["address"].clone()).collect();
    // A refused request is logged with the address that API Gateway reports.
    assert_eq!(
        addresses,
        [
            json!("2001:db8::/48"),
            Value::Null,
            Value::Null,
            json!("127.0.0.0/24")
        ]
    );
    let log = latchkey.log();
    let warnings = log
        .iter()
        .filter(|line| line.contains("viewer_address_missing"));
    assert_eq!(warnings.count(), 1, "once per instance");
    let stored = format!("{:?}", latchkey.stored().await);
    for secret in [FIRST, SECOND] {
        assert!(!log.iter().any(|line| line.contains(secret)), "{secret}");
        assert!(!stored.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn without_a_cdn_the_headers_have_no_effect() {
    let latchkey = latchkey().await;
    let user = signed_up(latchkey, "cdn-none", "198.51.100.10:46532").await;
    assert_eq!(activity_addresses(latchkey, &user).await, ["127.0.0.1"]);
}
