//! What can be wrong with the store itself, as opposed to a request that it refuses. Driver text stays in logs.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// The store cannot do its work. Nothing of the request that met it has been kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A stored record is not what was written.
    #[error("the store is damaged or was edited: {0}")]
    Tampered(String),
    /// The file went away, or another file lies in its place.
    #[error("the store file vanished or was replaced while the ledger was running")]
    Vanished,
    /// Somebody else holds the database.
    #[error("the store is locked by another process")]
    Locked,
    /// The file or its folder cannot be written.
    #[error("the store or its folder cannot be written: {0}")]
    ReadOnly(PathBuf),
    /// No room on the disk.
    #[error("the disk that holds the store is full")]
    Full,
    /// There was no room on the disk when the ledger started: it only reads.
    #[error("the disk that holds the store was full when the ledger started")]
    FullAtStart,
    /// The file is a database of something else.
    #[error("the file is not a ledger store: {0}")]
    Foreign(PathBuf),
    /// A newer build wrote the file.
    #[error("the store has version {found}, this build knows versions up to {known}")]
    Newer {
        /// Version in the file.
        found: i64,
        /// Newest version that this build knows.
        known: i64,
    },
    /// The store belongs to another deployment or was written with another ledger key.
    #[error("the store belongs to the log {found}, not to {expected}")]
    OtherLog {
        /// Origin in the file.
        found: String,
        /// Origin that was expected.
        expected: String,
    },
    /// Too many requests are waiting.
    #[error("too many requests are waiting for the store")]
    Busy,
    /// A record with this id is on file already.
    #[error("a record with this id is on file already")]
    Duplicate,
    /// The file does not exist, and this caller may not create it.
    #[error("there is no store at {0}")]
    Missing(PathBuf),
    /// The writing thread has ended.
    #[error("the store has been closed")]
    Closed,
    /// Anything else that the driver reports.
    #[error("the store failed ({0})")]
    Failed(String),
}

impl StoreError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Tampered(_) => "STORE_TAMPERED",
            Self::Vanished => "STORE_VANISHED",
            Self::Locked => "STORE_LOCKED",
            Self::ReadOnly(_) => "STORE_READ_ONLY",
            Self::Full | Self::FullAtStart => "STORE_FULL",
            Self::Foreign(_) => "STORE_FOREIGN",
            Self::Newer { .. } => "STORE_NEWER",
            Self::OtherLog { .. } => "STORE_OTHER_LOG",
            Self::Busy => "STORE_BUSY",
            Self::Duplicate => "ALREADY_RECORDED",
            Self::Missing(_) => "STORE_NOT_FOUND",
            Self::Closed => "STORE_CLOSED",
            Self::Failed(_) => "STORE_FAILED",
        }
    }

    /// What a person can do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Tampered(_) => {
                "run `synapsor-runner ledger verify`, keep a copy of the file, and restore a good one; \
                 in dev, `synapsor-runner store reset --yes` starts a new ledger"
            }
            Self::Vanished => "put the file back and start the ledger again",
            Self::Locked => "end the process that holds the store, or use the ledger that is already running",
            Self::ReadOnly(_) => "make the store file and its folder writable for this user",
            Self::Full => "free space on the disk, then repeat",
            Self::FullAtStart => {
                "free space on the disk, then start the ledger again; until then it only reads"
            }
            Self::Foreign(_) => "name another file with --store",
            Self::Newer { .. } => "use the newer build that wrote the store",
            Self::OtherLog { .. } => "use the state folder that this store belongs to",
            Self::Busy => "repeat the request in a moment",
            Self::Duplicate => "give the record an id of its own",
            Self::Missing(_) => "start the ledger once, or name another file with --store",
            Self::Closed => "start the ledger again",
            Self::Failed(_) => "see the ledger's log",
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        match &error {
            Sql::SqliteFailure(cause, _) => match cause.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Locked,
                ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
                    Self::ReadOnly(PathBuf::new())
                }
                ErrorCode::DiskFull => Self::Full,
                // The shared memory beside the write-ahead log could not be extended.
                ErrorCode::SystemIoFailure if cause.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
                    Self::Full
                }
                ErrorCode::ConstraintViolation => Self::Duplicate,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                    Self::Tampered("the database file itself is damaged".to_owned())
                }
                _ => Self::Failed(format!("database code {}", cause.extended_code)),
            },
            Sql::FromSqlConversionFailure(..)
            | Sql::InvalidColumnType(..)
            | Sql::IntegralValueOutOfRange(..) => {
                Self::Tampered("a column holds a value of another kind than was written".to_owned())
            }
            _ => Self::Failed("the driver refused a statement".to_owned()),
        }
    }
}
