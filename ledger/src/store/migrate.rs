//! Numbered migrations, embedded in the binary, and the check that a file still has exactly their schema.

use rusqlite::Connection;

use super::connection::APPLICATION_ID;
use super::error::StoreError;

/// Existing files never change; a new one is added at the end.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../migrations/sqlite/0002_open_contexts.sql"),
    include_str!("../../migrations/sqlite/0003_fewer_indexes.sql"),
];

/// Newest version that this build knows.
pub(crate) fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("a handful of migrations")
}

/// Version of the file; 0 for an empty one. A newer file is refused.
pub(crate) fn version(conn: &Connection) -> Result<i64, StoreError> {
    let found: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known_version() {
        return Err(StoreError::Newer {
            found,
            known: known_version(),
        });
    }
    Ok(found)
}

/// Brings an open transaction's database to the newest version.
pub(crate) fn migrate(conn: &Connection) -> Result<(), StoreError> {
    let from = usize::try_from(version(conn)?)
        .map_err(|_| StoreError::Tampered("the version of the file is negative".to_owned()))?;
    for sql in &MIGRATIONS[from..] {
        conn.execute_batch(sql)?;
    }
    conn.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}",
        known_version()
    ))?;
    Ok(())
}

/// Fails unless tables, indexes and triggers are exactly those of the migrations.
pub(crate) fn check_schema(conn: &Connection) -> Result<(), StoreError> {
    let fresh = Connection::open_in_memory()?;
    migrate(&fresh)?;
    if objects(conn)? == objects(&fresh)? {
        return Ok(());
    }
    Err(StoreError::Tampered(
        "tables, indexes or triggers are not those that the ledger made".to_owned(),
    ))
}

fn objects(conn: &Connection) -> Result<Vec<(String, String, Option<String>)>, StoreError> {
    let mut query = conn.prepare(
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1, 2",
    )?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
