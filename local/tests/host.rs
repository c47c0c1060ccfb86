//! Pages of foreign sites in the developer's browser.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use local::{Log, Options, Stack};
use reqwest::{Client, StatusCode};
use std::path::Path;

async fn stack() -> Stack {
    let defaults = Options::default();
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: None,
        binaries: defaults.binaries.join("examples"),
        template: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/template.yaml"),
        cors_origins: vec!["http://app.example:8080".to_owned()],
        log: Log::Captured(std::sync::Arc::default()),
        ..defaults
    };
    Stack::start(options).await.unwrap()
}

/// The status of a request with this header.
async fn status(url: &str, name: &str, value: &str) -> StatusCode {
    let request = Client::new().get(url).header(name, value);
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn a_host_name_that_a_foreign_site_points_to_the_stack_is_rejected() {
    let stack = stack().await;
    let api = stack.url().to_owned();
    for url in [
        api.clone() + "/_local/mailbox.json",
        api.clone() + "/_local/api/",
        api.clone() + "/report",
        api.clone(),
        stack.aws_url().to_owned(),
        stack.dynamodb_url().to_owned(),
    ] {
        assert_eq!(
            status(&url, "host", "attacker.example:3000").await,
            StatusCode::MISDIRECTED_REQUEST,
            "{url}"
        );
    }
    for host in ["localhost", "127.0.0.1", "app.example"] {
        let mailbox = api.clone() + "/_local/mailbox.json";
        assert_eq!(status(&mailbox, "host", host).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn pages_cannot_call_the_aws_services() {
    let stack = stack().await;
    for url in [stack.aws_url(), stack.dynamodb_url()] {
        for origin in ["https://attacker.example", "null", stack.url()] {
            assert_eq!(
                status(url, "origin", origin).await,
                StatusCode::FORBIDDEN,
                "{url}"
            );
        }
    }
}
