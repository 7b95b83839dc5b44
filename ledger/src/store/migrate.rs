//! Numbered migrations, embedded in the binary, and the check that a file has exactly their schema.

use rusqlite::Connection;

use super::connection::APPLICATION_ID;
use super::error::StoreError;

/// Existing files never change; a new one is added at the end.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../migrations/sqlite/0002_open_contexts.sql"),
    include_str!("../../migrations/sqlite/0003_records_by_seq.sql"),
    include_str!("../../migrations/sqlite/0004_tenants_take_turns.sql"),
    include_str!("../../migrations/sqlite/0005_switches.sql"),
    include_str!("../../migrations/sqlite/0006_receipts_of_sources.sql"),
];

/// Returns the newest version that this build supports.
pub(crate) fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("the number of migrations fits an i64")
}

/// Returns the version of the file; 0 for an empty one. Fails for a newer version.
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

/// Migrates the database of an open transaction to the newest version.
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
        "tables, indexes or triggers differ from the schema of the ledger".to_owned(),
    ))
}

fn objects(conn: &Connection) -> Result<Vec<(String, String, Option<String>)>, StoreError> {
    let mut query = conn.prepare(
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1, 2",
    )?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migration_keeps_records_and_updates_the_schema() {
        let conn = Connection::open_in_memory().unwrap();
        for sql in &MIGRATIONS[..2] {
            conn.execute_batch(sql).unwrap();
        }
        conn.execute_batch(
            "PRAGMA user_version = 2;
             INSERT INTO evidence VALUES ('ev_b', 0, x'01', 't', 'p', 'c', 's', 'public.x', 5);
             INSERT INTO evidence VALUES ('ev_a', 3, x'02', 't', 'p', 'c', 's', 'public.x', 6);
             INSERT INTO audit VALUES ('qa_b', 1, 'c', 't', 'p', 'row', 'ev_b', NULL, 5);
             INSERT INTO audit VALUES ('qa_a', 4, 'c', NULL, NULL, 'NO', NULL, NULL, 6);",
        )
        .unwrap();
        migrate(&conn).unwrap();
        check_schema(&conn).unwrap();
        let found: String = conn
            .query_row(
                "SELECT (SELECT group_concat(seq || evidence_id || hex(digest) || read_at) FROM evidence) || ' ' || \
                 (SELECT group_concat(seq || audit_id || result || coalesce(tenant, '-')) FROM audit)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(found, "0ev_b015,3ev_a026 1qa_browt,4qa_aNO-");
    }
}
