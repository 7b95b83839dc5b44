//! Moves events, bodies, nodes and checkpoints of earlier stores, which had a row for each, into blocks. What is
//! signed stays the same, byte for byte.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::log::{TreeHash, leaf_hash};
use tlog_tiles::tlog;

use super::blocks::{self, BODIES_BYTES_MAX, BlockEntry, KeptBody};
use super::error::StoreError;
use super::row::{from_sql, to_sql};

/// Fills the tables of blocks from those of single events.
pub(super) fn into_blocks(conn: &Connection) -> Result<(), StoreError> {
    let mut heads = conn.prepare("SELECT size FROM checkpoints ORDER BY size")?;
    let mut heads = heads.query([])?;
    let mut end = 0;
    while let Some(row) = heads.next()? {
        let size = from_sql(row.get(0)?)?;
        move_events(conn, end, size)?;
        let (low, high) = (tlog::stored_hash_count(end), tlog::stored_hash_count(size));
        conn.prepare_cached(
            "INSERT INTO signed_heads (size, root, note, nodes) SELECT size, root, note, ?2 FROM checkpoints WHERE size = ?1",
        )?
        .execute(params![to_sql(size), nodes(conn, low, high)?])?;
        end = size;
    }
    for (table, rows) in [
        ("events", end),
        ("bodies", end),
        ("nodes", tlog::stored_hash_count(end)),
    ] {
        let found: i64 = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        if from_sql(found)? != rows {
            let text = format!("{found} rows of {table} are stored, the newest checkpoint needs {rows}");
            return Err(StoreError::Tampered(text));
        }
    }
    Ok(())
}

fn move_events(conn: &Connection, from: u64, to: u64) -> Result<(), StoreError> {
    let (mut first, mut entries, mut bytes) = (from, Vec::new(), 0);
    for seq in from..to {
        let entry = conn
            .prepare_cached(
                "SELECT e.bytes, b.salt, b.bytes, e.leaf FROM events e JOIN bodies b ON b.event_seq = e.seq WHERE e.seq = ?1",
            )?
            .query_row([to_sql(seq)], |row| {
                let entry = BlockEntry {
                    event: row.get(0)?,
                    kept: Some(KeptBody {
                        salt: row.get(1)?,
                        body: row.get(2)?,
                    }),
                };
                Ok((entry, row.get::<_, TreeHash>(3)?))
            })
            .optional()?;
        let (entry, leaf) =
            entry.ok_or_else(|| StoreError::Tampered(format!("event {seq} or its body is missing")))?;
        if leaf_hash(&entry.event) != leaf {
            return Err(StoreError::Tampered(format!(
                "event {seq} does not hash to its leaf"
            )));
        }
        bytes += entry.kept.as_ref().map_or(0, |kept| kept.body.len());
        entries.push(entry);
        if bytes >= BODIES_BYTES_MAX || seq + 1 == to {
            blocks::insert(conn, first, &entries)?;
            (first, bytes) = (seq + 1, 0);
            entries.clear();
        }
    }
    Ok(())
}

fn nodes(conn: &Connection, from: u64, to: u64) -> Result<Vec<u8>, StoreError> {
    let mut query =
        conn.prepare_cached("SELECT hash FROM nodes WHERE idx >= ?1 AND idx < ?2 ORDER BY idx")?;
    let rows = query.query_map([to_sql(from), to_sql(to)], |row| row.get::<_, [u8; 32]>(0))?;
    Ok(rows.collect::<Result<Vec<_>, _>>()?.concat())
}
