//! Checks at every start that the newest checkpoint matches the stored log. It reads only the end of the log, so
//! its cost is constant; `verify` reads everything.

use rusqlite::Connection;
use tlog_tiles::tlog;

use super::error::StoreError;
use super::head::{self, NoteKeys, SignedTreeHead};
use super::nodes::{self, Nodes};
use super::row::from_sql;
use super::{migrate, verify};

/// Number of events at the end of the log whose leaves and bodies are recomputed.
const LAST_EVENTS: u64 = 256;

/// Returns the newest head after checking it against the stored tree and the last events.
pub(crate) fn newest_head(
    conn: &Connection,
    origin: &str,
    keys: &NoteKeys,
) -> Result<SignedTreeHead, StoreError> {
    migrate::check_schema(conn)?;
    let newest =
        head::newest(conn)?.ok_or_else(|| StoreError::Tampered("no checkpoint is stored".to_owned()))?;
    head::check(&newest, origin, keys)?;
    let events = event_count(conn)?;
    if events != newest.size {
        let text = format!(
            "{events} events are stored, the newest checkpoint counts {}",
            newest.size
        );
        return Err(StoreError::Tampered(text));
    }
    let stored = nodes::last_index(conn)?.map_or(0, |last| last + 1);
    if stored != tlog::stored_hash_count(newest.size) {
        return Err(StoreError::Tampered(
            "the stored tree and the checkpoint differ in size".to_owned(),
        ));
    }
    let tree = Nodes::new(conn, newest.size);
    if tree.root(newest.size)? != newest.root {
        return Err(StoreError::Tampered(
            "the root of the stored tree differs from the checkpoint".to_owned(),
        ));
    }
    for retired in keys.heads().filter(|head| head.size <= newest.size) {
        if tree.root(retired.size)? != retired.root {
            return Err(StoreError::Tampered(format!(
                "the log of {} events is not the one in which a ledger key was retired",
                retired.size
            )));
        }
    }
    for seq in newest.size.saturating_sub(LAST_EVENTS)..newest.size {
        verify::event(conn, &tree, seq)?;
    }
    Ok(newest)
}

/// Returns the number of events by the highest position. Inserts reject gaps, and the full check finds them.
fn event_count(conn: &Connection) -> Result<u64, StoreError> {
    let last: Option<i64> = conn.query_row("SELECT max(seq) FROM events", [], |row| row.get(0))?;
    let extra: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM bodies WHERE event_seq > ?1)",
        [last.unwrap_or(-1)],
        |row| row.get(0),
    )?;
    if extra {
        return Err(StoreError::Tampered(
            "bodies are stored after the last event".to_owned(),
        ));
    }
    Ok(last.map(from_sql).transpose()?.map_or(0, |last| last + 1))
}
