//! The release notes

use std::{ffi::OsStr, fs, process::Output};

use tokio::process::Command;

use crate::harness::{Folder, workspace};

async fn run(script: impl AsRef<OsStr>, argument: &str) -> Output {
    Command::new("bash")
        .arg(script)
        .arg(argument)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_release_requires_the_version_of_the_workspace_and_a_section_of_the_changelog() {
    let folder = Folder::new("release");
    let file = |name: &str| format!("{}/{name}", folder.path());
    fs::create_dir(file(".github")).unwrap();
    fs::copy(
        workspace().join(".github/release-notes.sh"),
        file(".github/release-notes.sh"),
    )
    .unwrap();
    fs::write(
        file("Cargo.toml"),
        "[workspace.package]\nversion = \"1.2.3\"\n",
    )
    .unwrap();
    let notes = async |changelog: &str, tag: &str| {
        fs::write(file("CHANGELOG.md"), changelog).unwrap();
        let output = run(file(".github/release-notes.sh"), tag).await;
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let changelog = "# Changelog\n\n## [Unreleased]\n\n- soon\n\n## [1.2.3] - 2026-01-31\n\n- now\n\n## [1.2.2]\n\n- then\n";
    assert_eq!(notes(changelog, "v1.2.3").await.as_deref(), Some("- now"));
    assert_eq!(notes(changelog, "v1.2.2").await, None);
    assert_eq!(notes("## [Unreleased]\n\n- soon\n", "v1.2.3").await, None);
    assert_eq!(
        notes("## [1.2.3]\n\n## [1.2.2]\n\n- then\n", "v1.2.3").await,
        None
    );
}
