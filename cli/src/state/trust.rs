//! Locates and reads the trust file. The domain validates it; the operator commands edit it.

use std::path::{Path, PathBuf};

use synapsor_chassis::files::{self, FileError};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::limits::FILE_BYTES_MAX;
use synapsor_domain::trust::TrustFile;

use crate::Context;

/// `--trust`, else the trust file of the state directory, which then must exist.
pub(crate) fn trust_path(context: &Context) -> Result<PathBuf, ExitError> {
    match &context.global.trust {
        Some(path) => Ok(path.clone()),
        None => Ok(super::find(context)?.trust_path().to_owned()),
    }
}

pub(crate) fn load_trust(path: &Path) -> Result<TrustFile, ExitError> {
    let bytes = files::read_bounded(path, FILE_BYTES_MAX as u64).map_err(|error| match error {
        FileError::Missing(path) => ExitError::new(
            ErrorCode::TrustFileMissing,
            format!("trust file {} not found", path.display()),
        )
        .with_fix("pass its path with --trust"),
        other => other.into(),
    })?;
    files::check_not_writable_by_others(path)
        .map_err(|error| ExitError::new(ErrorCode::TrustFileOpen, error.to_string()).with_fix(error.fix()))?;
    TrustFile::parse(&bytes).map_err(|refusal| {
        ExitError::new(refusal.code, format!("{}: {}", path.display(), refusal.public))
            .with_fix("restore the file from its backup, or fix the reported entries")
    })
}
