//! Errors of the store itself, as opposed to requests that it refuses. Driver text stays in logs.

use std::path::PathBuf;

use rusqlite::ErrorCode as SqliteCode;
use synapsor_codes::ErrorCode;

/// Error of the store. Nothing of the failed request was stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A stored record differs from the record that was written.
    #[error("the store is damaged or was modified: {0}")]
    Tampered(String),
    /// The file was removed, or another file replaced it.
    #[error("the store file was removed or replaced while the ledger was running")]
    Vanished,
    /// Another process holds the database lock.
    #[error("the store is locked by another process")]
    Locked,
    /// The file or its directory is not writable.
    #[error("the store or its directory is not writable: {0}")]
    ReadOnly(PathBuf),
    /// No space on the disk.
    #[error("the disk that holds the store is full")]
    Full,
    /// The disk was full when the ledger started: the store is read-only.
    #[error("the disk that holds the store was full when the ledger started")]
    FullAtStart,
    /// The file is another kind of database.
    #[error("the file is not a ledger store: {0}")]
    Foreign(PathBuf),
    /// A newer build wrote the file.
    #[error("store version {found} is newer than the newest supported version {known}")]
    Newer {
        /// Version in the file.
        found: i64,
        /// Newest version that this build supports.
        known: i64,
    },
    /// The store belongs to another deployment or was written with another ledger key.
    #[error("the store belongs to the log {found}, not to {expected}")]
    OtherLog {
        /// Origin in the file.
        found: String,
        /// Expected origin.
        expected: String,
    },
    /// The request queue is full.
    #[error("the request queue of the store is full")]
    Busy,
    /// A record with this id already exists.
    #[error("a record with this id already exists")]
    Duplicate,
    /// The body of the event was erased by order of an operator.
    #[error("the body of event {0} was erased")]
    Erased(u64),
    /// The file does not exist, and this caller may not create it.
    #[error("no store at {0}")]
    Missing(PathBuf),
    /// The writing thread has ended.
    #[error("the store is closed")]
    Closed,
    /// Any other error of the driver.
    #[error("the store failed ({0})")]
    Failed(String),
}

impl StoreError {
    /// Returns the stable error code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Tampered(_) => ErrorCode::StoreTampered,
            Self::Vanished => ErrorCode::StoreVanished,
            Self::Locked => ErrorCode::StoreLocked,
            Self::ReadOnly(_) => ErrorCode::StoreReadOnly,
            Self::Full | Self::FullAtStart => ErrorCode::StoreFull,
            Self::Foreign(_) => ErrorCode::StoreForeign,
            Self::Newer { .. } => ErrorCode::StoreNewer,
            Self::OtherLog { .. } => ErrorCode::StoreOtherLog,
            Self::Busy => ErrorCode::StoreBusy,
            Self::Duplicate => ErrorCode::AlreadyRecorded,
            Self::Erased(_) => ErrorCode::RecordErased,
            Self::Missing(_) => ErrorCode::StoreNotFound,
            Self::Closed => ErrorCode::StoreClosed,
            Self::Failed(_) => ErrorCode::StoreFailed,
        }
    }

    /// Returns the fix for the operator.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Tampered(_) => {
                "run `synapsor-runner ledger verify`, keep a copy of the file, and restore a valid one; \
                 in dev, `synapsor-runner store reset --yes` starts a new ledger"
            }
            Self::Vanished => "restore the file and restart the ledger",
            Self::Locked => "stop the process that holds the store, or use the running ledger",
            Self::ReadOnly(_) => "make the store file and its directory writable for this user",
            Self::Full => "free disk space, then retry",
            Self::FullAtStart => {
                "free disk space, then restart the ledger; until then the ledger stays read-only"
            }
            Self::Foreign(_) => "select another file with --store",
            Self::Newer { .. } => "use the newer build that wrote the store",
            Self::OtherLog { .. } => "use the state directory of this store",
            Self::Busy => "retry the request",
            Self::Duplicate => "use a unique record id",
            Self::Erased(_) => {
                "find the order that erased it with `synapsor-runner events tail --kind bodies_erased`"
            }
            Self::Missing(_) => "start the ledger once, or select another file with --store",
            Self::Closed => "restart the ledger",
            Self::Failed(_) => "see the ledger's log",
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        match &error {
            Sql::SqliteFailure(cause, _) => match cause.code {
                SqliteCode::DatabaseBusy | SqliteCode::DatabaseLocked => Self::Locked,
                SqliteCode::ReadOnly | SqliteCode::PermissionDenied | SqliteCode::CannotOpen => {
                    Self::ReadOnly(PathBuf::new())
                }
                SqliteCode::DiskFull => Self::Full,
                // SQLite could not extend the shared memory of the write-ahead log.
                SqliteCode::SystemIoFailure if cause.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
                    Self::Full
                }
                SqliteCode::ConstraintViolation => Self::Duplicate,
                SqliteCode::DatabaseCorrupt | SqliteCode::NotADatabase => {
                    Self::Tampered("the database file is damaged".to_owned())
                }
                _ => Self::Failed(format!("database code {}", cause.extended_code)),
            },
            Sql::FromSqlConversionFailure(..)
            | Sql::InvalidColumnType(..)
            | Sql::IntegralValueOutOfRange(..) => {
                Self::Tampered("a column has a value of the wrong type".to_owned())
            }
            _ => Self::Failed("the driver rejected a statement".to_owned()),
        }
    }
}
