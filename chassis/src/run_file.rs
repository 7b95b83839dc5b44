//! Run file: process id and listen address of a serving process, for its parent and for other commands of the same
//! state directory. A process that fails writes its error there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, FileStamp, MODE_PRIVATE};
use crate::run::ExitError;

const BYTES_MAX: u64 = 16 * 1024;

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
    /// Why the process ended; absent while it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ExitError>,
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
            error: None,
        }
    }

    /// Run file of this process after it failed.
    pub(crate) fn of_failure(error: &ExitError) -> Self {
        Self {
            pid: std::process::id(),
            role: None,
            address: None,
            posture: None,
            transport: None,
            url: None,
            error: Some(error.clone()),
        }
    }

    /// `None` when the file is missing, not complete, or not a run file.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = files::read_bounded(path, BYTES_MAX).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Returns the error with which the process `pid` ended.
    pub fn error_of(path: &Path, pid: u32) -> Option<ExitError> {
        Self::read(path).filter(|found| found.pid == pid)?.error
    }

    /// Whether a process with this id exists, and has not failed.
    pub fn is_alive(&self) -> bool {
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        self.error.is_none() && pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
    }

    /// Writes the file atomically. Keep the guard while the process serves.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn publish(&self, path: &Path) -> Result<RunFileGuard, ExitError> {
        files::write_atomic(path, &self.to_bytes(), MODE_PRIVATE)?;
        Ok(RunFileGuard {
            stamp: FileStamp::of(path).ok(),
            path: path.to_owned(),
        })
    }

    /// Writes the file as far as possible: the error that it holds is also printed.
    pub(crate) fn write(&self, path: &Path) {
        if let Err(error) = files::write_atomic(path, &self.to_bytes(), MODE_PRIVATE) {
            tracing::warn!(%error, "run file not written");
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("plain fields have a JSON form");
        bytes.push(b'\n');
        bytes
    }
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
    fn failed_process_leaves_its_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("writer.json");
        let error =
            ExitError::new(ErrorCode::StoreLocked, "another ledger owns the store").with_fix("stop it");
        RunFile::of_failure(&error).write(&path);
        assert_eq!(RunFile::error_of(&path, std::process::id()), Some(error));
        assert_eq!(RunFile::error_of(&path, 1), None);
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
