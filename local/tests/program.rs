//! The program `latchkey` itself, with a cargo that only says where the stand-in for the functions
//! is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

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

/// A folder with a cargo and a function in it, removed at the end.
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

/// Waits until the program takes requests; the address that it tells.
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
    let told: Value = reqwest::get(format!("{url}/identity/ping"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    told["process"].as_u64().unwrap()
}

async fn has_ended(process: u64) {
    let deadline = Instant::now() + Duration::from_secs(5);
    // A process that ended but was not yet waited for has no command line any more.
    while fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty()) {
        assert!(Instant::now() < deadline, "{process} lives");
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
async fn it_ends_with_its_functions_when_it_is_told_to() {
    let folder = Folder::new("told");
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
async fn its_functions_end_even_when_it_is_killed() {
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
async fn what_stops_a_start_is_told_with_what_to_do() {
    let folder = Folder::new("refused");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = folder.0.join("cargo").display().to_string();
    for (arguments, cargo, told, advice) in [
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
            "absent does not start",
            "https://rustup.rs",
        ),
        (
            vec!["--in-memory", "--listen", "127.0.0.1:0"],
            "/bin/false",
            "do not build",
            "Correct the code",
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
        assert!(error.contains(told) && error.contains(advice), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_captcha_whose_key_nobody_has_stops_a_start() {
    let folder = Folder::new("captcha");
    let start = |key| {
        let mut command = folder.latchkey(&["--in-memory", "--listen", "127.0.0.1:0"]);
        command.envs([
            ("IDENTITY_CAPTCHA_SECRET_ARN", "anything"),
            ("LATCHKEY_CAPTCHA_SECRET", key),
        ]);
        command
    };
    let output = start("").output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success()
            && error.contains("Give the captcha's private key in LATCHKEY_CAPTCHA_SECRET"),
        "{error}"
    );
    ready(&mut start("key").spawn().unwrap()).await;
}
