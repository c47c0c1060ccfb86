//! An instance: one running process of a function.

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

/// Lambda's limit for the init phase, which ends when the function requests its first event.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Number of output lines that are repeated in the message about a function that exited.
const LAST_LINES: usize = 12;

pub struct Instance {
    child: Child,
    /// Keeps the instance registered with the Runtime API.
    _exchange: Registration,
    requests: mpsc::Sender<Invocation>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

/// The pending response to an event.
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

    /// Delivers the event and waits for the response. `limit` starts when the process receives the
    /// event.
    pub async fn invoke(&mut self, event: Bytes, limit: Duration) -> Result<Bytes, Failure> {
        let has_answered = self.hand_over(event, limit).await?;
        self.answer(has_answered, limit).await
    }

    /// Kills the process and waits for its end.
    pub async fn end(mut self) {
        let _ = self.child.kill().await;
    }

    /// Process id; `None` if the process has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Delivers the event: waits until the process has requested and received it.
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
                Err(Failure::NotStarted(format!("it did not request an event within {} s", START_LIMIT.as_secs())))
            }
        }
    }

    /// Waits for the response to an event that the process has received.
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
                // The process has ended when the timeout is reported.
                let _ = self.child.kill().await;
                Err(Failure::TimedOut)
            }
        }
    }

    async fn last_words(&mut self, status: io::Result<ExitStatus>) -> String {
        for reader in &mut self.readers {
            // A child process of the function may hold the pipe open.
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

/// Logs every line of a process's output, and stores the last ones.
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
