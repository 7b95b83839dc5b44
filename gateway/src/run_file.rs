//! The file by which whoever started a gateway learns where it listens. It appears whole, once the gateway
//! serves, and goes with the gateway.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use synapsor_chassis::files::{self, MODE_PRIVATE};
use synapsor_chassis::run::ExitError;

use crate::confinement;

/// Removes the file when the gateway ends in order.
#[derive(Debug)]
pub(crate) struct RunFile(PathBuf);

/// Where HTTP is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) transport: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) is_https: bool,
}

/// Writes the file when one is wanted. Stdio has no place.
pub(crate) fn write(path: Option<&Path>, place: Option<Place>) -> Result<Option<RunFile>, ExitError> {
    let Some(path) = path else {
        return Ok(None);
    };
    let content = json!({
        "role": "gateway",
        "pid": std::process::id(),
        "posture": confinement::posture(),
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
        // A file that is gone already is what is wanted.
        let _ = std::fs::remove_file(&self.0);
    }
}
