//! openapi.yaml against the API, checked by schemathesis

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::json;
use tokio::process::Command;

use crate::harness::{Latchkey, PASSWORD, workspace};

/// Duration of the run, in seconds.
const BUDGET: u64 = 60;

/// The path of schemathesis. It must be installed where `CI` is set; elsewhere the test is skipped
/// without it.
fn program() -> Option<PathBuf> {
    let path = shared::platform::environment::variable("PATH").unwrap_or_default();
    let found = path
        .split(':')
        .map(|folder| PathBuf::from(folder).join("schemathesis"))
        .find(|file| file.is_file());
    if found.is_none() {
        assert!(
            shared::platform::environment::variable("CI").is_none(),
            "schemathesis is not installed: pip install schemathesis"
        );
        eprintln!(
            "SKIPPED: schemathesis is not installed (pip install schemathesis), so openapi.yaml was not tested with it"
        );
    }
    found
}

#[tokio::test]
async fn schemathesis_finds_nothing() {
    let Some(program) = program() else { return };
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
