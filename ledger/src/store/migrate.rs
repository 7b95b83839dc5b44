//! Numbered migrations, embedded in the binary, and the check that a file has exactly their schema.

use rusqlite::Connection;

use super::connection::APPLICATION_ID;
use super::error::StoreError;
use super::{blocks, event_times, migrate_events};

/// Step from one version of the schema to the next.
enum Migration {
    Statements(&'static str),
    /// Moves records that statements cannot convert.
    Code(fn(&Connection) -> Result<(), StoreError>),
}

impl Migration {
    fn run(&self, conn: &Connection) -> Result<(), StoreError> {
        match self {
            Self::Statements(sql) => Ok(conn.execute_batch(sql)?),
            Self::Code(code) => code(conn),
        }
    }
}

/// Existing steps never change; a new one is added at the end.
const MIGRATIONS: &[Migration] = &[
    Migration::Statements(include_str!("../../migrations/sqlite/0001_initial.sql")),
    Migration::Statements(include_str!("../../migrations/sqlite/0002_open_contexts.sql")),
    Migration::Statements(include_str!("../../migrations/sqlite/0003_records_by_seq.sql")),
    Migration::Statements(include_str!(
        "../../migrations/sqlite/0004_tenants_take_turns.sql"
    )),
    Migration::Statements(include_str!("../../migrations/sqlite/0005_switches.sql")),
    Migration::Statements(include_str!(
        "../../migrations/sqlite/0006_receipts_of_sources.sql"
    )),
    Migration::Statements(include_str!("../../migrations/sqlite/0007_blocks.sql")),
    Migration::Code(migrate_events::into_blocks),
    Migration::Statements(include_str!("../../migrations/sqlite/0009_blocks_in_order.sql")),
    Migration::Statements(include_str!("../../migrations/sqlite/0010_fewer_entries.sql")),
    Migration::Statements(include_str!("../../migrations/sqlite/0011_record_views_end.sql")),
    Migration::Statements(include_str!("../../migrations/sqlite/0012_event_of_reads.sql")),
    Migration::Statements(include_str!("../../migrations/sqlite/0013_record_index.sql")),
    Migration::Statements(include_str!("../../migrations/sqlite/0014_erasure.sql")),
    Migration::Statements(include_str!("../../migrations/sqlite/0015_webhooks.sql")),
    Migration::Code(add_human_actions),
    Migration::Statements(include_str!(
        "../../migrations/sqlite/0017_lists_of_proposals.sql"
    )),
];

/// The times of the events that are stored follow from the events.
fn add_human_actions(conn: &Connection) -> Result<(), StoreError> {
    conn.execute_batch(include_str!("../../migrations/sqlite/0016_human_actions.sql"))?;
    event_times::complete(conn, 0, blocks::event_count(conn)?)
}

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
    for migration in &MIGRATIONS[from..] {
        migration.run(conn)?;
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
pub(crate) mod older {
    //! Stores as earlier builds left them.

    use std::path::Path;

    use rusqlite::params;
    use synapsor_domain::canonical;
    use synapsor_domain::event::EventRecord;
    use tlog_tiles::tlog;

    use super::*;
    use crate::store::nodes::Nodes;
    use crate::store::row::to_sql;
    use crate::store::{blocks, views};

    /// Version of the last schema with a row for each event.
    const BEFORE_BLOCKS: usize = 6;

    /// Replaces a store by the same records in the schema before blocks.
    pub(crate) fn out_of_blocks(path: &Path) {
        let aside = path.with_extension("older");
        let (new, old) = (Connection::open(path).unwrap(), Connection::open(&aside).unwrap());
        for migration in &MIGRATIONS[..BEFORE_BLOCKS] {
            migration.run(&old).unwrap();
        }
        copy_log(&new, &old);
        drop(new);
        old.execute("ATTACH ?1 AS newer", [path.to_str().unwrap()])
            .unwrap();
        let tables = views::TABLES.map(|(table, _)| table);
        // The index of events is copied with the events.
        let copied = tables.iter().filter(|table| **table != "event_index");
        for table in copied.chain(&["leases", "requests"]) {
            let columns: Option<String> = old
                .query_row(
                    "SELECT group_concat(name) FROM pragma_table_info(?1, 'main')",
                    [table],
                    |row| row.get(0),
                )
                .unwrap();
            // Later tables and columns are left out.
            if let Some(columns) = columns {
                let sql = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}");
                old.execute_batch(&sql).unwrap();
            }
        }
        old.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {BEFORE_BLOCKS}"
        ))
        .unwrap();
        drop(old);
        // A connection that still ends keeps its own files.
        for side in ["db-wal", "db-shm"] {
            let _ = std::fs::remove_file(path.with_extension(side));
        }
        std::fs::rename(aside, path).unwrap();
    }

    /// Copies events, bodies, nodes and checkpoints, one row for each, and the index of events.
    fn copy_log(new: &Connection, old: &Connection) {
        let insert = |sql: &str, values: &[&dyn rusqlite::ToSql]| old.execute(sql, values).unwrap();
        let count = blocks::event_count(new).unwrap();
        let (mut entries, tree) = (blocks::Cursor::new(new), Nodes::new(new, count));
        for seq in 0..count {
            let entry = entries.entry(seq).unwrap().unwrap();
            let kept = entry.kept.as_ref().unwrap();
            let (place, leaf) = (to_sql(seq), tree.leaf(seq).unwrap());
            insert(
                "INSERT INTO events VALUES (?1, ?2, ?3)",
                params![place, entry.event, leaf],
            );
            insert(
                "INSERT INTO bodies VALUES (?1, ?2, ?3)",
                params![place, kept.salt, kept.body],
            );
            let event: EventRecord = canonical::decode(&entry.event).unwrap();
            let id = event.proposal_id.as_ref().map(|id| id.as_str());
            insert(
                "INSERT INTO event_index VALUES (?1, ?2, ?3, ?4)",
                params![place, event.kind.as_str(), event.at.as_unix_millis(), id],
            );
        }
        for index in 0..tlog::stored_hash_count(count) {
            let node = tree.node(index).unwrap();
            insert("INSERT INTO nodes VALUES (?1, ?2)", params![to_sql(index), node]);
        }
        let mut heads = new.prepare("SELECT size, root, note FROM checkpoints").unwrap();
        let mut heads = heads.query([]).unwrap();
        while let Some(row) = heads.next().unwrap() {
            let (size, root): (i64, Vec<u8>) = (row.get(0).unwrap(), row.get(1).unwrap());
            let note: String = row.get(2).unwrap();
            insert(
                "INSERT INTO checkpoints VALUES (?1, ?2, ?3)",
                params![size, root, note],
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migration_keeps_records_until_they_are_derived_again() {
        let conn = Connection::open_in_memory().unwrap();
        for migration in &MIGRATIONS[..2] {
            migration.run(&conn).unwrap();
        }
        conn.execute_batch(
            "PRAGMA user_version = 2;
             INSERT INTO evidence VALUES ('ev_b', 0, x'01', 't', 'p', 'c', 's', 'public.x', 5);
             INSERT INTO evidence VALUES ('ev_a', 3, x'02', 't', 'p', 'c', 's', 'public.x', 6);
             INSERT INTO audit VALUES ('qa_b', 1, 'c', 't', 'p', 'row', 'ev_b', NULL, 5);
             INSERT INTO audit VALUES ('qa_a', 4, 'c', NULL, NULL, 'NO', NULL, NULL, 6);",
        )
        .unwrap();
        for migration in &MIGRATIONS[2..12] {
            migration.run(&conn).unwrap();
        }
        let found: String = conn
            .query_row(
                "SELECT (SELECT group_concat(seq || evidence_id || hex(digest) || read_at) FROM evidence) || ' ' || \
                 (SELECT group_concat(seq || audit_id || result || coalesce(tenant, '-')) FROM audit)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(found, "0ev_b015,3ev_a026 1qa_browt,4qa_aNO-");
        conn.execute_batch("PRAGMA user_version = 12").unwrap();
        migrate(&conn).unwrap();
        check_schema(&conn).unwrap();
        let left: i64 = conn
            .query_row(
                "SELECT (SELECT count(*) FROM evidence) + (SELECT count(*) FROM audit) + (SELECT seq FROM record_views_end)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(left, 0);
    }
}
