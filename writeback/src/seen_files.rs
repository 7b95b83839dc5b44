//! Records in which file each SQLite database was last seen. A copy of the file has the identity of the
//! original, so two existing copies would both pass as the one database. The second copy to be opened is
//! rejected.
//!
//! A moved file, or a restored file that replaced it, is the same database: no file remains at the old path.
//! The check for the newest receipts finds the rows that a restored file lacks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synapsor_chassis::files::{self, FileError, MODE_PRIVATE};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_engine::sqlite::connect::{DatabaseFile, FileLocation};
use synapsor_engine::sqlite::read;

const FILE: &str = "source-files.json";
/// Maximum size of the file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Files by the identity of their database. Clones share them.
#[derive(Debug, Clone)]
pub struct SeenFiles {
    state: PathBuf,
    files: Arc<Mutex<BTreeMap<String, FileLocation>>>,
}

impl SeenFiles {
    /// Reads the record of an earlier process from the state directory.
    ///
    /// # Errors
    /// `SOURCE_FILES_UNREADABLE` for a malformed file.
    pub fn open(state_dir: &Path) -> Result<Self, ExitError> {
        let state = state_dir.join(FILE);
        let files = match files::read_bounded(&state, FILE_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let text = format!("{}: {error}", state.display());
                ExitError::new(ErrorCode::SourceFilesUnreadable, text)
                    .with_fix("remove the file; make sure that no copy of a source is in use")
            })?,
            Err(FileError::Missing(_)) => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            state,
            files: Arc::new(Mutex::new(files)),
        })
    }

    /// Accepts the current file of a database, unless another existing file has the same identity.
    ///
    /// # Errors
    /// `refused:source_copied`; `refused:state_not_writable` if a new path cannot be recorded.
    pub(crate) async fn check(&self, identity: &str, location: &FileLocation) -> Result<(), PublicError> {
        if self.lock().get(identity) == Some(location) {
            return Ok(());
        }
        let (this, identity, location) = (self.clone(), identity.to_owned(), location.clone());
        let checked = tokio::task::spawn_blocking(move || this.check_now(identity, location));
        checked
            .await
            .map_err(|_| not_writable("the thread ended".to_owned()))?
    }

    fn check_now(&self, identity: String, location: FileLocation) -> Result<(), PublicError> {
        // Held while the files are checked, so that two sources cannot both claim one path.
        let mut files = self.lock();
        if let Some(known) = files.get(&identity)
            && !known.is_same_file(&location)
            && known.path != location.path
            && may_be_alive(known, &identity)
        {
            tracing::error!(known = %known.path.display(), found = %location.path.display(), "source file is a copy of an existing one");
            return Err(PublicError::new(
                ErrorCode::RefusedSourceCopied,
                "the file is a copy of a database whose original file still exists; remove one of the two, or give the copy \
                 its own identity in its table `synapsor_database_identity`",
            ));
        }
        let mut moved = files.clone();
        moved.insert(identity, location);
        let bytes = serde_json::to_vec(&moved).map_err(|e| not_writable(e.to_string()))?;
        files::write_atomic(&self.state, &bytes, MODE_PRIVATE).map_err(|e| not_writable(e.to_string()))?;
        // Only after the write: a path that is not on disk is not accepted the second time either.
        *files = moved;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, FileLocation>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a file with this identity exists at its last known path. An unreadable file counts as existing.
fn may_be_alive(known: &FileLocation, identity: &str) -> bool {
    let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file(&known.path) {
        return false;
    }
    let file = DatabaseFile::at(known.path.clone());
    let found = file
        .open_reader()
        .and_then(|opened| read::identity(&opened.connection, &file));
    found.map_or(true, |found| found == identity)
}

fn not_writable(detail: String) -> PublicError {
    PublicError::new(
        ErrorCode::RefusedStateNotWritable,
        "the paths of the source files cannot be saved; make the state directory writable",
    )
    .with_detail(detail)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
        seen: SeenFiles,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let seen = SeenFiles::open(folder.path()).unwrap();
            let scene = Self { folder, seen };
            scene.make("app.db", "first-one");
            scene
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().canonicalize().unwrap().join(name)
        }

        fn make(&self, name: &str, instance: &str) {
            let sql = format!(
                "CREATE TABLE synapsor_database_identity (id INTEGER PRIMARY KEY, instance TEXT) STRICT; \
                 INSERT INTO synapsor_database_identity VALUES (1, '{instance}')"
            );
            Connection::open(self.path(name))
                .unwrap()
                .execute_batch(&sql)
                .unwrap();
        }

        async fn open(&self, name: &str) -> Result<(), ErrorCode> {
            let file = DatabaseFile::at(self.path(name));
            let opened = file.open_reader().unwrap();
            let identity = read::identity(&opened.connection, &file).unwrap();
            let checked = self.seen.check(&identity, &file.location().unwrap()).await;
            checked.map_err(|refusal| refusal.code)
        }

        fn copy(&self, from: &str, to: &str) {
            fs::copy(self.path(from), self.path(to)).unwrap();
        }
    }

    #[tokio::test]
    async fn rejects_a_copy_beside_the_original() {
        let mut scene = Scene::new();
        scene.copy("app.db", "copy.db");
        assert_eq!(scene.open("app.db").await, Ok(()));
        assert_eq!(scene.open("copy.db").await, Err(ErrorCode::RefusedSourceCopied));
        // Also after a restart.
        scene.seen = SeenFiles::open(scene.folder.path()).unwrap();
        assert_eq!(scene.open("copy.db").await, Err(ErrorCode::RefusedSourceCopied));
        assert_eq!(scene.open("app.db").await, Ok(()));
        // Whichever remains is the database.
        fs::remove_file(scene.path("app.db")).unwrap();
        assert_eq!(scene.open("copy.db").await, Ok(()));
    }

    #[tokio::test]
    async fn unreadable_original_counts_as_existing() {
        let scene = Scene::new();
        scene.copy("app.db", "copy.db");
        assert_eq!(scene.open("app.db").await, Ok(()));
        fs::write(scene.path("app.db"), "no database at all").unwrap();
        assert_eq!(scene.open("copy.db").await, Err(ErrorCode::RefusedSourceCopied));
    }

    #[tokio::test]
    async fn moved_or_restored_file_is_accepted() {
        let scene = Scene::new();
        assert_eq!(scene.open("app.db").await, Ok(()));
        fs::rename(scene.path("app.db"), scene.path("moved.db")).unwrap();
        assert_eq!(scene.open("moved.db").await, Ok(()));
        scene.copy("moved.db", "backup.db");
        fs::rename(scene.path("backup.db"), scene.path("moved.db")).unwrap();
        assert_eq!(scene.open("moved.db").await, Ok(()));
    }

    #[tokio::test]
    async fn file_under_a_second_name_is_not_a_copy() {
        let mut scene = Scene::new();
        fs::hard_link(scene.path("app.db"), scene.path("link.db")).unwrap();
        assert_eq!(scene.open("app.db").await, Ok(()));
        assert_eq!(scene.open("link.db").await, Ok(()));
        scene.seen = SeenFiles::open(scene.folder.path()).unwrap();
        assert_eq!(scene.open("app.db").await, Ok(()));
        // A copy of it is a copy, under whichever name the file was last seen.
        scene.copy("app.db", "copy.db");
        for name in ["app.db", "link.db"] {
            assert_eq!(scene.open(name).await, Ok(()));
            assert_eq!(
                scene.open("copy.db").await,
                Err(ErrorCode::RefusedSourceCopied),
                "{name}"
            );
        }
    }

    #[test]
    fn malformed_record_prevents_the_start() {
        let folder = tempfile::tempdir().unwrap();
        for bytes in ["", "{", r#"{"sqlite:1":{"path":"/a"}}"#] {
            fs::write(folder.path().join(FILE), bytes).unwrap();
            let failure = SeenFiles::open(folder.path()).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::SourceFilesUnreadable, "{bytes}");
        }
    }

    #[tokio::test]
    async fn unrecordable_path_is_rejected_every_time() {
        let mut scene = Scene::new();
        // No file can replace a directory that is not empty, not even as root.
        let record = scene.folder.path().join(FILE);
        fs::create_dir_all(record.join("in-the-way")).unwrap();
        for _ in 0..2 {
            assert_eq!(
                scene.open("app.db").await,
                Err(ErrorCode::RefusedStateNotWritable)
            );
        }
        fs::remove_dir_all(&record).unwrap();
        assert_eq!(scene.open("app.db").await, Ok(()));
        scene.seen = SeenFiles::open(scene.folder.path()).unwrap();
        scene.copy("app.db", "copy.db");
        assert_eq!(scene.open("copy.db").await, Err(ErrorCode::RefusedSourceCopied));
    }

    #[tokio::test]
    async fn original_with_another_identity_is_another_database() {
        let scene = Scene::new();
        scene.copy("app.db", "copy.db");
        assert_eq!(scene.open("app.db").await, Ok(()));
        let sql = "UPDATE synapsor_database_identity SET instance = 'second-one'";
        Connection::open(scene.path("app.db"))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        assert_eq!(scene.open("copy.db").await, Ok(()));
        assert_eq!(scene.open("app.db").await, Ok(()));
    }
}
