//! File of a pinned checkpoint, for services and the CLI.

use std::path::{Path, PathBuf};

use synapsor_chassis::files::{self, FileError, MODE_PRIVATE};
use synapsor_domain::log::PinnedCheckpoint;

/// Maximum size, in bytes: an origin, a hash and a size.
const FILE_BYTES_MAX: u64 = 4096;

/// Path of a pinned checkpoint.
#[derive(Debug, Clone)]
pub struct PinFile {
    path: PathBuf,
}

/// Reason why a pinned checkpoint was not read.
#[derive(Debug, thiserror::Error)]
pub enum PinFileError {
    /// The file holds no pinned checkpoint.
    #[error("pinned checkpoint file {} is corrupt", .0.display())]
    Corrupt(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
}

impl PinFile {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the pinned checkpoint; `None` before the first.
    ///
    /// # Errors
    /// When the file is corrupt or cannot be read.
    pub fn load(&self) -> Result<Option<PinnedCheckpoint>, PinFileError> {
        match files::read_bounded(&self.path, FILE_BYTES_MAX) {
            Ok(bytes) => PinnedCheckpoint::from_bytes(&bytes)
                .map(Some)
                .ok_or_else(|| PinFileError::Corrupt(self.path.clone())),
            Err(FileError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the file, durably.
    ///
    /// # Errors
    /// When the file cannot be written; it is unchanged then.
    pub fn store(&self, pinned: &PinnedCheckpoint) -> Result<(), FileError> {
        files::write_atomic(&self.path, &pinned.to_bytes(), MODE_PRIVATE)
    }
}
