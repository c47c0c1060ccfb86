//! `latchkey grants`: lists the permissions of each function, and those that no test has used.

use super::{AccessDenied, statement};
use crate::{Error, build, template::Template};
use clap::Args;
use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

const USED: &str = "used ";
const DENIED: &str = "denied ";

/// Lists the permissions that template.yaml grants each function.
#[derive(Args)]
pub struct Grants {
    /// Fail if the records show an unused grant or a denied call
    #[arg(long)]
    check: bool,

    /// Folder of the records that the tests write
    #[arg(long, value_name = "DIR", default_value_os_t = folder())]
    records: PathBuf,

    /// Template to read
    #[arg(long, value_name = "FILE", default_value_os_t = build::workspace().join("template.yaml"))]
    template: PathBuf,
}

/// Folder in which the tests record used grants.
#[must_use]
pub fn folder() -> PathBuf {
    build::folder()
        .parent()
        .unwrap_or(Path::new("target"))
        .join("grants")
}

/// Record of a used grant.
pub fn used(grant: &str) -> String {
    format!("{USED}{grant}")
}

/// Record of a denied call.
pub fn denied(denied: &AccessDenied) -> String {
    format!("{DENIED}{denied}")
}

/// Appends a line to the record file of this process.
pub fn append(folder: &Path, line: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{}.txt", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)?;
    // One write per line, so that lines of different threads do not interleave.
    file.write_all(format!("{line}\n").as_bytes())
}

impl Grants {
    pub fn run(&self) -> Result<(), Error> {
        // Values with which the template grants everything that any deployment has: a captcha, an
        // operator's key and the hosted pages.
        let parameters = [
            ("AccessTokenKeyArn", "access-token-key"),
            ("CaptchaSecretArn", "captcha"),
            ("Domain", "https://example.com"),
            ("Pages", "on"),
            ("PagesUrl", "https://example.com"),
            ("SenderEmail", "noreply@example.com"),
        ];
        let parameters = parameters
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let template = Template::read(&self.template, &parameters)?;
        let granted: BTreeSet<String> = template
            .functions
            .iter()
            .flat_map(|function| {
                let grants = statement::all_grants(&function.policies).into_iter();
                grants.map(|grant| format!("{}: {grant}", function.name))
            })
            .collect();
        if !self.check {
            for grant in &granted {
                crate::print_line(grant)?;
            }
            return Ok(());
        }
        check(&granted, &self.records()?)
    }

    /// The lines of all record files.
    fn records(&self) -> Result<BTreeSet<String>, Error> {
        let mut lines = BTreeSet::new();
        let unreadable = |error: std::io::Error| {
            Error::new(format!(
                "The records in {} cannot be read: {error}",
                self.records.display()
            ))
            .advice("Run cargo test first, which writes them.")
        };
        for file in fs::read_dir(&self.records).map_err(unreadable)? {
            let text = fs::read_to_string(file.map_err(unreadable)?.path()).map_err(unreadable)?;
            lines.extend(text.lines().map(ToOwned::to_owned));
        }
        Ok(lines)
    }
}

fn check(granted: &BTreeSet<String>, records: &BTreeSet<String>) -> Result<(), Error> {
    let unused = granted
        .iter()
        .filter(|grant| !records.contains(&used(grant)))
        .map(|grant| ("not used by any test: ", grant));
    let denied = records
        .iter()
        .filter(|line| line.starts_with(DENIED))
        .map(|line| ("", line));
    let problems: Vec<String> = unused
        .chain(denied)
        .map(|(what, which)| format!("  {what}{which}"))
        .collect();
    if problems.is_empty() {
        crate::print_line(format_args!(
            "All {} grants were used, and no call was denied.",
            granted.len()
        ))?;
        return Ok(());
    }
    Err(Error::new(format!(
        "The policies in template.yaml do not match the calls of the tests:\n{}",
        problems.join("\n")
    ))
    .advice(
        "Remove an unused grant, or add a test that uses it. Grant the permission for a denied call.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(lines: &[&str]) -> BTreeSet<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn an_unused_grant_and_a_denied_call_fail_the_check() {
        let granted = set(&["F: dynamodb:GetItem on Users"]);
        let used = "used F: dynamodb:GetItem on Users";
        assert!(check(&granted, &set(&[used])).is_ok());
        let unused = check(&granted, &set(&["used G: dynamodb:GetItem on Users"]))
            .unwrap_err()
            .to_string();
        assert!(
            unused.contains("not used by any test: F: dynamodb:GetItem on Users"),
            "{unused}"
        );
        let denied = check(&granted, &set(&[used, "denied User: F may not"]))
            .unwrap_err()
            .to_string();
        assert!(denied.contains("denied User: F may not"), "{denied}");
    }
}
