//! Edits a trust file: under a lock, validated as a whole, replaced by rename, with a backup beside it.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use synapsor_chassis::files::{self, FileLock, MODE_PRIVATE};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::limits::FILE_BYTES_MAX;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::TrustFile;

/// A trust file that is being edited.
#[derive(Debug)]
pub(crate) struct TrustEdit {
    path: PathBuf,
    before: Vec<u8>,
    file: Json,
    _lock: FileLock,
}

impl TrustEdit {
    /// Takes the lock and reads the file, which must be valid.
    pub(crate) fn begin(path: &Path) -> Result<Self, ExitError> {
        let lock_path = path.with_extension("json.lock");
        let locked = FileLock::try_exclusive(&lock_path).map_err(|error| error.about(path))?;
        let Some(lock) = locked else {
            return Err(ExitError::new(
                ErrorCode::TrustFileBusy,
                "trust file is locked by another command",
            )
            .with_fix("retry when that command ends"));
        };
        let most = u64::try_from(FILE_BYTES_MAX).expect("a megabyte fits");
        let before = files::read_bounded(path, most)?;
        check(&before, "is invalid")?;
        let file = serde_json::from_slice(&before)
            .map_err(|e| ExitError::new(ErrorCode::TrustFileInvalid, format!("invalid trust file: {e}")))?;
        Ok(Self {
            path: path.to_owned(),
            before,
            file,
            _lock: lock,
        })
    }

    /// The operator entries, for editing.
    pub(crate) fn operators(&mut self) -> Result<&mut Vec<Json>, ExitError> {
        self.entries("operators")
    }

    /// The signed discontinuities, for editing.
    pub(crate) fn recoveries(&mut self) -> Result<&mut Vec<Json>, ExitError> {
        if self.file["recoveries"].is_null() {
            self.file["recoveries"] = Json::Array(Vec::new());
        }
        self.entries("recoveries")
    }

    /// The entries of one key list, for editing.
    pub(crate) fn entries(&mut self, list: &str) -> Result<&mut Vec<Json>, ExitError> {
        self.file[list]
            .as_array_mut()
            .ok_or_else(|| ExitError::new(ErrorCode::TrustFileInvalid, format!("$.{list}: must be an array")))
    }

    /// Validates the result, keeps a backup beside it and replaces the file. Returns the backup's path.
    pub(crate) fn commit(self, now: Timestamp) -> Result<PathBuf, ExitError> {
        let mut after = serde_json::to_vec_pretty(&self.file).map_err(|e| {
            ExitError::new(
                ErrorCode::TrustFileInvalid,
                format!("cannot write trust file: {e}"),
            )
        })?;
        after.push(b'\n');
        check(&after, "would be invalid after this edit; no changes written")?;
        let name = self
            .path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let stamp: String = now
            .to_string()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let backup = self.path.with_file_name(format!("{name}.{stamp}.bak"));
        files::create_exclusive(&backup, &self.before).map_err(|error| error.about(&self.path))?;
        files::write_atomic(&self.path, &after, MODE_PRIVATE)?;
        Ok(backup)
    }
}

fn check(bytes: &[u8], what: &str) -> Result<(), ExitError> {
    TrustFile::parse(bytes)
        .map(|_| ())
        .map_err(|refusal| ExitError::new(refusal.code, format!("the trust file {what}: {}", refusal.public)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(folder: &Path) -> PathBuf {
        let path = folder.join("synapsor.trust.json");
        let file = json!({
            "version": 1, "deployment_id": "dev-1", "environment": "dev",
            "readers": [], "writers": [], "ledgers": [], "operators": [],
        });
        std::fs::write(&path, file.to_string()).unwrap();
        path
    }

    #[test]
    fn invalid_edit_leaves_trust_file_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let before = std::fs::read(&path).unwrap();
        let mut edit = TrustEdit::begin(&path).unwrap();
        edit.operators().unwrap().push(json!({"person": "x"}));
        assert!(edit.commit(Timestamp::from_unix_millis(0)).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn lock_that_cannot_be_made_names_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let failure = TrustEdit::begin(&missing.join("synapsor.trust.json")).unwrap_err();
        let text = format!("the directory {} does not exist", missing.display());
        assert_eq!(failure.message(), text);
    }

    #[test]
    fn edit_keeps_backup_and_excludes_concurrent_edits() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let before = std::fs::read(&path).unwrap();
        let mut edit = TrustEdit::begin(&path).unwrap();
        assert_eq!(
            TrustEdit::begin(&path).unwrap_err().code(),
            ErrorCode::TrustFileBusy
        );
        let key = synapsor_domain::signing::SigningKey::from_seed(&zeroize::Zeroizing::new([7; 32]));
        edit.operators().unwrap().push(json!({
            "person": "ann", "key_id": key.key_id(), "public_key": key.public_key(), "roles": ["approver"],
            "not_before": "2026-01-01T00:00:00.000Z", "not_after": "2027-01-01T00:00:00.000Z",
        }));
        let backup = edit.commit(Timestamp::from_unix_millis(0)).unwrap();
        assert_eq!(std::fs::read(backup).unwrap(), before);
        assert_eq!(
            TrustFile::parse(&std::fs::read(&path).unwrap())
                .unwrap()
                .operators
                .len(),
            1
        );
    }
}
