//! Run file: reports the address and pid of a gateway to its parent process. It is written atomically once the
//! gateway serves, and removed at exit.

use std::net::SocketAddr;
use std::path::Path;

use synapsor_chassis::run::ExitError;
use synapsor_chassis::run_file::{RunFile, RunFileGuard};

use crate::sandbox;

/// Address of the HTTP server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenAddress {
    pub(crate) transport: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) is_https: bool,
}

/// Writes the run file if a path is given. Stdio has no address.
pub(crate) fn write(
    path: Option<&Path>,
    listen: Option<ListenAddress>,
) -> Result<Option<RunFileGuard>, ExitError> {
    let Some(path) = path else {
        return Ok(None);
    };
    let url = |listen: ListenAddress| {
        let scheme = if listen.is_https { "https" } else { "http" };
        format!("{scheme}://{}/mcp", listen.address)
    };
    let run_file = RunFile {
        posture: Some(sandbox::posture().to_owned()),
        transport: Some(listen.map_or("stdio", |listen| listen.transport).to_owned()),
        url: listen.map(url),
        ..RunFile::of_this_process("gateway", listen.map(|listen| listen.address))
    };
    run_file.publish(path).map(Some)
}
