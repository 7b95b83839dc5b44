//! The check at every start: does the newest checkpoint fit what is stored? It looks at the end of the log only,
//! so its cost does not grow; `verify` looks at everything.

use rusqlite::Connection;
use tlog_tiles::tlog;

use super::error::StoreError;
use super::head::{self, Head, NoteKeys};
use super::nodes::{self, Nodes};
use super::row::from_sql;
use super::{migrate, verify};

/// Events at the end of the log whose leaves and bodies are recomputed.
const LAST_EVENTS: u64 = 256;

/// The newest head, after checking it against the stored tree and the last events.
pub(crate) fn newest_head(conn: &Connection, origin: &str, keys: &NoteKeys) -> Result<Head, StoreError> {
    migrate::check_schema(conn)?;
    let newest = head::newest(conn)?
        .ok_or_else(|| StoreError::Tampered("there is no checkpoint at all".to_owned()))?;
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
            "the stored tree has another size than the checkpoint".to_owned(),
        ));
    }
    let tree = Nodes::new(conn, newest.size);
    if tree.root(newest.size)? != newest.root {
        return Err(StoreError::Tampered(
            "the stored tree does not lead to the checkpoint's root".to_owned(),
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

/// Number of events by the highest place taken; gaps are refused on insert and found by the full check.
fn event_count(conn: &Connection) -> Result<u64, StoreError> {
    let last: Option<i64> = conn.query_row("SELECT max(seq) FROM events", [], |row| row.get(0))?;
    let extra: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM bodies WHERE event_seq > ?1)",
        [last.unwrap_or(-1)],
        |row| row.get(0),
    )?;
    if extra {
        return Err(StoreError::Tampered(
            "bodies are stored beyond the last event".to_owned(),
        ));
    }
    Ok(last.map(from_sql).transpose()?.map_or(0, |last| last + 1))
}
