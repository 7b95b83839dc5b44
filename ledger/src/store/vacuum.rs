//! Gives free pages of the store file back to the file system.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::connection::BUSY_TIMEOUT;
use super::error::StoreError;
use super::stats::{self, StoreSize};

/// Moves the write-ahead log into the file and empties it. Returns `false` when a reader still needs an older state; it
/// does not wait for one, because other callers would wait too.
pub(crate) fn settle(conn: &Connection) -> Result<bool, StoreError> {
    conn.busy_timeout(Duration::ZERO)?;
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    conn.busy_timeout(BUSY_TIMEOUT)?;
    Ok(busy? == 0)
}

/// Rewrites the file without its free pages, on the writing connection and outside a transaction. Needs as much free
/// space as the file has twice: for the new pages, and for the write-ahead log through which they reach the file.
///
/// # Errors
/// `STORE_FULL` when the file system has less; nothing is changed then.
pub(crate) fn run(conn: &Connection, path: &Path) -> Result<(StoreSize, StoreSize), StoreError> {
    settle(conn)?;
    let before = stats::size(conn, path)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    let space = rustix::fs::statvfs(dir).map_err(|_| StoreError::Vanished)?;
    if space.f_bavail.saturating_mul(space.f_frsize) < before.file_bytes().saturating_mul(2) {
        return Err(StoreError::Full);
    }
    let dir = dir
        .to_str()
        .ok_or_else(|| StoreError::ReadOnly(path.to_owned()))?;
    // The process may write nowhere else, and the new file may be larger than memory.
    conn.pragma_update(None, "temp_store_directory", dir)?;
    conn.execute_batch("PRAGMA temp_store = FILE")?;
    let done = conn.execute_batch("VACUUM");
    conn.pragma_update(None, "temp_store_directory", "")?;
    conn.execute_batch("PRAGMA temp_store = MEMORY")?;
    done?;
    settle(conn)?;
    Ok((before, stats::size(conn, path)?))
}
