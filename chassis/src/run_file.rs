//! Run file: process id and listen address of a serving process, for its parent and for other commands of the same
//! state directory. A process that fails writes its error beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::files::{self, FileStamp, MODE_PRIVATE};
use crate::refusal_cause;
use crate::run::ExitError;

const BYTES_MAX: u64 = 16 * 1024;
/// Ending of the name of an error's file.
const FAILED: &str = "failed";
/// Time after which an error that no parent took is removed.
const ERROR_KEPT: Duration = Duration::from_secs(600);

/// Content of a run file. Fields that a role does not have are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    pub pid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Absent for a gateway on stdio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Sandbox level that the process reports; only a gateway sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posture: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// URL of the MCP endpoint of a gateway on HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl RunFile {
    /// Run file of this process in a role.
    pub fn of_this_process(role: &str, address: Option<SocketAddr>) -> Self {
        Self {
            pid: std::process::id(),
            role: Some(role.to_owned()),
            address,
            posture: None,
            transport: None,
            url: None,
        }
    }

    /// `None` when the file is missing, not complete, or not a run file.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = files::read_bounded(path, BYTES_MAX).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Whether a process with this id exists.
    pub fn is_alive(&self) -> bool {
        is_process(self.pid)
    }

    /// Writes the file atomically. Keep the guard while the process serves.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn publish(&self, path: &Path) -> Result<RunFileGuard, ExitError> {
        let mut bytes = serde_json::to_vec(self).expect("plain fields have a JSON form");
        bytes.push(b'\n');
        remove_of_ended(path.parent());
        files::write_atomic(path, &bytes, MODE_PRIVATE)?;
        Ok(RunFileGuard {
            stamp: FileStamp::of(path).ok(),
            path: path.to_owned(),
        })
    }
}

/// Removes the run files of processes that were killed, as far as this process may list the directory.
fn remove_of_ended(directory: Option<&Path>) {
    let entries = directory.and_then(|directory| std::fs::read_dir(directory).ok());
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    for path in paths.filter(|path| path.extension().is_some_and(|ending| ending == "json")) {
        if RunFile::read(&path).is_some_and(|found| !found.is_alive()) {
            let _ = std::fs::remove_file(path);
        }
    }
}

pub(crate) fn is_process(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| is_found(rustix::process::test_kill_process(pid)))
}

/// A process that this one may not signal, by its user or its sandbox, exists too.
fn is_found(signaled: Result<(), Errno>) -> bool {
    signaled != Err(Errno::SRCH)
}

/// File of the process `pid` beside its run file, for example `reader.json.7.failed`. It has a name of its own: the
/// run file may be that of a process which serves, and which another one could not replace.
pub(crate) fn beside(run_file: &Path, pid: u32, ending: &str) -> PathBuf {
    let mut name = run_file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{pid}.{ending}"));
    run_file.with_file_name(name)
}

/// Returns the files of a directory that have such a name, each with its process id.
pub(crate) fn all_in(directory: Option<&Path>, ending: &str) -> Vec<(PathBuf, u32)> {
    let entries = directory.and_then(|directory| std::fs::read_dir(directory).ok());
    let pid_of = |name: &str| -> Option<u32> {
        let (_, pid) = name.strip_suffix(ending)?.strip_suffix('.')?.rsplit_once('.')?;
        pid.parse().ok()
    };
    let entries = entries.into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), pid_of(&entry.file_name().to_string_lossy())?)))
        .collect()
}

fn error_path(run_file: &Path, pid: u32) -> PathBuf {
    beside(run_file, pid, FAILED)
}

/// Writes the error of this process for its parent, as far as possible: it is also printed.
pub(crate) fn leave_error(run_file: &Path, error: &ExitError) {
    remove_old_errors(run_file);
    let bytes = serde_json::to_vec(error).expect("plain fields have a JSON form");
    if let Err(error) = files::write_atomic(&error_path(run_file, std::process::id()), &bytes, MODE_PRIVATE) {
        tracing::warn!(%error, "error not written beside the run file");
    }
}

/// Removes errors that no parent took, so that restarts without a supervisor do not collect files.
fn remove_old_errors(run_file: &Path) {
    for (path, _) in all_in(run_file.parent(), FAILED) {
        let written = std::fs::metadata(&path).and_then(|found| found.modified());
        let age = written.ok().and_then(|written| written.elapsed().ok());
        if age.is_some_and(|age| age > ERROR_KEPT) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Returns the error with which the process `pid` ended, and removes its file.
pub fn take_error(run_file: &Path, pid: u32) -> Option<ExitError> {
    let path = error_path(run_file, pid);
    let bytes = files::read_bounded(&path, BYTES_MAX).ok()?;
    let _ = std::fs::remove_file(&path);
    serde_json::from_slice(&bytes).ok()
}

/// Removes the run file when dropped, unless a successor has written its own.
#[derive(Debug)]
pub struct RunFileGuard {
    path: PathBuf,
    /// Compared instead of the content: a sandboxed process may not read the file.
    stamp: Option<FileStamp>,
}

impl Drop for RunFileGuard {
    fn drop(&mut self) {
        if FileStamp::of(&self.path).ok() == self.stamp {
            let _ = std::fs::remove_file(&self.path);
        }
        refusal_cause::remove(&self.path, std::process::id());
    }
}

#[cfg(test)]
mod tests {
    use synapsor_codes::ErrorCode;

    use super::*;

    fn file() -> RunFile {
        RunFile::of_this_process("writer", Some("127.0.0.1:7000".parse().unwrap()))
    }

    #[test]
    fn published_file_reads_back_and_ends_with_its_guard() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("writer.json");
        let guard = file().publish(&path).unwrap();
        let found = RunFile::read(&path).unwrap();
        assert_eq!(found, file());
        assert!(found.is_alive());
        drop(guard);
        assert_eq!(RunFile::read(&path), None);
    }

    #[test]
    fn process_that_may_not_be_signaled_exists() {
        assert!(is_found(Ok(())) && is_found(Err(Errno::PERM)));
        assert!(!is_found(Err(Errno::SRCH)));
        assert!(!is_process(0) && !is_process(u32::MAX));
    }

    #[test]
    fn run_files_of_killed_processes_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let killed = RunFile {
            pid: u32::MAX / 2,
            ..file()
        };
        for (name, content) in [("reader-1.json", &killed), ("reader-2.json", &file())] {
            std::fs::write(at(name), serde_json::to_vec(content).unwrap()).unwrap();
        }
        std::fs::write(at("other.json"), "{}").unwrap();
        let _guard = file().publish(&at("writer.json")).unwrap();
        assert!(!at("reader-1.json").exists());
        assert!(at("reader-2.json").exists() && at("other.json").exists());
    }

    #[test]
    fn guard_keeps_the_file_of_a_successor() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("writer.json");
        let first = file().publish(&path).unwrap();
        let successor = RunFile { pid: 1, ..file() };
        let _second = successor.publish(&path).unwrap();
        drop(first);
        assert_eq!(RunFile::read(&path), Some(successor));
    }

    #[test]
    fn error_of_a_failed_process_keeps_the_run_file_of_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.json");
        let _serves = file().publish(&path).unwrap();
        let error =
            ExitError::new(ErrorCode::StoreLocked, "another ledger owns the store").with_fix("stop it");
        leave_error(&path, &error);
        assert_eq!(RunFile::read(&path), Some(file()));
        assert_eq!(take_error(&path, 1), None);
        assert_eq!(take_error(&path, std::process::id()), Some(error));
        assert_eq!(take_error(&path, std::process::id()), None);
    }

    #[test]
    fn files_of_earlier_releases_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.json");
        let earlier =
            r#"{"role":"gateway","pid":7,"posture":"p","transport":"stdio","address":null,"url":null}"#;
        std::fs::write(&path, earlier).unwrap();
        let found = RunFile::read(&path).unwrap();
        assert_eq!((found.pid, found.address), (7, None));
        std::fs::write(&path, r#"{"address":"127.0.0.1:1","pi"#).unwrap();
        assert_eq!(RunFile::read(&path), None);
    }
}
