//! Run file: reports the address and pid of a gateway to its parent process. It is written atomically once the
//! gateway serves, and removed at exit.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use synapsor_chassis::files::{self, MODE_PRIVATE};
use synapsor_chassis::run::ExitError;

use crate::sandbox;

/// Removes the file on orderly exit.
#[derive(Debug)]
pub(crate) struct RunFile(PathBuf);

/// Address of the HTTP server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenAddress {
    pub(crate) transport: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) is_https: bool,
}

/// Writes the run file if a path is given. Stdio has no address.
pub(crate) fn write(path: Option<&Path>, place: Option<ListenAddress>) -> Result<Option<RunFile>, ExitError> {
    let Some(path) = path else {
        return Ok(None);
    };
    let content = json!({
        "role": "gateway",
        "pid": std::process::id(),
        "posture": sandbox::posture(),
        "transport": place.map_or("stdio", |place| place.transport),
        "address": place.map(|place| place.address.to_string()),
        "url": place.map(|place| {
            let scheme = if place.is_https { "https" } else { "http" };
            format!("{scheme}://{}/mcp", place.address)
        }),
    });
    files::write_atomic(path, format!("{content}\n").as_bytes(), MODE_PRIVATE)?;
    Ok(Some(RunFile(path.to_owned())))
}

impl Drop for RunFile {
    fn drop(&mut self) {
        // The file may already be removed.
        let _ = std::fs::remove_file(&self.0);
    }
}
