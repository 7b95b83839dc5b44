//! Size of the store: pages of the file, and rows of each table.

use std::path::Path;

use rusqlite::Connection;

use super::error::StoreError;
use super::head;
use super::row::from_sql;
use super::views;

/// Tables of the log and of working state, which are not views.
const OTHER_TABLES: [&str; 8] = [
    "blocks",
    "block_bodies",
    "checkpoints",
    "leases",
    "requests",
    "webhooks",
    "webhook_waiting",
    "webhook_dead_letters",
];

/// Pages of the store file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreSize {
    pub(crate) page_bytes: u64,
    pub(crate) pages: u64,
    pub(crate) free_pages: u64,
    pub(crate) write_ahead_bytes: u64,
}

impl StoreSize {
    /// Returns the size of the file in bytes, without the write-ahead log.
    pub(crate) const fn file_bytes(&self) -> u64 {
        self.page_bytes.saturating_mul(self.pages)
    }
}

/// What a store contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreStats {
    pub(crate) size: StoreSize,
    pub(crate) events: u64,
    pub(crate) checkpoints: u64,
    /// Each table with its number of rows, by name.
    pub(crate) tables: Vec<(&'static str, u64)>,
}

/// Measures the file.
pub(crate) fn size(conn: &Connection, path: &Path) -> Result<StoreSize, StoreError> {
    let number = |pragma: &str| -> Result<u64, StoreError> {
        from_sql(conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))?)
    };
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Ok(StoreSize {
        page_bytes: number("page_size")?,
        pages: number("page_count")?,
        free_pages: number("freelist_count")?,
        write_ahead_bytes: std::fs::metadata(Path::new(&log)).map_or(0, |meta| meta.len()),
    })
}

/// Counts everything. The cost grows with the number of records.
pub(crate) fn count(conn: &Connection, path: &Path) -> Result<StoreStats, StoreError> {
    let views = views::TABLES.iter().map(|(table, _)| *table);
    let mut tables = Vec::new();
    for table in views.chain(OTHER_TABLES) {
        let sql = format!("SELECT count(*) FROM {table}");
        tables.push((table, from_sql(conn.query_row(&sql, [], |row| row.get(0))?)?));
    }
    tables.sort_unstable();
    let checkpoints = tables.iter().find(|(table, _)| *table == "checkpoints");
    Ok(StoreStats {
        size: size(conn, path)?,
        events: head::newest(conn)?.map_or(0, |head| head.size),
        checkpoints: checkpoints.map_or(0, |(_, rows)| *rows),
        tables,
    })
}

#[cfg(test)]
impl StoreStats {
    /// Returns the same counts with the size of another file, and without working state.
    pub(crate) fn with_size_of(mut self, other: &Self) -> Self {
        self.size = other.size;
        let working = ["leases", "requests", "blocks", "block_bodies"];
        for (mine, theirs) in self.tables.iter_mut().zip(&other.tables) {
            if working.contains(&mine.0) {
                *mine = *theirs;
            }
        }
        self
    }
}
