//! The process group of a stack's functions, which ends with the stack, however the stack ends.

use crate::{Error, ambient};
use std::{process::Stdio, sync::Mutex};
use tokio::process::{Child, ChildStdin, Command};

/// A shell leads the group and waits on a pipe that this process holds. When the pipe closes,
/// because it is dropped or because this process was killed, the shell kills the group and with it
/// itself.
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
                    "/bin/sh, which watches over the functions, does not start: {error}"
                ))
            })?;
        let id = leader
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .ok_or_else(|| {
                Error::new("/bin/sh, which watches over the functions, ended at once")
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

    /// Has every process of the group ended, without waiting for it.
    pub fn release(&self) {
        ambient::lock(&self.pipe).take();
    }

    /// Ends every process of the group.
    pub async fn end(&self) {
        self.release();
        // The leader ends by its own signal; how does not matter.
        let _ = self.leader.lock().await.wait().await;
    }
}
