//! tests/smoke.sh against working and broken local stacks

use std::{
    fs,
    process::{Output, Stdio},
    sync::Arc,
};

use local::{Log, Options, Stack};
use serde_json::{Value, json};
use tokio::process::Command;

use super::programs::found;
use crate::harness::{ExternalServices, Folder, PASSWORD, binaries, latchkey, spawn, workspace};

const MANAGE: &str = "ManageUsersFunction";
/// The steps of a run against a working stack, in order.
const STEPS: [&str; 14] = [
    "ping",
    "configs",
    "version",
    "keys",
    "discovery",
    "unknown route",
    "me without a session",
    "sign-up",
    "sign-in",
    "me",
    "sign-out",
    "me after sign-out",
    "mail and its bounce",
    "erase",
];

/// A stack with an edited template.
struct Edited {
    stack: Arc<Stack>,
    _folder: Folder,
}

impl Edited {
    async fn start(name: &str, edits: &[(&str, &str)]) -> Self {
        let folder = Folder::new(&format!("smoke-{name}"));
        let mut template = fs::read_to_string(workspace().join("template.yaml")).unwrap();
        for (from, to) in edits {
            assert_eq!(template.matches(from).count(), 1, "{from}");
            template = template.replace(from, to);
        }
        let path = format!("{}/template.yaml", folder.path());
        fs::write(&path, template).unwrap();
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: None,
            binaries: binaries().await.to_owned(),
            template: path.into(),
            log: Log::Captured(Arc::default()),
            ..Options::default()
        };
        let stack = Arc::new(
            spawn(Stack::start(options))
                .await
                .unwrap()
                .unwrap_or_else(|error| panic!("{error}")),
        );
        Self {
            stack,
            _folder: folder,
        }
    }

    async fn smoke(&self) -> Output {
        smoke(
            self.stack.url(),
            self.stack.aws_url(),
            &[("SMOKE_PATIENCE", "3")],
        )
        .await
    }

    /// The number of users.
    async fn users(&self) -> Value {
        let stack = Arc::clone(&self.stack);
        spawn(async move {
            stack
                .invoke(MANAGE, json!({ "action": "export" }))
                .await
                .unwrap()
        })
        .await
        .unwrap()["count"]
            .clone()
    }
}

async fn smoke(url: &str, lambda: &str, variables: &[(&str, &str)]) -> Output {
    let path = shared::platform::environment::variable("PATH").unwrap_or_default();
    Command::new("bash")
        .arg(workspace().join("tests/smoke.sh"))
        .args([url, MANAGE])
        .env_clear()
        .env("PATH", path)
        .envs([
            ("AWS_ENDPOINT_URL_LAMBDA", lambda),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_MAX_ATTEMPTS", "1"),
        ])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The steps that passed.
fn passed(output: &Output) -> Vec<String> {
    text(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("ok      "))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_smoke_test_passes_against_a_working_stack_and_erases_its_user() {
    if found("aws", "awscli").is_none() {
        return;
    }
    let edited = Edited::start("whole", &[]).await;
    let output = smoke(
        edited.stack.url(),
        edited.stack.aws_url(),
        &[("SMOKE_PASSWORD", PASSWORD)],
    )
    .await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(passed(&output), STEPS);
    assert_eq!(edited.users().await, 0);
    // The output contains neither the password nor a token.
    let printed = text(&[output.stdout, output.stderr].concat());
    assert!(
        !printed.contains(PASSWORD) && !printed.contains("eyJ") && !printed.contains("csrf"),
        "{printed}"
    );
}

#[tokio::test]
async fn the_smoke_test_names_the_step_that_fails_and_erases_the_user() {
    if found("aws", "awscli").is_none() {
        return;
    }
    let broken = "\n      Environment: { Variables: { IDENTITY_GRANTS_TABLE: Nowhere } }\n";
    let template = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let without_grants = |logs: &str| {
        let line = format!("      LoggingConfig: {{ LogGroup: !Ref {logs} }}\n");
        let variables = format!("{line}      Environment:\n        Variables:\n");
        if template.contains(&variables) {
            let broken = format!("{variables}          IDENTITY_GRANTS_TABLE: Nowhere\n");
            (variables, broken)
        } else {
            (line, broken.to_owned())
        }
    };
    for (name, step, (from, to)) in [
        ("sign-up", "sign-up", without_grants("UserCreateLogs")),
        ("sign-in", "sign-in", without_grants("SessionCreateLogs")),
        ("me", "me", without_grants("UserMeLogs")),
        ("sign-out", "sign-out", without_grants("SessionDeleteLogs")),
        (
            "stream",
            "mail and its bounce",
            (
                "[{\"prefix\":\"MAIL#\"}]".to_owned(),
                "[{\"prefix\":\"NONE#\"}]".to_owned(),
            ),
        ),
        (
            "bus",
            "mail and its bounce",
            (
                "eventType: [Bounce, Complaint]".to_owned(),
                "eventType: [Complaint]".to_owned(),
            ),
        ),
        (
            "ses",
            "mail and its bounce",
            (
                "MatchingEventTypes: [bounce, complaint]".to_owned(),
                "MatchingEventTypes: [complaint]".to_owned(),
            ),
        ),
    ] {
        let edited = Edited::start(name, &[(&from, &to)]).await;
        let output = edited.smoke().await;
        assert!(!output.status.success(), "{name}: {output:?}");
        assert!(
            text(&output.stderr).contains(&format!("FAILED  {step}: ")),
            "{name}: {output:?}"
        );
        let steps: Vec<&str> = STEPS
            .into_iter()
            .take_while(|passed| *passed != step)
            .chain(["erase"])
            .collect();
        assert_eq!(passed(&output), steps, "{name}");
        assert_eq!(edited.users().await, 0, "{name}");
        let printed = text(&[output.stdout, output.stderr].concat());
        assert!(
            !printed.contains("eyJ") && !printed.contains("csrf"),
            "{printed}"
        );
    }
}

#[tokio::test]
async fn the_smoke_test_names_the_user_that_it_cannot_erase() {
    if found("aws", "awscli").is_none() {
        return;
    }
    let latchkey = latchkey().await;
    let output = smoke(latchkey.url(), "http://127.0.0.1:9", &[]).await;
    assert!(!output.status.success(), "{output:?}");
    let printed = text(&output.stderr);
    assert!(
        printed.contains("FAILED  mail and its bounce: "),
        "{printed}"
    );
    assert!(
        printed.contains("FAILED  erase: the user bounce+smoke-"),
        "{printed}"
    );
}

#[tokio::test]
async fn the_smoke_test_fails_at_a_url_without_the_api() {
    let latchkey = latchkey().await;
    for url in [latchkey.services().1, "http://127.0.0.1:9"] {
        let output = smoke(url, latchkey.services().1, &[]).await;
        assert!(!output.status.success(), "{output:?}");
        assert!(
            text(&output.stderr).contains("FAILED  ping: "),
            "{output:?}"
        );
        assert!(passed(&output).is_empty(), "{output:?}");
    }
}

#[tokio::test]
async fn the_smoke_test_skips_steps_that_require_a_captcha_and_reports_them() {
    if found("aws", "awscli").is_none() {
        return;
    }
    let services = ExternalServices::start().await;
    let common = &STEPS[..7];
    for (protected, expected, skips) in [
        (
            "user_create",
            [
                &["create"][..],
                &STEPS[8..12],
                &["password reset", "mail and its bounce", "erase"][..],
            ]
            .concat(),
            1,
        ),
        (
            "user_create,session_create",
            vec!["create", "password reset", "mail and its bounce", "erase"],
            2,
        ),
        (
            "user_create,session_create,password_reset",
            vec!["create", "erase"],
            3,
        ),
    ] {
        let latchkey = services
            .stack_with_captcha(
                "turnstile",
                &[("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", protected)],
            )
            .await;
        let output = smoke(latchkey.url(), latchkey.services().1, &[]).await;
        assert!(output.status.success(), "{protected}: {output:?}");
        assert_eq!(passed(&output), [common, &expected].concat(), "{protected}");
        assert_eq!(
            text(&output.stdout).matches("skipped ").count(),
            skips,
            "{output:?}"
        );
    }
}
