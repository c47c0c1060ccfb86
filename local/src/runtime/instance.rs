//! One running process of a function.

use super::{
    Failure,
    api::{Invocation, Registration},
};
use crate::{ambient, log::Logger};
use axum::body::Bytes;
use std::{
    collections::VecDeque,
    io,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Lambda's limit for what a function does before it asks for its first event.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How many lines of a function that ended are repeated with the news of it.
const LAST_LINES: usize = 12;

pub struct Instance {
    child: Child,
    /// Keeps the instance known to the Runtime API.
    _exchange: Registration,
    requests: mpsc::Sender<Invocation>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

/// An answer that is to come.
pub struct Awaited(oneshot::Receiver<Result<Bytes, Failure>>);

impl Instance {
    pub fn start(
        command: &mut Command,
        function: &str,
        registration: Registration,
        requests: mpsc::Sender<Invocation>,
        log: &Logger,
    ) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let last_lines = Arc::new(Mutex::new(VecDeque::new()));
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(tokio::spawn(relay(
                stdout,
                function.to_owned(),
                log.clone(),
                last_lines.clone(),
            )));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(relay(
                stderr,
                function.to_owned(),
                log.clone(),
                last_lines.clone(),
            )));
        }
        Ok(Self {
            child,
            _exchange: registration,
            requests,
            last_lines,
            readers,
        })
    }

    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the process to take the event, then for its answer. The function's time begins
    /// when it takes the event.
    pub async fn invoke(&mut self, event: Bytes, limit: Duration) -> Result<Bytes, Failure> {
        let has_answered = self.hand_over(event, limit).await?;
        self.answer(has_answered, limit).await
    }

    /// Ends the process, and waits until it has ended.
    pub async fn end(mut self) {
        let _ = self.child.kill().await;
    }

    /// Number of the process, while it lives.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the process to take the event.
    pub async fn hand_over(&mut self, event: Bytes, limit: Duration) -> Result<Awaited, Failure> {
        let (taken, has_taken) = oneshot::channel();
        let (answer, has_answered) = oneshot::channel();
        let invocation = Invocation {
            event,
            limit,
            taken,
            answer,
        };
        if self.requests.send(invocation).await.is_err() {
            return Err(Failure::NotStarted("the stack is stopping".to_owned()));
        }
        tokio::select! {
            biased;
            Ok(()) = has_taken => Ok(Awaited(has_answered)),
            status = self.child.wait() => Err(Failure::NotStarted(self.last_words(status).await)),
            () = tokio::time::sleep(START_LIMIT) => {
                Err(Failure::NotStarted(format!("it asked for no event within {} s", START_LIMIT.as_secs())))
            }
        }
    }

    /// Waits for the answer to an event that the process has taken.
    pub async fn answer(
        &mut self,
        Awaited(has_answered): Awaited,
        limit: Duration,
    ) -> Result<Bytes, Failure> {
        tokio::select! {
            biased;
            Ok(answer) = has_answered => answer,
            status = self.child.wait() => Err(Failure::Died(self.last_words(status).await)),
            () = tokio::time::sleep(limit) => {
                // What was cut off has ended when that is told.
                let _ = self.child.kill().await;
                Err(Failure::TimedOut)
            }
        }
    }

    async fn last_words(&mut self, status: io::Result<ExitStatus>) -> String {
        for reader in &mut self.readers {
            // A process that the function started may hold the pipe open.
            let _ = tokio::time::timeout(Duration::from_secs(1), reader).await;
        }
        let mut words = match status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        for line in ambient::lock(&self.last_lines).iter() {
            words += "\n  | ";
            words += line;
        }
        words
    }
}

/// Passes on every line, and remembers the last ones.
async fn relay(
    output: impl AsyncRead + Unpin,
    function: String,
    log: Logger,
    last_lines: Arc<Mutex<VecDeque<String>>>,
) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while let Ok(1..) = output.read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        log.output(&function, &text);
        let mut last_lines = ambient::lock(&last_lines);
        if last_lines.len() == LAST_LINES {
            last_lines.pop_front();
        }
        last_lines.push_back(text);
    }
}
