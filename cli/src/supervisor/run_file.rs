//! Run file with the listen address of a started process.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use synapsor_chassis::files;

const BYTES_MAX: u64 = 16 * 1024;

/// Process id and listen address of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunFile {
    pub(crate) pid: u32,
    /// Absent for a gateway on stdio.
    pub(crate) address: Option<SocketAddr>,
    /// Sandbox level that the process reports; only a gateway sets it.
    pub(crate) posture: Option<String>,
}

impl RunFile {
    /// `None` when the file is missing, not complete, or not a run file.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let bytes = files::read_bounded(path, BYTES_MAX).ok()?;
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        let pid = value.get("pid")?.as_u64()?.try_into().ok()?;
        let address = value
            .get("address")
            .and_then(Value::as_str)
            .and_then(|a| a.parse().ok());
        let posture = value.get("posture").and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            pid,
            address,
            posture,
        })
    }

    /// Whether a process with this id exists.
    pub(crate) fn is_alive(&self) -> bool {
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
    }
}
