//! The scripts that the pipeline calls

use std::{fs, process::Output};

use tokio::process::Command;

use crate::harness::{Folder, latchkey, workspace};

async fn run(script: impl AsRef<std::ffi::OsStr>, argument: &str) -> Output {
    Command::new("bash").arg(script).arg(argument).kill_on_drop(true).output().await.unwrap()
}

#[tokio::test]
async fn the_smoke_test_passes_where_everything_works() {
    let output = run(workspace().join("tests/smoke.sh"), latchkey().await.url()).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("ok ").count(), 7, "{output:?}");
}

#[tokio::test]
async fn the_smoke_test_fails_where_something_else_answers_and_where_nobody_does() {
    for url in [latchkey().await.services().1, "http://127.0.0.1:9"] {
        let output = run(workspace().join("tests/smoke.sh"), url).await;
        assert!(!output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("FAILED  /identity/ping"), "{output:?}");
    }
}

#[tokio::test]
async fn a_release_has_the_version_of_the_workspace_and_a_section_of_the_changelog() {
    let folder = Folder::new("release");
    let place = |name: &str| format!("{}/{name}", folder.path());
    fs::create_dir(place(".github")).unwrap();
    fs::copy(workspace().join(".github/release-notes.sh"), place(".github/release-notes.sh")).unwrap();
    fs::write(place("Cargo.toml"), "[workspace.package]\nversion = \"1.2.3\"\n").unwrap();
    let notes = async |changelog: &str, tag: &str| {
        fs::write(place("CHANGELOG.md"), changelog).unwrap();
        let output = run(place(".github/release-notes.sh"), tag).await;
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let changelog = "# Changelog\n\n## [Unreleased]\n\n- soon\n\n## [1.2.3] - 2026-01-31\n\n- now\n\n## [1.2.2]\n\n- then\n";
    assert_eq!(notes(changelog, "v1.2.3").await.as_deref(), Some("- now"));
    assert_eq!(notes(changelog, "v1.2.2").await, None);
    assert_eq!(notes("## [Unreleased]\n\n- soon\n", "v1.2.3").await, None);
    assert_eq!(notes("## [1.2.3]\n\n## [1.2.2]\n\n- then\n", "v1.2.3").await, None);
}
