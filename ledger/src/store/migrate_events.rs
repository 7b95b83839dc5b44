//! Moves events, bodies, nodes and checkpoints of earlier stores, which had a row for each, into blocks. What is
//! signed stays the same, byte for byte.

use rusqlite::{Connection, OptionalExtension as _, params};
use tlog_tiles::tlog;

use super::blocks::{self, BODIES_BYTES_MAX, BlockEntry};
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
    let rest: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM events WHERE seq >= ?1) OR EXISTS (SELECT 1 FROM bodies WHERE event_seq >= ?1) \
           OR EXISTS (SELECT 1 FROM nodes WHERE idx >= ?2)",
        params![to_sql(end), to_sql(tlog::stored_hash_count(end))],
        |row| row.get(0),
    )?;
    if rest {
        let text = "events are stored after the newest checkpoint";
        return Err(StoreError::Tampered(text.to_owned()));
    }
    Ok(())
}

fn move_events(conn: &Connection, from: u64, to: u64) -> Result<(), StoreError> {
    let (mut first, mut entries, mut bytes) = (from, Vec::new(), 0);
    for seq in from..to {
        let entry = conn
            .prepare_cached(
                "SELECT e.bytes, b.salt, b.bytes FROM events e JOIN bodies b ON b.event_seq = e.seq WHERE e.seq = ?1",
            )?
            .query_row([to_sql(seq)], |row| {
                Ok(BlockEntry {
                    event: row.get(0)?,
                    salt: row.get(1)?,
                    body: row.get(2)?,
                })
            })
            .optional()?
            .ok_or_else(|| StoreError::Tampered(format!("event {seq} or its body is missing")))?;
        bytes += entry.body.len();
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
