//! Detects whether a file changed since it was read, without reading it again.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::FileError;

/// Minimum age of a change in milliseconds. File systems may give the same timestamp to two changes within a few
/// milliseconds.
const SETTLED_AFTER_MS: i64 = 1_000;

/// File metadata that differs after every write, replacement or mode change, if the stamp was
/// [stable](Self::is_stable).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    bytes: u64,
    mode: u32,
    owner: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// Returns the stamp of the file at `path`. Take it before reading, so that the next check detects a
    /// concurrent change.
    ///
    /// # Errors
    /// When the file is missing or its metadata is not accessible.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let found = std::fs::metadata(path).map_err(|e| FileError::of(path, &e))?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            mode: found.mode(),
            owner: found.uid(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// Whether the last change is old enough, at `now_ms` milliseconds since 1970, that any later change gives
    /// another stamp. Otherwise the file must be read again.
    pub fn is_stable(&self, now_ms: i64) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let changed_ms = seconds
            .saturating_mul(1_000)
            .saturating_add(nanoseconds / 1_000_000);
        now_ms.saturating_sub(changed_ms) >= SETTLED_AFTER_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_a_stable_file_changes_its_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let first = FileStamp::of(&path).unwrap();
        let (seconds, _) = first.changed;
        assert!(!first.is_stable(seconds * 1_000));
        assert!(first.is_stable((seconds + 2) * 1_000));
        assert_eq!(FileStamp::of(&path).unwrap(), first);
        std::fs::write(folder.path().join("new"), "two").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_ne!(FileStamp::of(&path).unwrap(), first);
    }
}
