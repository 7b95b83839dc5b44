//! Locates the other binaries: only beside this one, because another user may control a search path.

use std::path::PathBuf;

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;

/// Fix for a binary that is present but cannot be run.
pub(super) const NOT_EXECUTABLE_FIX: &str = "check that the binaries beside synapsor-runner are executable";

/// Path of the binary `name` in the directory of this executable.
pub(crate) fn path(name: &str) -> Result<PathBuf, ExitError> {
    let unknown = |why: String| {
        ExitError::new(ErrorCode::BinaryMissing, why)
            .with_fix("install synapsor-runner, -gateway, -executor and -ledger in one directory")
    };
    let own = std::env::current_exe()
        .map_err(|error| unknown(format!("directory of this executable unknown: {}", error.kind())))?;
    let path = own.with_file_name(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(unknown(format!("{} not found", path.display())))
    }
}
