//! Opens the database file: settings of every connection, and the check that the path still refers to the same
//! file.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use synapsor_chassis::files::{self, FileError};

use super::error::StoreError;

/// "SynL": the ledger's application id in the file header.
pub(crate) const APPLICATION_ID: i64 = 0x5379_6e4c;

pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Page cache of the writing connection, in KiB. It holds the inner pages of every index, so that the cost of a
/// request does not depend on the number of records. It is not larger because a commit after a page split scans
/// the whole cache.
const CACHE_KIB: u32 = 8 * 1024;
/// Number of pages in the write-ahead log before they move to the file. A page that many batches change moves
/// once.
const CHECKPOINT_PAGES: u32 = 4_000;

/// Device and inode of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl FileIdentity {
    pub(crate) fn of(path: &Path) -> Result<Self, StoreError> {
        let meta = std::fs::symlink_metadata(path).map_err(|_| StoreError::Vanished)?;
        Ok(Self {
            path: path.to_owned(),
            device: meta.dev(),
            inode: meta.ino(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails when the path no longer refers to the file that was opened.
    pub(crate) fn still_there(&self) -> Result<(), StoreError> {
        if Self::of(&self.path)? == *self {
            Ok(())
        } else {
            Err(StoreError::Vanished)
        }
    }
}

/// Opens the file for the one writer, creating it when `create` is set.
pub(crate) fn open_writer(path: &Path, create: bool) -> Result<Connection, StoreError> {
    if create {
        create_private(path)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let with_path = |e: StoreError| at_path(e, path);
    let conn = Connection::open_with_flags(path, flags).map_err(|e| with_path(e.into()))?;
    settings(&conn).map_err(with_path)?;
    refuse_foreign(&conn, path)?;
    let mode: String = conn
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|e| with_path(e.into()))?;
    if mode != "wal" {
        return Err(StoreError::ReadOnly(path.to_owned()));
    }
    // The savepoint of a request keeps each page as it was before; on disk that would write everything twice.
    conn.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA cache_size = -{CACHE_KIB}; \
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}; PRAGMA temp_store = MEMORY"
    ))
    .map_err(|e| with_path(e.into()))?;
    Ok(conn)
}

/// Creates an empty file that only its owner can read; the driver would apply the umask instead. SQLite gives the
/// side files the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    match files::create_exclusive(path, b"") {
        Ok(()) | Err(FileError::Exists { .. }) => Ok(()),
        Err(_) => Err(StoreError::ReadOnly(path.to_owned())),
    }
}

/// How a reader opens the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadAs {
    /// A process writes it at the same time.
    Shared,
    /// No process writes it, and it has no write-ahead log, so no side file has to be created.
    Immutable,
}

/// Returns whether the file itself contains everything that was committed.
pub(crate) fn has_no_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(Path::new(&log)).map_or(true, |meta| meta.len() == 0)
}

/// Opens the file read-only.
pub(crate) fn open_reader(path: &Path, read_as: ReadAs) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing(path.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = match read_as {
        ReadAs::Shared => Connection::open_with_flags(path, flags),
        ReadAs::Immutable => {
            let uri = format!("file:{}?immutable=1", percent_encoded(path));
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
        }
    };
    let conn = opened.map_err(|e| at_path(e.into(), path))?;
    settings(&conn).map_err(|e| at_path(e, path))?;
    conn.execute_batch("PRAGMA query_only = ON")?;
    refuse_foreign(&conn, path)?;
    Ok(conn)
}

/// Encodes a path for a URI.
fn percent_encoded(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                char::from(*byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn settings(conn: &Connection) -> Result<(), StoreError> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // With recursive triggers off, REPLACE would delete an old row without firing the triggers.
    conn.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON; PRAGMA trusted_schema = OFF; \
         PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0",
    )?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Accepts an empty file; a file with content must carry the ledger's application id.
fn refuse_foreign(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let mark = number("PRAGMA application_id").map_err(|e| at_path(e.into(), path))?;
    let objects = number("SELECT count(*) FROM sqlite_schema").map_err(|e| at_path(e.into(), path))?;
    if mark == APPLICATION_ID || (mark == 0 && objects == 0) {
        return Ok(());
    }
    Err(StoreError::Foreign(path.to_owned()))
}

fn at_path(error: StoreError, path: &Path) -> StoreError {
    match error {
        StoreError::ReadOnly(_) => StoreError::ReadOnly(path.to_owned()),
        other => other,
    }
}
