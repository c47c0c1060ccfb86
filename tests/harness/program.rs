//! The development stack as a program: `latchkey`.

use std::{path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{Answer, children_of, eventually, processes, signal, stack::binaries};

/// Limit of the program's start, which includes a build of the functions if they are out of date.
const START: Duration = Duration::from_mins(5);

/// A temporary folder, deleted when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("latchkey-tests-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be deleted stays in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The running program.
pub struct Program {
    process: Child,
    pub url: String,
    pub dynamodb_url: String,
    /// Its further lines on standard output.
    output: Lines<BufReader<ChildStdout>>,
}

/// A command that starts the program.
pub async fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries().await.join("latchkey"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Program {
    pub async fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[]).await
    }

    pub async fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        // Without a reader a pipe of standard error would fill up and block the program.
        let mut process = command(arguments)
            .await
            .envs(variables.iter().copied())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut line = async || {
            tokio::time::timeout(START, output.next_line())
                .await
                .expect("ready in time")
                .unwrap()
                .expect("a line")
        };
        let dynamodb = line().await;
        let ready = line().await;
        let address = |line: &str, name: &str| {
            line.strip_prefix(name)
                .unwrap_or_else(|| panic!("{name}: {line}"))
                .to_owned()
        };
        Self {
            process,
            dynamodb_url: address(&dynamodb, "dynamodb "),
            url: address(&ready, "ready "),
            output,
        }
    }

    /// Waits for a line with the text.
    pub async fn prints(&mut self, text: &str) {
        while let Some(line) = tokio::time::timeout(START, self.output.next_line())
            .await
            .expect("a line in time")
            .unwrap()
        {
            if line.contains(text) {
                return;
            }
        }
        panic!("no line contains {text}");
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        super::Request::from(request).send().await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(
            reqwest::Client::new()
                .post(format!("{}{path}", self.url))
                .form(fields),
        )
        .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(reqwest::Client::new().get(format!("{}{path}", self.url)))
            .await
    }

    pub fn id(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// The running instances of a function.
    pub fn instances(&self, function: &str) -> Vec<processes::Child> {
        children_of(self.id())
            .into_iter()
            .filter(|child| child.name == function[..function.len().min(15)])
            .collect()
    }

    /// Sends the program a signal, and waits until it and all its child processes have ended.
    /// Returns whether it ended with status 0.
    pub async fn end(mut self, name: &str) -> bool {
        let children = children_of(self.id());
        assert!(!children.is_empty());
        signal(self.id(), name);
        let status = tokio::time::timeout(super::TIMEOUT, self.process.wait())
            .await
            .expect("an end in time")
            .unwrap();
        let children = &children;
        eventually("the end of every child", || async move {
            (!children.iter().any(processes::Child::is_alive)).then_some(())
        })
        .await;
        status.success()
    }
}
