//! The program `latchkey`, with a fake cargo that only reports the path of the stand-in for the
//! functions.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use local::Options;
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::Instant,
};

/// A folder with a fake cargo and a function, removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("latchkey-program-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap()
            .join("functions/Cargo.toml");
        let message = format!(
            r#"{{"executable":"{}/ping","manifest_path":"{}","target":{{"kind":["bin"]}}}}"#,
            folder.display(),
            manifest.display()
        );
        fs::write(
            folder.join("cargo"),
            format!("#!/bin/sh\necho '{message}'\n"),
        )
        .unwrap();
        fs::set_permissions(folder.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink(
            Options::default().binaries.join("examples/stand_in"),
            folder.join("ping"),
        )
        .unwrap();
        Self(folder)
    }

    fn latchkey(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        command
            .args(arguments)
            .env("CARGO", self.0.join("cargo"))
            .current_dir(&self.0);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until the program accepts requests, and returns the URL that it prints.
async fn ready(program: &mut Child) -> String {
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    assert!(
        lines
            .next_line()
            .await
            .unwrap()
            .unwrap()
            .starts_with("dynamodb http://127.0.0.1:")
    );
    let ready = lines.next_line().await.unwrap().unwrap();
    ready.strip_prefix("ready ").unwrap().to_owned()
}

async fn process_of_ping(url: &str) -> u64 {
    let report: Value = reqwest::get(format!("{url}/identity/ping"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    report["process"].as_u64().unwrap()
}

async fn has_ended(process: u64) {
    let deadline = Instant::now() + Duration::from_secs(5);
    // A zombie process has an empty command line.
    while fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty()) {
        assert!(Instant::now() < deadline, "{process} is still running");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn signal(program: &Child, name: &str) {
    let id = program.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args([name, &id])
            .status()
            .await
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn sigint_and_sigterm_stop_the_stack_and_its_functions() {
    let folder = Folder::new("signals");
    for name in ["-INT", "-TERM"] {
        let mut program = folder
            .latchkey(&["--listen", "127.0.0.1:0"])
            .spawn()
            .unwrap();
        let process = process_of_ping(&ready(&mut program).await).await;
        signal(&program, name).await;
        assert!(program.wait().await.unwrap().success(), "{name}");
        has_ended(process).await;
        assert!(folder.0.join(".latchkey").is_dir());
    }
}

#[tokio::test]
async fn killing_the_stack_ends_its_functions() {
    let folder = Folder::new("killed");
    let mut program = folder
        .latchkey(&["--in-memory", "--listen", "localhost:0"])
        .spawn()
        .unwrap();
    let process = process_of_ping(&ready(&mut program).await).await;
    signal(&program, "-KILL").await;
    has_ended(process).await;
}

#[tokio::test]
async fn a_failed_start_reports_the_cause_and_advice() {
    let folder = Folder::new("refused");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = folder.0.join("cargo").display().to_string();
    for (arguments, cargo, cause, advice) in [
        (
            vec!["--in-memory", "--listen", &taken],
            "cargo",
            "is in use",
            "--listen 127.0.0.1:0",
        ),
        (
            vec!["--listen", "127.0.0.1:0", "--data-dir", &file],
            "cargo",
            "cannot be used",
            "--data-dir",
        ),
        (
            vec!["--in-memory", "--listen", "127.0.0.1:0"],
            "absent",
            "absent could not be started",
            "https://rustup.rs",
        ),
        (
            vec!["--in-memory", "--listen", "127.0.0.1:0"],
            "/bin/false",
            "Building the functions failed",
            "Fix the errors",
        ),
    ] {
        let output = folder
            .latchkey(&arguments)
            .env("CARGO", folder.0.join(cargo))
            .output()
            .await
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(cause) && error.contains(advice), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn the_start_fails_if_the_private_key_of_the_captcha_is_missing() {
    let folder = Folder::new("captcha");
    let start = |key| {
        let mut command = folder.latchkey(&["--in-memory", "--listen", "127.0.0.1:0"]);
        command.envs([
            (
                "IDENTITY_CAPTCHA_SECRET_ARN",
                "arn:aws:secretsmanager:us-east-1:000000000000:secret:captcha-AbCdEf",
            ),
            ("LATCHKEY_CAPTCHA_SECRET", key),
        ]);
        command
    };
    let output = start("").output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success()
            && error.contains("Set LATCHKEY_CAPTCHA_SECRET to the captcha's private key"),
        "{error}"
    );
    ready(&mut start("key").spawn().unwrap()).await;
}

#[tokio::test]
async fn the_start_fails_if_the_private_key_of_access_tokens_is_missing() {
    let folder = Folder::new("access-token-key");
    let start = |arn, key| {
        let mut command = folder.latchkey(&["--in-memory", "--listen", "127.0.0.1:0"]);
        command.envs([
            ("IDENTITY_ACCESS_TOKEN_KEY_ARN", arn),
            ("LATCHKEY_ACCESS_TOKEN_KEY", key),
        ]);
        command
    };
    let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:key-AbCdEf";
    let output = start(arn, " ").output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success()
            && error.contains("IDENTITY_ACCESS_TOKEN_KEY_ARN is set")
            && error.contains("Set LATCHKEY_ACCESS_TOKEN_KEY to the private key in PEM"),
        "{error}"
    );
    for arn in [arn, ""] {
        ready(&mut start(arn, "key").spawn().unwrap()).await;
    }
}

#[tokio::test]
async fn a_value_that_the_template_refuses_is_reported_before_the_build() {
    let folder = Folder::new("constraints");
    for (arguments, variable, cause) in [
        (
            &["--cors-origin", "htt:://localhost"][..],
            ("IDENTITY_UID_PREFIX", "ID"),
            "--cors-origin: \"htt:://localhost\"",
        ),
        (
            &["--cors-origin", "*"],
            ("IDENTITY_UID_PREFIX", "ID"),
            "never *",
        ),
        (
            &[],
            ("IDENTITY_UID_PREFIX", "I"),
            "IDENTITY_UID_PREFIX: \"I\"",
        ),
    ] {
        let output = folder
            .latchkey(&["--in-memory", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .envs([variable])
            // A build would fail with another error.
            .env("CARGO", "/bin/false")
            .output()
            .await
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(cause), "{error}");
        assert!(output.stdout.is_empty());
    }
}
