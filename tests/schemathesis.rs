//! openapi.yaml against the API, checked by schemathesis

use std::{process::Stdio, time::Duration};

use serde_json::json;
use tokio::process::Command;

use crate::harness::{Latchkey, PASSWORD, gateway::installed, workspace};

/// Duration of the run, in seconds.
const BUDGET: u64 = 60;

#[tokio::test]
async fn schemathesis_finds_nothing() {
    let Some(program) = installed("schemathesis", "pip install schemathesis") else {
        return;
    };
    let latchkey = Latchkey::start(&[
        ("IDENTITY_ARGON2", "m=8192,t=1,p=1"),
        ("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "0"),
    ])
    .await;
    latchkey
        .signed_up_with("-", &json!({ "email": "schemathesis@example.com" }))
        .await;
    let output = Command::new(program)
        .args(["run", "../../openapi.yaml", "--url", latchkey.url()])
        // The same cases in each run, so that a failure is due to a change.
        .args(["--seed", "1", "--max-time", &BUDGET.to_string()])
        .current_dir(workspace().join("tests/schemathesis"))
        .env("LATCHKEY_URL", latchkey.url())
        .env("LATCHKEY_PASSWORD", PASSWORD)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(10 * BUDGET), output)
        .await
        .expect("an end")
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
