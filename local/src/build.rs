//! Builds the functions with cargo.

use crate::{Error, ambient};
use serde_json::Value as Json;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

/// Root folder of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Folder of the binaries of the running program's build profile: that of the program, or for a
/// test the one above it.
pub(crate) fn folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or(Path::new("."));
    match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().unwrap_or(folder).to_owned(),
        _ => folder.to_owned(),
    }
}

/// Builds all functions and returns the folder of the binaries. Cargo prints progress and errors to
/// standard error.
pub async fn build(release: bool) -> Result<PathBuf, Error> {
    // In release mode only what is deployed, because optimising takes long.
    let selection: &[&str] = if release {
        &["--bins", "--release", "--package", "latchkey-functions"]
    } else {
        &["--bins"]
    };
    cargo_build(selection).await
}

/// Builds what these arguments of cargo select, which must include a function, and returns the
/// folder of the functions' binaries.
pub async fn cargo_build(selection: &[&str]) -> Result<PathBuf, Error> {
    let cargo = ambient::variable("CARGO").unwrap_or_else(|| "cargo".to_owned());
    let mut command = Command::new(&cargo);
    command
        .args(["build", "--message-format=json-render-diagnostics"])
        .args(selection);
    let mut child = command
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            Error::new(format!("{cargo} could not be started: {error}")).advice(
                "Cargo builds the functions. Install Rust from https://rustup.rs and try again.",
            )
        })?;
    let mut folder = None;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            folder = folder_of_function(&line).or(folder);
        }
    }
    let built = child.wait().await.is_ok_and(|status| status.success());
    match folder {
        Some(folder) if built => Ok(folder),
        _ => Err(
            Error::new("Building the functions failed; see the output of cargo above.")
                .advice("Fix the errors and try again."),
        ),
    }
}

/// The folder of a function's binary, if this message of cargo reports one. Examples are ignored,
/// because they are in a folder of their own.
fn folder_of_function(message: &str) -> Option<PathBuf> {
    let message: Json = serde_json::from_str(message).ok()?;
    let executable = Path::new(message["executable"].as_str()?);
    let manifest = Path::new(message["manifest_path"].as_str()?);
    let is_function = message["target"]["kind"][0] == "bin"
        && manifest.parent()? == workspace().join("functions");
    is_function.then(|| executable.parent().map(Path::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_folder_is_that_of_the_functions_binaries() {
        let reported = |package: &str, kind: &str, executable: &str| {
            let manifest = workspace().join(package).join("Cargo.toml");
            let message = json!({ "manifest_path": manifest, "target": { "kind": [kind] }, "executable": executable });
            folder_of_function(&message.to_string())
        };
        assert_eq!(
            reported("functions", "bin", "/target/release/ping"),
            Some(PathBuf::from("/target/release"))
        );
        assert_eq!(
            reported("functions", "example", "/target/release/examples/bare"),
            None
        );
        assert_eq!(reported("local", "bin", "/target/release/latchkey"), None);
        assert_eq!(folder_of_function("{}"), None);
    }
}
