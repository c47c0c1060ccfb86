//! Fakes of the services outside AWS: the four captcha providers and the list of breached
//! passwords. The response depends only on the request, so concurrent tests do not interfere.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex},
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header::LOCATION},
    response::{IntoResponse, Response},
};
use data_encoding::HEXUPPER;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Latchkey, stack::spawn};

/// The secret key of every captcha, and the name of the secret that holds it.
pub const SECRET: &str = "captcha-key";
pub const SECRET_NAME: &str = "CaptchaSecret";
/// The public key of every captcha.
pub const ID: &str = "captcha-id";

pub const PROVIDERS: [&str; 4] = ["recaptcha", "hcaptcha", "turnstile", "geetest"];

/// Solutions that are rejected, named after the provider's response.
pub const REFUSED: [&str; 7] = [
    "no", "unclear", "garbage", "empty", "error", "redirect", "long",
];

/// A password in the list of breached passwords.
pub const BREACHED: &str = "Breached-Horse-7-Battery";
/// A password in the list with a count of 0, which marks padding.
pub const PADDING: &str = "Padding-Horse-7-Battery";
/// Passwords for which the service returns no valid list.
pub const UNANSWERED: [&str; 4] = [
    "Error-Horse-7-Battery",
    "Garbage-Horse-7-Battery",
    "Redirect-Horse-7-Battery",
    "Never-Horse-7-Battery",
];

/// `GeeTest`'s signature of `challenge-1`: MD5 of the key, `geetest` and the challenge.
const SIGNATURE: &str = "90da68eea680131d576949e998fb4d7f";
/// MD5 of a solution: how `GeeTest` confirms it.
const CONFIRMED: [(&str, &str); 4] = [
    ("yes", "a6105c0a611b41b08f1209506350279e"),
    ("error", "cb5e100e5a9a3e7f6d1fd97512215282"),
    ("redirect", "f17ca2c829680ada2fec9fc87bc5f606"),
    ("long", "0f5264038205edfb1ac05fbb0e8c5e94"),
];
/// The value that `GeeTest` returns at registration, and the challenge that results: MD5 of that
/// value and the key.
const ORIGIN: &str = "origin-1";
pub const CHALLENGE: &str = "b6dfba86446f780236e1eecfc6e308b5";

/// A request that the services received.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    pub method: String,
    pub path: String,
    /// The fields of the query and of the body.
    pub fields: BTreeMap<String, String>,
    pub headers: HeaderMap,
}

pub struct ExternalServices {
    pub url: String,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl ExternalServices {
    pub async fn start() -> Self {
        let received = Arc::<Mutex<Vec<ReceivedRequest>>>::default();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&received));
        let listener = spawn(TcpListener::bind("127.0.0.1:0"))
            .await
            .unwrap()
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        spawn(async move { axum::serve(listener, router).await });
        Self { url, received }
    }

    /// Starts a stack with a captcha of that provider and further variables.
    pub async fn stack_with_captcha(&self, provider: &str, more: &[(&str, &str)]) -> Latchkey {
        let url = if provider == "geetest" {
            self.url.clone()
        } else {
            format!("{}/siteverify", self.url)
        };
        let captcha = [
            ("IDENTITY_CAPTCHA", provider),
            ("IDENTITY_CAPTCHA_ID", ID),
            ("IDENTITY_CAPTCHA_SECRET_ARN", SECRET_NAME),
            ("IDENTITY_CAPTCHA_URL", &url),
        ];
        Latchkey::start(&[&captcha, more].concat()).await
    }

    /// Starts a stack that looks passwords up in the list of breached passwords.
    pub async fn stack_with_breach_check(&self) -> Latchkey {
        let url = format!("{}/range/", self.url);
        Latchkey::start(&[
            ("IDENTITY_BREACHED_PASSWORDS", "hibp"),
            ("IDENTITY_BREACHED_PASSWORDS_URL", &url),
        ])
        .await
    }

    /// The requests received so far.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.received.lock().unwrap().clone()
    }
}

/// A solution, as the provider's widget gives it to a front end.
pub fn solution(provider: &str, word: &str) -> Value {
    match provider {
        "geetest" => {
            json!({ "geetest_challenge": "challenge-1", "geetest_validate": SIGNATURE, "geetest_seccode": word })
        }
        _ => json!(word),
    }
}

/// SHA-1 in upper-case hexadecimal digits.
pub fn sha1(password: &str) -> String {
    HEXUPPER.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()).as_ref())
}

async fn answer(
    State(received): State<Arc<Mutex<Vec<ReceivedRequest>>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = format!(
        "http://x/?{}&{}",
        uri.query().unwrap_or_default(),
        str::from_utf8(&body).unwrap()
    );
    let fields: BTreeMap<String, String> = Url::parse(&text)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect();
    let path = uri.path().to_owned();
    received.lock().unwrap().push(ReceivedRequest {
        method: method.to_string(),
        path: path.clone(),
        fields: fields.clone(),
        headers,
    });
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    match (method.as_str(), path.as_str()) {
        ("POST", "/siteverify") => {
            let no = json!({ "success": false, "error-codes": ["invalid-input-response"] });
            verify(field("response"), &json!({ "success": true }), &no).await
        }
        ("POST", "/validate.php") => {
            let yes = json!({ "seccode": confirmed(field("seccode")) });
            verify(field("seccode"), &yes, &json!({ "seccode": "false" })).await
        }
        (_, "/redirected") => json!({ "success": true, "seccode": confirmed("redirect") })
            .to_string()
            .into_response(),
        ("GET", "/register.php") => match field("gt") {
            ID => json!({ "challenge": ORIGIN }).to_string().into_response(),
            "plain" => ORIGIN.into_response(),
            "zero" => json!({ "challenge": "0" }).to_string().into_response(),
            "page" => "<html>not a challenge</html>".into_response(),
            _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        },
        ("GET", path) => match path.strip_prefix("/range/") {
            Some(prefix) => range(prefix).await,
            None => StatusCode::NOT_FOUND.into_response(),
        },
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn confirmed(word: &str) -> Option<&'static str> {
    CONFIRMED
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, digest)| *digest)
}

async fn verify(word: &str, yes: &Value, no: &Value) -> Response {
    match word {
        "unclear" => json!({ "success": "true", "seccode": true })
            .to_string()
            .into_response(),
        "garbage" => "<html>yes</html>".into_response(),
        "empty" => "".into_response(),
        "error" => (StatusCode::INTERNAL_SERVER_ERROR, yes.to_string()).into_response(),
        "redirect" => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/redirected")]).into_response(),
        "long" => (yes.to_string() + &*" ".repeat(70_000)).into_response(),
        "never" => std::future::pending().await,
        word if word.starts_with("yes") => yes.to_string().into_response(),
        _ => no.to_string().into_response(),
    }
}

/// A response in the format of Have I Been Pwned: the rest of each hash and its count, with filler
/// entries.
async fn range(prefix: &str) -> Response {
    let [error, garbage, redirect, never] =
        UNANSWERED.map(|password| sha1(password)[..5] == *prefix);
    if error {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            list(&[(sha1(UNANSWERED[0]), 1)]),
        )
            .into_response();
    }
    if garbage {
        return "<html>busy</html>".into_response();
    }
    if redirect {
        return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/redirected")]).into_response();
    }
    if never {
        return std::future::pending().await;
    }
    let mut entries: Vec<(String, u32)> = (0..2000)
        .map(|number| (sha1(&number.to_string()), 1))
        .collect();
    entries.extend(
        [(sha1(BREACHED), 42), (sha1(PADDING), 0)]
            .into_iter()
            .filter(|(hash, _)| hash.starts_with(prefix)),
    );
    list(&entries).into_response()
}

fn list(entries: &[(String, u32)]) -> String {
    entries
        .iter()
        .fold(String::new(), |mut list, (hash, count)| {
            write!(list, "{}:{count}\r\n", &hash[5..]).unwrap();
            list
        })
}
