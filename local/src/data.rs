//! The data folder of a stack.

use crate::Error;
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Data that a stack keeps across restarts. A lock prevents two stacks from sharing a folder.
pub struct Data {
    folder: Option<Folder>,
}

struct Folder {
    path: PathBuf,
    /// Held while the stack runs. The system releases it, however the process ends.
    lock: File,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process that is starting may hold a copy of the
        // descriptor.
        let _ = self.lock.unlock();
    }
}

impl Data {
    pub fn in_memory() -> Self {
        Self { folder: None }
    }

    pub fn open(path: &Path) -> Result<Self, Error> {
        let unusable = |error: io::Error| {
            Error::new(format!(
                "The data folder {} cannot be used: {error}",
                path.display()
            ))
            .advice("Choose another folder with --data-dir, or use --in-memory.")
        };
        // Only for this user: the folder holds secrets and mails.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(unusable)?;
        let lock = private(&path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                folder: Some(Folder {
                    path: path.to_owned(),
                    lock,
                }),
            }),
            Err(TryLockError::WouldBlock) => Err(Error::new(format!(
                "Another stack is using the data folder {}.",
                path.display()
            ))
            .advice("Stop it, choose another folder with --data-dir, or use --in-memory.")),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Path of the database file; `None` for a database in memory.
    pub fn database(&self) -> Option<PathBuf> {
        self.folder
            .as_ref()
            .map(|folder| folder.path.join("dynamodb.sqlite"))
    }

    /// Reads a file of the data folder; `None` if it was never written.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let path = folder.path.join(name);
        match std::fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(format!(
                "{} cannot be read: {error}",
                path.display()
            ))),
        }
    }

    pub fn remove(&self, name: &str) {
        if let Some(folder) = &self.folder {
            // The file may not exist.
            let _ = std::fs::remove_file(folder.path.join(name));
        }
    }

    /// Writes a file atomically: a stack that is killed during the write leaves the old content or
    /// the new one.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let path = folder.path.join(name);
        let draft = folder.path.join(format!("{name}.new"));
        private(&draft)
            .and_then(|mut file| {
                file.set_len(0)?;
                file.write_all(content)
            })
            .and_then(|()| std::fs::rename(&draft, &path))
            .map_err(|error| Error::new(format!("{} cannot be written: {error}", path.display())))
    }
}

/// Opens a file that only this user can read, even in a folder that others can enter.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
}
