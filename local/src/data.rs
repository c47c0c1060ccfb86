//! The folder in which a stack keeps its data, or none at all.

use crate::Error;
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// What one stack keeps over a restart. Two stacks never share it.
pub struct Data {
    folder: Option<Folder>,
}

struct Folder {
    path: PathBuf,
    /// Held for as long as the stack runs; the system releases it, however the stack ends.
    lock: File,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process that is just being started has a copy of
        // its descriptor.
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
            .advice("Choose another with --data-dir, or keep nothing with --in-memory.")
        };
        // For this user alone: secrets and mails are in it.
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
                "Another stack is running on the data in {}.",
                path.display()
            ))
            .advice("Stop it, or choose another folder with --data-dir or none with --in-memory.")),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Where the database is to be; `None` in memory.
    pub fn database(&self) -> Option<PathBuf> {
        self.folder
            .as_ref()
            .map(|folder| folder.path.join("dynamodb.sqlite"))
    }

    /// The content that was last written under this name.
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

    /// Takes back what was written under this name.
    pub fn remove(&self, name: &str) {
        if let Some(folder) = &self.folder {
            // It may be gone.
            let _ = std::fs::remove_file(folder.path.join(name));
        }
    }

    /// Replaces the content as a whole: a stack that is killed meanwhile leaves the old one or the
    /// new one.
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

/// A file for this user alone, even in a folder that others may enter.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
}
