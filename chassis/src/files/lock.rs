//! Advisory file lock that ends with the process. It affects only processes that take the same lock.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::{FileError, MODE_PRIVATE};

/// Holds an exclusive lock until it is dropped or the process ends for any reason.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock on `path` without waiting; creates an empty file with mode 0600 if it is missing. Returns
    /// `None` if another process, or another lock in this one, holds it. Releasing the lock keeps the file.
    ///
    /// # Errors
    /// When the file cannot be opened, or the file system does not support locks.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>, FileError> {
        let nofollow = i32::try_from(OFlags::NOFOLLOW.bits()).expect("open flags are an int");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE_PRIVATE)
            .custom_flags(nofollow)
            .open(path)
            .map_err(|e| FileError::of(path, &e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(FileError::of(path, &errno.into())),
        }
    }
}
