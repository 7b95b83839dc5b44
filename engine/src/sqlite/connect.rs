//! Opens the database file: checks which files may be opened, configures connections, and pools the read-only
//! ones.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags};
use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;

use super::error_map::{denied, map_driver_error};
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::{ErrorCause, FileAccess};

/// Maximum number of read-only connections; further reads wait.
pub const READERS_MAX: usize = 4;

/// Application id of a ledger's own store, which is never a source.
const LEDGER_APPLICATION_ID: i64 = 0x5379_6e4c;
/// NFS, SMB in three versions, Ceph, AFS.
#[cfg(target_os = "linux")]
const NETWORK_FILE_SYSTEMS: [rustix::fs::FsWord; 6] =
    [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x00c3_6400, 0x5346_414f];
const URL_PREFIX: &str = "sqlite://";
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const STATEMENTS_CACHED: usize = 64;
/// Steps of SQLite's virtual machine between two checks of the deadline.
const STEPS_PER_CHECK: i32 = 1_000;

/// A database file at a fixed path. Neither Debug nor any error shows the path.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseFile(PathBuf);

impl DatabaseFile {
    /// Resolves the file of a URL. Links in parent directories are followed once, here; the file itself must
    /// not be a link.
    pub fn of_url(url: &str) -> Result<Self, PublicError> {
        let path = url
            .strip_prefix(URL_PREFIX)
            .ok_or_else(|| bad_url("it must begin with `sqlite:///`"))?;
        if path.contains(['?', '#', '%']) || path.chars().any(char::is_control) {
            return Err(bad_url("it must be a plain path, without parameters or escapes"));
        }
        let path = Path::new(path);
        let is_plain = path
            .components()
            .all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !is_plain {
            return Err(bad_url("the path must be absolute and without `..`"));
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(bad_url("it names no file"));
        };
        let folder = fs::canonicalize(folder).map_err(|error| absent(&error))?;
        let file = Self(folder.join(name));
        match fs::symlink_metadata(&file.0) {
            Ok(metadata) if metadata.is_file() => Ok(file),
            Ok(_) => Err(no_file()),
            Err(error) => Err(absent(&error)),
        }
    }

    pub fn as_os_str(&self) -> &OsStr {
        self.0.as_os_str()
    }

    /// Creates it from a path known to be canonical.
    pub const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Returns the path of the file, and its identity.
    pub fn location(&self) -> Result<FileLocation, EngineError> {
        let (device, inode) = self.stamp()?;
        let created = fs::symlink_metadata(&self.0).and_then(|metadata| metadata.created());
        let since_epoch = created.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Ok(FileLocation {
            path: self.0.clone(),
            device,
            inode,
            created_ns: since_epoch.map(|since| since.as_nanos().to_string()),
        })
    }

    /// Device and inode: another pair means that another file replaced it.
    fn stamp(&self) -> Result<(u64, u64), EngineError> {
        let unavailable = |why: &str| EngineError::new(EngineErrorKind::Unavailable, why);
        let metadata =
            fs::symlink_metadata(&self.0).map_err(|_| unavailable("the database file is missing"))?;
        if metadata.is_file() {
            Ok((metadata.dev(), metadata.ino()))
        } else {
            Err(unavailable("the database is not a regular file"))
        }
    }

    /// Returns device and inode of the write-ahead log; `None` while there is no such file.
    fn log_stamp(&self) -> Option<(u64, u64)> {
        let metadata = fs::symlink_metadata(self.companion("-wal")).ok()?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// Returns the path of a file that SQLite opens beside the database.
    fn companion(&self, suffix: &str) -> PathBuf {
        let mut path = self.0.clone().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    }

    /// SQLite opens these files by itself, and would block forever on a pipe without a peer.
    fn refuse_odd_companions(&self) -> Result<(), EngineError> {
        let is_odd = |suffix: &&&str| {
            fs::symlink_metadata(self.companion(suffix)).is_ok_and(|metadata| !metadata.is_file())
        };
        match ["-journal", "-wal", "-shm"].iter().find(is_odd) {
            Some(suffix) => Err(EngineError::new(
                EngineErrorKind::Unavailable,
                format!("the `{suffix}` file of the database is not a regular file"),
            )),
            None => Ok(()),
        }
    }

    /// Opens a connection that cannot write.
    pub fn open_reader(&self) -> Result<Opened, EngineError> {
        self.open(OpenFlags::SQLITE_OPEN_READ_ONLY, "PRAGMA query_only = ON;")
    }

    /// Opens a connection that can write, with every setting that the writeback protocol needs.
    pub fn open_writer(&self) -> Result<Opened, EngineError> {
        self.refuse_network()?;
        self.refuse_second_name()?;
        // A trigger that sets a column of its own row runs once, as with SQLite's default setting.
        let opened = self.open(
            OpenFlags::SQLITE_OPEN_READ_WRITE,
            "PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = OFF; PRAGMA synchronous = FULL; \
             PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;",
        )?;
        // SQLite opens a file that it may not write for reading only, without an error.
        if opened.connection.is_readonly(MAIN_DB).map_err(map_driver_error)? {
            return Err(not_writable());
        }
        Ok(opened)
    }

    /// Checks that a journal can be created beside the file.
    pub fn check_directory_writable(&self) -> Result<(), EngineError> {
        let directory = self.0.parent().unwrap_or(Path::new("/"));
        let access = rustix::fs::accessat(
            rustix::fs::CWD,
            directory,
            rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
            rustix::fs::AtFlags::EACCESS,
        );
        access.map_err(|_| not_writable())
    }

    /// Rejects a file with a second name. SQLite finds journal and log by the file name: two names have two
    /// logs, and a commit under one is lost under the other.
    fn refuse_second_name(&self) -> Result<(), EngineError> {
        let metadata = fs::symlink_metadata(&self.0)
            .map_err(|_| EngineError::new(EngineErrorKind::Unavailable, "the database file is missing"))?;
        if metadata.nlink() > 1 {
            let detail = "the database file has a second name (a hard link)";
            return Err(EngineError::new(EngineErrorKind::Denied, detail).because(ErrorCause::SecondName));
        }
        Ok(())
    }

    /// Rejects network file systems. SQLite's isolation depends on file locks, and these are unreliable
    /// there.
    #[cfg(target_os = "linux")]
    fn refuse_network(&self) -> Result<(), EngineError> {
        let stat = rustix::fs::statfs(&self.0)
            .map_err(|_| EngineError::new(EngineErrorKind::Unavailable, "the file system does not answer"))?;
        // Some platforms sign-extend the number.
        if NETWORK_FILE_SYSTEMS.contains(&(stat.f_type & 0xffff_ffff)) {
            let detail = "the database file is on a network file system";
            return Err(
                EngineError::new(EngineErrorKind::Denied, detail).because(ErrorCause::NetworkFileSystem)
            );
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the same signature as on Linux"
    )]
    fn refuse_network(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// SQLite does not say why it cannot open a file.
    fn unopened(&self, error: rusqlite::Error) -> EngineError {
        let failed = map_driver_error(error);
        match fs::File::open(&self.0) {
            Err(why) if why.kind() == std::io::ErrorKind::PermissionDenied => {
                failed.because(denied(FileAccess::Read))
            }
            _ => failed,
        }
    }

    fn open(&self, access: OpenFlags, pragmas: &str) -> Result<Opened, EngineError> {
        let stamp = self.stamp()?;
        self.refuse_odd_companions()?;
        // No flag creates a file, follows a link, or lets a path be parsed as a URI.
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let mut connection =
            Connection::open_with_flags(&self.0, flags).map_err(|error| self.unopened(error))?;
        connection.busy_timeout(LOCK_TIMEOUT).map_err(map_driver_error)?;
        for (setting, value) in [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            // A double-quoted name that is not a column must be an error, not a string.
            (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
            (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
        ] {
            connection
                .set_db_config(setting, value)
                .map_err(map_driver_error)?;
        }
        connection.execute_batch(pragmas).map_err(map_driver_error)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        refuse_ledger(&connection)?;
        if self.stamp()? != stamp {
            return Err(replaced());
        }
        let log_stamp = self.log_stamp();
        let deadline = Arc::new(StatementDeadline::default());
        let watch = deadline.clone();
        connection
            .progress_handler(STEPS_PER_CHECK, Some(move || watch.has_passed()))
            .map_err(map_driver_error)?;
        Ok(Opened {
            connection,
            deadline,
            files: OpenFiles { stamp, log_stamp },
        })
    }
}

/// Path and identity of a database file. Only for the writer's own state directory and log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLocation {
    pub path: PathBuf,
    pub device: u64,
    pub inode: u64,
    /// Creation time of the file, in nanoseconds since 1970, if the file system records it.
    pub created_ns: Option<String>,
}

impl FileLocation {
    /// Whether both are the same file, under any name.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode, &self.created_ns) == (other.device, other.inode, &other.created_ns)
    }
}

impl fmt::Debug for DatabaseFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseFile")
    }
}

/// An open connection with the deadline of its statements.
pub struct Opened {
    pub connection: Connection,
    pub deadline: Arc<StatementDeadline>,
    pub files: OpenFiles,
}

/// The schema table as one connection saw it. SQLite parses it again when the file's schema number changes,
/// and that number can be set back.
#[derive(Debug)]
struct SeenSchema {
    /// Changes whenever another connection commits.
    data_version: i64,
    digest: Digest,
}

impl SeenSchema {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let data_version = data_version(connection)?;
        let mut text = String::new();
        let mut statement = connection.prepare_cached(
            "SELECT quote(name), quote(tbl_name), rootpage, quote(sql) FROM main.sqlite_schema",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (name, table, page, sql): (String, String, Option<i64>, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            text.push_str(&format!("{name} {table} {page:?} {sql}\n"));
        }
        let digest = Digest::of_typed("application/vnd.synapsor.sqlite-schema.v1", text.as_bytes());
        Ok(Self { data_version, digest })
    }

    /// Whether the schema of its connection is still this one; for an unchanged file this reads one number.
    fn is_current(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        if data_version(connection)? == self.data_version {
            return Ok(true);
        }
        let before = self.digest;
        *self = Self::read(connection)?;
        Ok(self.digest == before)
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))
}

/// Files that a connection has open: database and write-ahead log by device and inode.
#[derive(Debug, Clone, Copy)]
pub struct OpenFiles {
    stamp: (u64, u64),
    /// `None` while there is no log.
    log_stamp: Option<(u64, u64)>,
}

impl OpenFiles {
    /// Fails if another file has replaced the database or its write-ahead log: a commit would go to the replaced
    /// file and be lost. The first call that finds a log records it as the open one.
    ///
    /// # Errors
    /// [`EngineErrorKind::Unavailable`]; the current file can be opened.
    pub fn check_in_place(&mut self, file: &DatabaseFile) -> Result<(), EngineError> {
        let log_stamp = file.log_stamp();
        if file.stamp()? != self.stamp || (self.log_stamp.is_some() && log_stamp != self.log_stamp) {
            return Err(replaced());
        }
        self.log_stamp = log_stamp;
        Ok(())
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}

/// Deadline of running statements; far in the future until it is set.
pub struct StatementDeadline {
    base: Instant,
    /// Milliseconds after `base`.
    at_ms: AtomicU64,
}

impl Default for StatementDeadline {
    fn default() -> Self {
        Self {
            base: Instant::now(),
            at_ms: AtomicU64::new(u64::MAX),
        }
    }
}

impl StatementDeadline {
    pub fn set(&self, from_now: Duration) {
        let at = self.base.elapsed().saturating_add(from_now).as_millis();
        self.at_ms
            .store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub fn set_passed(&self) {
        self.at_ms.store(0, Ordering::SeqCst);
    }

    pub fn clear(&self) {
        self.at_ms.store(u64::MAX, Ordering::SeqCst);
    }

    pub fn has_passed(&self) -> bool {
        self.base.elapsed().as_millis() >= u128::from(self.at_ms.load(Ordering::SeqCst))
    }
}

/// Read-only connections that are idle.
#[derive(Debug)]
pub struct Readers {
    file: DatabaseFile,
    idle: Mutex<Vec<(Opened, SeenSchema)>>,
}

impl Readers {
    pub fn new(file: DatabaseFile) -> Self {
        Self {
            file,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Lends a connection to `work`. A connection with an error or with a replaced file is not used again.
    pub fn with<T>(&self, work: impl FnOnce(&Opened) -> Result<T, EngineError>) -> Result<T, EngineError> {
        let stamp = self.file.stamp()?;
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let kept = match kept.filter(|(opened, _)| opened.files.stamp == stamp) {
            Some((opened, mut schema)) => {
                let is_current = schema.is_current(&opened.connection).map_err(map_driver_error)?;
                is_current.then_some((opened, schema))
            }
            None => None,
        };
        let (opened, mut schema) = match kept {
            Some(kept) => kept,
            None => {
                let opened = self.file.open_reader()?;
                let schema = SeenSchema::read(&opened.connection).map_err(map_driver_error)?;
                (opened, schema)
            }
        };
        let result = work(&opened)?;
        opened.deadline.clear();
        if !schema.is_current(&opened.connection).map_err(map_driver_error)? {
            let text = "the schema changed during the read";
            return Err(EngineError::new(EngineErrorKind::Busy, text));
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS_MAX {
            idle.push((opened, schema));
        }
        Ok(result)
    }
}

fn not_writable() -> EngineError {
    EngineError::new(EngineErrorKind::Denied, "the database file is not writable")
        .because(denied(FileAccess::Write))
}

fn replaced() -> EngineError {
    EngineError::new(
        EngineErrorKind::Unavailable,
        "the database file was replaced while it was open",
    )
}

fn refuse_ledger(connection: &Connection) -> Result<(), EngineError> {
    let mark: i64 = connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(map_driver_error)?;
    if mark == LEDGER_APPLICATION_ID {
        return Err(EngineError::new(
            EngineErrorKind::Denied,
            "the file is the store of a ledger",
        ));
    }
    Ok(())
}

fn bad_url(why: &str) -> PublicError {
    PublicError::new(
        ErrorCode::SourceUrlInvalid,
        format!("the URL of the source is invalid: {why}; use sqlite:///absolute/path"),
    )
}

fn absent(error: &std::io::Error) -> PublicError {
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        let uid = rustix::process::geteuid().as_raw();
        return PublicError::new(
            ErrorCode::SourceDenied,
            format!(
                "the user of this process (uid {uid}) may not enter the directory of the database file; chmod or chown it"
            ),
        );
    }
    no_file()
}

fn no_file() -> PublicError {
    PublicError::new(
        ErrorCode::SourceFileMissing,
        "the URL of the source names no regular file (links are not followed); it is never created here",
    )
}
