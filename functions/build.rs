//! Sets the commit and the date of the build for `version`.

use std::process::Command;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

fn main() {
    println!(
        "cargo::rustc-env=LATCHKEY_GIT_TAG={}",
        git(&["describe", "--tags", "--always"])
    );
    println!(
        "cargo::rustc-env=LATCHKEY_GIT_SHA={}",
        git(&["rev-parse", "HEAD"])
    );
    println!("cargo::rustc-env=LATCHKEY_BUILD_DATE={}", build_date());
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file]);
        if std::path::Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// The output of a git command, or `unknown` if the sources are not a git checkout or git is not
/// installed.
fn git(arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success());
    output
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The current time, or `SOURCE_DATE_EPOCH` for a reproducible build
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
#[expect(
    clippy::disallowed_methods,
    reason = "a build script has no injected clock or configuration"
)]
fn build_date() -> String {
    let source_date = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let date = source_date
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or_else(OffsetDateTime::now_utc);
    date.truncate_to_second()
        .format(&Rfc3339)
        .unwrap_or_default()
}
