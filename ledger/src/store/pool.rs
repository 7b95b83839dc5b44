//! Pool of read-only connections; each serves one reader at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection::{self, FileIdentity, ReadAs};
use super::error::StoreError;
use super::record_views;
use super::writer::StoreTxError;

/// Maximum number of concurrent readers.
const READERS_MAX: usize = 4;

/// One consistent state of the file.
pub(crate) struct ReadTransaction<'c> {
    conn: &'c Connection,
}

impl<'c> ReadTransaction<'c> {
    /// Returns the position up to which this state has the views of evidence and audit records. Later events are in
    /// the other views, so that a query that needs both must not go past it.
    pub(crate) fn records_end(&self) -> Result<u64, StoreError> {
        Ok(record_views::end(self.conn)?.unwrap_or(0))
    }

    /// Returns the connection inside a read transaction, for statements of this directory.
    pub(crate) fn conn(&self) -> &'c Connection {
        self.conn
    }
}

/// The idle connections.
#[derive(Debug)]
pub(crate) struct ReadPool {
    path: PathBuf,
    file: FileIdentity,
    read_as: ReadAs,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl ReadPool {
    /// Opens the first connection now, so that an unreadable file is detected at start.
    pub(crate) fn open(path: &Path, file: FileIdentity, read_as: ReadAs) -> Result<Self, StoreError> {
        let first = connection::open_reader(path, read_as)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            read_as,
            permits: Semaphore::new(READERS_MAX),
            idle: Mutex::new(vec![first]),
        })
    }

    pub(crate) async fn read<T, F>(self: Arc<Self>, scan: F) -> Result<T, StoreTxError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction<'_>) -> Result<T, StoreTxError> + Send + 'static,
    {
        let this = self.clone();
        let _permit = self.permits.acquire().await.map_err(|_| StoreError::Closed)?;
        tokio::task::spawn_blocking(move || this.read_now(scan))
            .await
            .map_err(|_| StoreTxError::Store(StoreError::Failed("a reader task failed".to_owned())))?
    }

    fn read_now<T>(
        &self,
        scan: impl FnOnce(&ReadTransaction<'_>) -> Result<T, StoreTxError>,
    ) -> Result<T, StoreTxError> {
        self.file.still_there()?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => connection::open_reader(&self.path, self.read_as)?,
        };
        conn.execute_batch("BEGIN DEFERRED").map_err(StoreError::from)?;
        let result = scan(&ReadTransaction { conn: &conn });
        // A connection that cannot end its transaction is dropped, not returned to the pool.
        if conn.execute_batch("COMMIT").is_ok() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(conn);
        }
        result
    }
}
