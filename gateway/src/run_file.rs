//! The file by which whoever started a gateway learns where it listens. It appears whole, once the gateway
//! serves, and goes with the gateway.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use synapsor_chassis::files::{self, MODE_PRIVATE};
use synapsor_chassis::run::Failure;

/// Removes the file when the gateway ends in order.
#[derive(Debug)]
pub(crate) struct RunFile(PathBuf);

/// Writes the file when one is wanted. `address` is where HTTP is served; stdio has none.
pub(crate) fn write(path: Option<&Path>, address: Option<SocketAddr>) -> Result<Option<RunFile>, Failure> {
    let Some(path) = path else {
        return Ok(None);
    };
    let content = json!({
        "role": "gateway",
        "pid": std::process::id(),
        "transport": if address.is_some() { "streamable-http" } else { "stdio" },
        "address": address.map(|address| address.to_string()),
        "url": address.map(|address| format!("http://{address}/mcp")),
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
