//! The process group of a stack's functions, which is killed when the stack ends, however it ends.

use crate::{Error, ambient};
use std::{process::Stdio, sync::Mutex};
use tokio::process::{Child, ChildStdin, Command};

/// The leader of the group is a shell that reads from a pipe, whose other end this process holds.
/// When the pipe closes, because it is dropped or because this process was killed, the shell kills
/// the group, including itself.
pub struct Group {
    leader: tokio::sync::Mutex<Child>,
    pipe: Mutex<Option<ChildStdin>>,
    id: i32,
}

impl Group {
    pub fn new() -> Result<Self, Error> {
        let mut leader = Command::new("/bin/sh")
            .args(["-c", "read -r _; kill -KILL 0"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                Error::new(format!(
                    "/bin/sh, which leads the functions' process group, could not be started: {error}"
                ))
            })?;
        let id = leader
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .ok_or_else(|| {
                Error::new("/bin/sh, which leads the functions' process group, exited at once")
            })?;
        let pipe = Mutex::new(leader.stdin.take());
        Ok(Self {
            leader: tokio::sync::Mutex::new(leader),
            pipe,
            id,
        })
    }

    pub fn add(&self, command: &mut Command) {
        command.process_group(self.id);
    }

    /// Kills all processes of the group, without waiting for their end.
    pub fn release(&self) {
        ambient::lock(&self.pipe).take();
    }

    /// Kills all processes of the group and waits for the leader's end.
    pub async fn end(&self) {
        self.release();
        // The leader kills itself, so its status carries no information.
        let _ = self.leader.lock().await.wait().await;
    }
}
