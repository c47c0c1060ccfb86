//! Bounce and complaint events of SES, which EventBridge delivers to functions.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use local::{Log, Options, Stack};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

type Lines = Arc<Mutex<Vec<String>>>;

async fn start(env: &[(&str, &str)]) -> (Stack, Lines) {
    let lines = Lines::default();
    let defaults = Options::default();
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: None,
        binaries: defaults.binaries.join("examples"),
        template: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/template.yaml"),
        log: Log::Captured(lines.clone()),
        env: env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        ..defaults
    };
    (Stack::start(options).await.unwrap(), lines)
}

async fn send(stack: &Stack, mailbox: &str) {
    let mail = json!({
        "FromEmailAddress": "noreply@example.com",
        "Destination": { "ToAddresses": [format!("{mailbox}@simulator.amazonses.com")] },
        "Content": { "Simple": { "Subject": { "Data": "Hello" }, "Body": { "Text": { "Data": "text" } } } },
        "ConfigurationSetName": "MailConfigurationSet",
    });
    let url = stack.aws_url().to_owned() + "/v2/email/outbound-emails";
    assert!(
        reqwest::Client::new()
            .post(url)
            .json(&mail)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
}

fn count(lines: &Lines, text: &str) -> usize {
    lines
        .lock()
        .unwrap()
        .iter()
        .filter(|line| line.contains(text))
        .count()
}

/// Waits for a line that contains the text.
async fn line(lines: &Lines, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while count(lines, text) == 0 {
        assert!(
            Instant::now() < deadline,
            "no line with {text:?} in {:?}",
            lines.lock().unwrap()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_event_reaches_the_functions_whose_rules_match() {
    let (stack, lines) = start(&[]).await;
    for mailbox in ["complaint", "success", "bounce"] {
        send(&stack, mailbox).await;
    }
    line(&lines, "called").await;
    stack.stop().await;
    assert_eq!(count(&lines, "called"), 1, "{lines:?}");
}

#[tokio::test]
async fn a_failed_event_is_retried_as_often_as_the_template_configures() {
    let (stack, lines) = start(&[("IDENTITY_FAIL_AT_START", "broken")]).await;
    send(&stack, "bounce").await;
    line(
        &lines,
        "FeedbackFunction failed to handle an event and has no retries left",
    )
    .await;
    assert_eq!(
        count(
            &lines,
            "FeedbackFunction failed to handle an event. Retrying"
        ),
        1,
        "{lines:?}"
    );
    stack.stop().await;
}
