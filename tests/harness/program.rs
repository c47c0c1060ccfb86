//! The stack as people run it: the program `latchkey`.

use std::{path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{Answer, children_of, eventually, processes, signal, stack::binaries};

/// How long the program may take to be ready: it has cargo look whether the functions are up to
/// date.
const START: Duration = Duration::from_mins(5);

/// A folder for one test, gone with it.
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
        // What is left behind is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program, taking requests.
pub struct Program {
    process: Child,
    pub url: String,
    pub dynamodb_url: String,
    /// What else it says on standard output.
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
        // Nobody reads what it logs.
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

    /// The next line with the text.
    pub async fn says(&mut self, text: &str) {
        while let Some(line) = tokio::time::timeout(START, self.output.next_line())
            .await
            .expect("a line in time")
            .unwrap()
        {
            if line.contains(text) {
                return;
            }
        }
        panic!("it does not say {text}");
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

    /// Its instances of a function.
    pub fn instances(&self, function: &str) -> Vec<processes::Child> {
        children_of(self.id())
            .into_iter()
            .filter(|child| child.name == function[..function.len().min(15)])
            .collect()
    }

    /// Sends it a signal, waits for its end, and for that of every process that it started. Returns
    /// whether it ended well.
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
