//! Where the other binaries are: beside this one, and nowhere else. A search path could be somebody else's.

use std::path::PathBuf;

use synapsor_chassis::run::ExitError;

/// The binary `name` in the folder of this executable.
pub(crate) fn path(name: &str) -> Result<PathBuf, ExitError> {
    let unknown = |why: String| {
        ExitError::new("BINARY_MISSING", why)
            .with_fix("install synapsor-runner, -gateway, -executor and -ledger in one folder")
    };
    let own = std::env::current_exe().map_err(|error| {
        unknown(format!(
            "the folder of this executable is unknown: {}",
            error.kind()
        ))
    })?;
    let path = own.with_file_name(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(unknown(format!("{} is not there", path.display())))
    }
}
