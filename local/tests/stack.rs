//! The stack with a stand-in for the functions: Lambda, API Gateway, streams, data folder, pages.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use local::{Failure, Log, Options, Stack};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

type Lines = Arc<Mutex<Vec<String>>>;

fn options() -> (Options, Lines) {
    let lines = Lines::default();
    let defaults = Options::default();
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: None,
        binaries: defaults.binaries.join("examples"),
        template: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/template.yaml"),
        log: Log::Captured(lines.clone()),
        ..defaults
    };
    (options, lines)
}

async fn start() -> (Stack, Lines) {
    let (options, lines) = options();
    (Stack::start(options).await.unwrap(), lines)
}

/// Calls the stand-in and returns its report of the call.
async fn report(stack: &Stack, path: &str) -> Value {
    let response = reqwest::get(stack.url().to_owned() + path).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    response.json().await.unwrap()
}

/// Waits for a line that contains the text.
async fn line(lines: &Lines, text: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = lines
            .lock()
            .unwrap()
            .iter()
            .find(|line| line.contains(text))
            .cloned();
        match found {
            Some(line) => return line,
            None if Instant::now() > deadline => {
                panic!("no line with {text:?} in {:?}", lines.lock().unwrap())
            }
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// A temporary folder, removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("latchkey-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn put_grant(stack: &Stack, sk: &str) {
    let item =
        json!({ "TableName": "GrantsTable", "Item": { "pk": { "S": "ID1" }, "sk": { "S": sk } } });
    let response = reqwest::Client::new()
        .post(stack.dynamodb_url())
        .header("x-amz-target", "DynamoDB_20120810.PutItem")
        .header("x-amz-date", "20260101T000000Z")
        .header("content-type", "application/x-amz-json-1.0")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
        )
        .body(item.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.status(),
        StatusCode::OK,
        "{}",
        response.text().await.unwrap()
    );
}

fn exists(process: &Value) -> bool {
    // A zombie process has an empty command line.
    std::fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn a_request_invokes_the_function_of_its_route() {
    let (stack, lines) = start().await;
    let report = report(&stack, "/echo/a%20b?x=1").await;
    let event = &report["event"];
    assert_eq!(event["routeKey"], "GET /echo/{name}");
    assert_eq!(event["pathParameters"], json!({ "name": "a b" }));
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
    // The gateway does not log a request that the function logs.
    line(&lines, "called").await;
    assert!(
        !lines
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains("/echo/")),
        "{:?}",
        lines.lock().unwrap()
    );
    stack.stop().await;
}

#[tokio::test]
async fn a_function_has_only_the_variables_of_lambda_the_template_and_the_stack() {
    let (mut options, _) = options();
    options.env = BTreeMap::from([
        ("IDENTITY_APP_NAME".to_owned(), "Mine".to_owned()),
        ("IDENTITY_MORE".to_owned(), "x".to_owned()),
    ]);
    let stack = Stack::start(options).await.unwrap();
    let report = report(&stack, "/echo/a").await;
    let variables: BTreeMap<String, String> =
        serde_json::from_value(report["variables"].clone()).unwrap();
    assert_eq!(variables["IDENTITY_APP_NAME"], "Mine");
    assert_eq!(variables["IDENTITY_MORE"], "x");
    assert_eq!(variables["IDENTITY_DOMAIN"], stack.public_url());
    assert_eq!(variables["IDENTITY_GRANTS_TABLE"], "GrantsTable");
    assert_eq!(
        variables["IDENTITY_TOKEN_SECRET"],
        "arn:aws:secretsmanager:us-east-1:000000000000:secret:TokenSecret"
    );
    assert_eq!(variables["AWS_LAMBDA_FUNCTION_NAME"], "EchoFunction");
    assert_eq!(variables["AWS_ENDPOINT_URL_DYNAMODB"], stack.dynamodb_url());
    assert!(!variables.contains_key("HOME"));
    stack.stop().await;
}

#[tokio::test]
async fn consecutive_calls_share_an_instance_and_concurrent_calls_do_not() {
    let (stack, _) = start().await;
    let first = report(&stack, "/echo/a").await;
    let second = report(&stack, "/echo/a").await;
    assert_eq!(
        (&first["process"], &second["calls"]),
        (&second["process"], &json!(2))
    );
    let (third, fourth) = tokio::join!(
        report(&stack, "/echo/a?do=pause"),
        report(&stack, "/echo/a?do=pause")
    );
    assert_ne!(third["process"], fourth["process"]);
    stack.stop().await;
}

#[tokio::test]
async fn a_crash_of_a_function_is_a_500_and_the_next_request_starts_a_new_instance() {
    let (stack, lines) = start().await;
    let before = report(&stack, "/echo/a").await;
    let crash = reqwest::get(stack.url().to_owned() + "/echo/a?do=crash")
        .await
        .unwrap();
    assert_eq!(crash.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        crash.text().await.unwrap(),
        r#"{"message":"Internal Server Error"}"#
    );
    assert!(
        line(&lines, "EchoFunction exited while handling a request")
            .await
            .contains("crashing on request")
    );
    assert_ne!(
        report(&stack, "/echo/a").await["process"],
        before["process"]
    );
    stack.stop().await;
}

#[tokio::test]
async fn a_function_that_exceeds_its_timeout_is_a_503_and_its_instance_is_killed() {
    let (stack, _) = start().await;
    let before = report(&stack, "/echo/a").await;
    let hang = reqwest::get(stack.url().to_owned() + "/echo/a?do=hang")
        .await
        .unwrap();
    assert_eq!(hang.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        hang.text().await.unwrap(),
        r#"{"message":"Service Unavailable"}"#
    );
    assert!(!exists(&before["process"]));
    assert_ne!(
        report(&stack, "/echo/a").await["process"],
        before["process"]
    );
    stack.stop().await;
}

#[tokio::test]
async fn a_reported_error_and_a_malformed_response_are_a_500_and_keep_the_instance() {
    let (stack, _) = start().await;
    let before = report(&stack, "/echo/a").await;
    for behaviour in ["report", "nonsense"] {
        let response = reqwest::get(format!("{}/echo/a?do={behaviour}", stack.url()))
            .await
            .unwrap();
        assert_eq!(
            response.status(),
            StatusCode::INTERNAL_SERVER_ERROR,
            "{behaviour}"
        );
    }
    assert_eq!(
        report(&stack, "/echo/a").await["process"],
        before["process"]
    );
    let reported = stack
        .invoke("EchoFunction", json!({ "do": "report" }))
        .await
        .unwrap_err();
    assert_eq!(
        reported,
        Failure::Reported(
            json!({ "errorType": "Requested", "errorMessage": "an error on request" })
        )
    );
    stack.stop().await;
}

#[tokio::test]
async fn the_output_of_a_function_that_does_not_start_is_logged() {
    let (mut options, lines) = options();
    options.env = BTreeMap::from([(
        "IDENTITY_FAIL_AT_START".to_owned(),
        "no such language".to_owned(),
    )]);
    let stack = Stack::start(options).await.unwrap();
    let response = reqwest::get(stack.url().to_owned() + "/echo/a")
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        line(&lines, "EchoFunction did not start")
            .await
            .contains("invalid configuration: no such language")
    );
    stack.stop().await;
}

#[tokio::test]
async fn no_function_outlives_its_stack() {
    let (stack, _) = start().await;
    let process = report(&stack, "/echo/a").await["process"].clone();
    stack.stop().await;
    assert!(!exists(&process));

    let (stack, _) = start().await;
    let process = report(&stack, "/echo/a").await["process"].clone();
    drop(stack);
    let deadline = Instant::now() + Duration::from_secs(5);
    while exists(&process) {
        assert!(Instant::now() < deadline, "{process} is still running");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn unknown_routes_and_large_bodies_return_the_errors_of_api_gateway() {
    let (stack, _) = start().await;
    let client = reqwest::Client::new();
    for (method, path) in [
        ("GET", "/nothing"),
        ("DELETE", "/echo"),
        ("HEAD", "/echo/a"),
        ("GET", "/echo/a/"),
        ("GET", "/echo/"),
    ] {
        let request = client.request(method.parse().unwrap(), stack.url().to_owned() + path);
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::NOT_FOUND,
            "{method} {path}"
        );
    }
    let response = client
        .post(stack.url().to_owned() + "/echo")
        .body(vec![0; 10 * 1024 * 1024 + 1])
        .send()
        .await;
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        response.text().await.unwrap(),
        r#"{"message":"Request Entity Too Large"}"#
    );
    stack.stop().await;
}

#[tokio::test]
async fn cors_allows_only_the_configured_origins() {
    let (mut options, _) = options();
    options.cors_origins = vec![
        "https://a.example.com".to_owned(),
        "https://b.example.com".to_owned(),
    ];
    let stack = Stack::start(options).await.unwrap();
    let client = reqwest::Client::new();
    for (origin, allowed) in [
        ("https://b.example.com", Some("https://b.example.com")),
        ("https://c.example.com", None),
    ] {
        let request = client
            .get(stack.url().to_owned() + "/echo/a")
            .header("origin", origin);
        let response = request.send().await.unwrap();
        let header = response
            .headers()
            .get("access-control-allow-origin")
            .map(|value| value.to_str().unwrap());
        assert_eq!(header, allowed);
        // No other origin can read the mailbox.
        let request = client
            .get(stack.url().to_owned() + "/_local/mailbox.json")
            .header("origin", origin);
        assert!(
            !request
                .send()
                .await
                .unwrap()
                .headers()
                .contains_key("access-control-allow-origin")
        );
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_function_receives_the_stream_records_that_match_its_filter() {
    let (stack, lines) = start().await;
    put_grant(&stack, "SESSION#1").await;
    put_grant(&stack, "MAIL#1").await;
    line(&lines, "called").await;
    stack.stop().await;
    assert_eq!(
        lines
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains("called"))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_record_that_was_not_delivered_is_delivered_after_a_restart() {
    let folder = Folder::new("restart");
    let run = async |broken: bool| {
        let (mut options, lines) = options();
        options.data_dir = Some(folder.0.clone());
        if broken {
            options.env =
                BTreeMap::from([("IDENTITY_FAIL_AT_START".to_owned(), "broken".to_owned())]);
        }
        (Stack::start(options).await.unwrap(), lines)
    };
    let (stack, lines) = run(true).await;
    put_grant(&stack, "MAIL#1").await;
    line(&lines, "failed to handle a record. Retrying").await;
    stack.stop().await;

    let (stack, lines) = run(false).await;
    line(&lines, "called").await;
    stack.stop().await;

    let (stack, lines) = run(false).await;
    put_grant(&stack, "MAIL#2").await;
    line(&lines, "called").await;
    stack.stop().await;
    assert_eq!(
        lines
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains("called"))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_data_folder_that_another_stack_uses_is_rejected() {
    let folder = Folder::new("shared");
    let start = async || {
        let (mut options, _) = options();
        options.data_dir = Some(folder.0.clone());
        Stack::start(options).await
    };
    let stack = start().await.unwrap();
    let error = start().await.err().unwrap().to_string();
    assert!(
        error.contains("Another stack is using the data folder") && error.contains("--data-dir"),
        "{error}"
    );
    stack.stop().await;
    start().await.unwrap().stop().await;
}

#[tokio::test]
async fn a_data_folder_with_other_tables_is_rejected() {
    let folder = Folder::new("tables");
    let start = async |template: PathBuf| {
        let (mut options, _) = options();
        options.data_dir = Some(folder.0.clone());
        options.template = template;
        Stack::start(options).await
    };
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/template.yaml");
    start(original.clone()).await.unwrap().stop().await;
    let changed = folder.0.join("changed.yaml");
    let text = std::fs::read_to_string(original).unwrap();
    std::fs::write(
        &changed,
        text.replace("AttributeName: expires_at", "AttributeName: other"),
    )
    .unwrap();
    let error = start(changed).await.err().unwrap().to_string();
    assert!(
        error.contains("The table GrantsTable in the data folder does not match the template"),
        "{error}"
    );
}

#[tokio::test]
async fn the_error_for_a_port_in_use_names_the_option_to_change() {
    let (stack, _) = start().await;
    let (mut options, _) = options();
    options.listen = stack.url().trim_start_matches("http://").parse().unwrap();
    let error = Stack::start(options).await.err().unwrap().to_string();
    assert!(
        error.contains("is in use") && error.contains("--listen 127.0.0.1:0"),
        "{error}"
    );
    stack.stop().await;
}

#[tokio::test]
async fn a_generated_secret_is_stable_and_has_no_previous_version() {
    let (stack, _) = start().await;
    let read = async |body: Value| {
        let request = reqwest::Client::new()
            .post(stack.aws_url())
            .header("x-amz-target", "secretsmanager.GetSecretValue");
        let response = request.body(body.to_string()).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    let id = "arn:aws:secretsmanager:us-east-1:000000000000:secret:TokenSecret";
    let (status, secret) = read(json!({ "SecretId": id })).await;
    assert_eq!(status, StatusCode::OK);
    let value = secret["SecretString"].as_str().unwrap();
    assert!(value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(
        read(json!({ "SecretId": id, "VersionStage": "AWSCURRENT" }))
            .await
            .1["SecretString"],
        value
    );
    let (status, previous) = read(json!({ "SecretId": id, "VersionStage": "AWSPREVIOUS" })).await;
    assert_eq!(
        (status, &previous["__type"]),
        (StatusCode::BAD_REQUEST, &json!("ResourceNotFoundException"))
    );
    stack.stop().await;
}

#[tokio::test]
async fn pages_load_nothing_from_other_origins_and_tokens_are_not_logged() {
    let (stack, lines) = start().await;
    for path in ["/?reset_token=s3cret", "/_local/mailbox?reset_token=s3cret"] {
        let response = reqwest::get(stack.url().to_owned() + path).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        let page = response.text().await.unwrap();
        assert!(
            !page.contains("http://") && !page.contains("https://") && !page.contains("s3cret"),
            "{path}"
        );
    }
    let get = async |path: &str| reqwest::get(stack.url().to_owned() + path).await.unwrap();
    let policy = format!(
        "{:?}",
        get("/_local/api").await.headers()["content-security-policy"]
    );
    assert!(policy.contains("script-src 'self';"), "{policy}");
    let script = get("/_local/api.js").await.text().await.unwrap();
    assert!(script.contains("/_local/openapi.yaml"));
    for asset in ["swagger-ui-bundle.js", "swagger-ui.css"] {
        let status = get(&format!("/_local/swagger/{asset}")).await.status();
        assert_eq!(status, StatusCode::OK, "{asset}");
    }
    // The home page leads to every operation in the explorer.
    let home = get("/").await.text().await.unwrap();
    for operation in ["session-create", "otp-enable", "auth-get"] {
        assert!(home.contains(&format!("/{operation}\">")), "{operation}");
    }
    let document = reqwest::get(stack.url().to_owned() + "/_local/openapi.yaml")
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(document.starts_with("openapi: 3.1"));
    reqwest::get(stack.url().to_owned() + "/nothing?reset_token=s3cret")
        .await
        .unwrap();
    line(&lines, "GET    /nothing 404").await;
    assert!(
        !lines
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains("s3cret"))
    );
    stack.stop().await;
}

#[tokio::test]
async fn the_mailbox_is_kept_across_restarts_until_it_is_emptied() {
    let folder = Folder::new("mailbox");
    let start = async || {
        let (mut options, _) = options();
        options.data_dir = Some(folder.0.clone());
        Stack::start(options).await.unwrap()
    };
    let list = async |stack: &Stack| -> Value {
        reqwest::get(stack.url().to_owned() + "/_local/mailbox.json")
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    let client = reqwest::Client::new();

    let stack = start().await;
    let mail = json!({
        "FromEmailAddress": "noreply@example.com",
        "Destination": { "ToAddresses": ["ann@example.com"] },
        "Content": { "Simple": { "Subject": { "Data": "Hello" }, "Body": { "Text": { "Data": "text" } } } },
    });
    let sent = client
        .post(stack.aws_url().to_owned() + "/v2/email/outbound-emails")
        .json(&mail)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), StatusCode::OK);
    stack.stop().await;

    let stack = start().await;
    assert_eq!(list(&stack).await["messages"][0]["subject"], "Hello");
    let emptied = client
        .delete(stack.url().to_owned() + "/_local/mailbox.json")
        .send()
        .await
        .unwrap();
    assert_eq!(emptied.status(), StatusCode::NO_CONTENT);
    stack.stop().await;

    let stack = start().await;
    assert_eq!(list(&stack).await, json!({ "messages": [] }));
    stack.stop().await;
}
