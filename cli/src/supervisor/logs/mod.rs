//! Log files of child processes. An open log is locked, so that only logs of ended processes are removed; number and
//! size are limited.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synapsor_chassis::files;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use tokio::task::JoinHandle;

/// Maximum number of log files that no running process writes.
const ENDED_LOGS_MAX: usize = 32;
/// Size at which a log becomes the older part, in bytes.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Interval at which the sizes are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The same after a failure, which often lasts, such as a full disk.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);
const LOG_ENDING: &str = ".log";
/// Ending of the older part, after the name of its log.
const OLDER_ENDING: &str = ".1";

/// Log of a child. It is not removed while this process or the child has it open.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens the log for appending; creates it if it is missing.
    ///
    /// # Errors
    /// `STATE_NOT_WRITABLE`.
    pub(super) fn open(path: &Path) -> Result<Self, ExitError> {
        open_locked(path)
            .map(|file| Self {
                path: path.to_owned(),
                file,
            })
            .map_err(|error| not_writable(path, &error))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the log as the stderr of a child, which then shares the lock.
    ///
    /// # Errors
    /// `STATE_NOT_WRITABLE` when this process cannot open more files.
    pub(super) fn stderr(&self) -> Result<Stdio, ExitError> {
        let file = self.file.try_clone();
        file.map(Stdio::from)
            .map_err(|error| not_writable(&self.path, &error))
    }
}

fn not_writable(path: &Path, error: &io::Error) -> ExitError {
    ExitError::new(
        ErrorCode::StateNotWritable,
        format!("cannot write {}: {}", path.display(), error.kind()),
    )
    .with_fix("check that the state directory is writable by this user")
}

fn open_locked(path: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(files::MODE_PRIVATE)
            .open(path)?;
        // Shared, because a child and its successor may have the same log. Where the file system has no locks, none is
        // removed either.
        let is_locked = file.lock_shared().is_ok();
        if !is_locked || is_at(&file, path) {
            return Ok(file);
        }
        // It was removed between the two steps.
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |found: io::Result<fs::Metadata>| found.map(|found| (found.dev(), found.ino())).ok();
    identity(file.metadata()) == identity(fs::metadata(path))
}

/// Logs of the processes that one command started. Clones share the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommandLogs(Arc<Mutex<Vec<PathBuf>>>);

impl CommandLogs {
    pub(super) fn add(&self, log: PathBuf) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(log);
    }

    /// Removes the logs with their older parts. Best effort.
    pub(crate) fn remove(&self) {
        for log in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = fs::remove_file(older_part(&log));
            let _ = fs::remove_file(log);
        }
    }
}

/// Removes the oldest logs of ended processes beyond the maximum. Best effort.
pub(super) fn remove_old(dir: &Path) {
    remove_all_but(dir, ENDED_LOGS_MAX);
}

fn remove_all_but(dir: &Path, ended_max: usize) {
    // One removal at a time: another one would see the logs that this one locks as open.
    let Ok(removal) = File::open(dir) else {
        return;
    };
    let _ = removal.lock();
    let modified = |path: &PathBuf| fs::metadata(path).and_then(|found| found.modified()).ok();
    let found = list(dir).unwrap_or_default().into_iter();
    let mut logs: Vec<_> = found.filter_map(|path| Some((modified(&path)?, path))).collect();
    logs.sort_by(|left, right| right.cmp(left));
    let mut ended = 0;
    for (_, path) in logs {
        let Some(_lock) = lock_ended(&path) else {
            continue;
        };
        ended += 1;
        if ended > ended_max {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Locks a log that no process has open; `None` if one has, or it cannot be determined. An older part has the lock of
/// its log.
fn lock_ended(path: &Path) -> Option<File> {
    let log = path.with_extension("");
    let is_older_part = !is_log(path) && log.exists();
    let file = File::options()
        .read(true)
        .write(true)
        .open(if is_older_part { &log } else { path });
    file.ok().filter(|file| file.try_lock().is_ok())
}

/// Rotates the logs of `dir` until the task is aborted: also those of other starts, because a ledger outlives the
/// command that started it. A failure is logged and tried again.
pub(super) fn rotate_while_running(dir: PathBuf) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let of = dir.clone();
            let checked = tokio::task::spawn_blocking(move || rotate_all(&of, LOG_BYTES_MAX)).await;
            let failures = checked.unwrap_or_default();
            for (path, error) in &failures {
                tracing::warn!(path = %path.display(), error = %error.kind(), "log not rotated");
            }
            let is_ok = failures.is_empty();
            tokio::time::sleep(if is_ok { CHECK_INTERVAL } else { RETRY_INTERVAL }).await;
        }
    })
}

/// Rotates each log of at least `bytes_max` bytes. Returns what failed.
fn rotate_all(dir: &Path, bytes_max: u64) -> Vec<(PathBuf, io::Error)> {
    let logs = match list(dir) {
        Ok(paths) => paths.into_iter().filter(|path| is_log(path)),
        Err(error) => return vec![(dir.to_owned(), error)],
    };
    let failed = |log: PathBuf| Some((rotate(&log, bytes_max).err()?, log));
    logs.filter_map(failed)
        // Removed by another process.
        .filter(|(error, _)| error.kind() != ErrorKind::NotFound)
        .map(|(error, log)| (log, error))
        .collect()
}

/// Copies the newest `bytes_max` bytes of a log that has at least as many to its older part, and empties the log. Its
/// writers continue in the same file, because they append.
fn rotate(log: &Path, bytes_max: u64) -> io::Result<()> {
    if fs::metadata(log)?.len() < bytes_max {
        return Ok(());
    }
    let mut file = File::options().read(true).write(true).open(log)?;
    let mut older = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(files::MODE_PRIVATE)
        .open(older_part(log))?;
    match older.try_lock() {
        Ok(()) => {}
        // Another process rotates it.
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let bytes = file.metadata()?.len();
    if bytes < bytes_max {
        return Ok(());
    }
    older.set_len(0)?;
    file.seek(SeekFrom::Start(bytes - bytes_max))?;
    if let Err(error) = io::copy(&mut file, &mut older) {
        // A part is of no use, and its room is missing elsewhere.
        older.set_len(0)?;
        return Err(error);
    }
    file.set_len(0)
}

fn older_part(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(OLDER_ENDING);
    name.into()
}

fn is_log(path: &Path) -> bool {
    path.to_string_lossy().ends_with(LOG_ENDING)
}

/// Lists logs and older parts; none if the directory is missing.
fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| {
        let text = path.to_string_lossy();
        is_log(Path::new(text.strip_suffix(OLDER_ENDING).unwrap_or(&text)))
    });
    Ok(paths)
}

#[cfg(test)]
mod tests;
