//! Checks at every start that the newest checkpoint matches the stored log. It reads only the end of the log, so
//! its cost is constant; `verify` reads everything.

use rusqlite::Connection;
use synapsor_domain::log::NoteKeys;

use super::blocks::{self, Cursor};
use super::error::StoreError;
use super::head::{self, SignedTreeHead};
use super::nodes::{self, Nodes};
use super::row::from_sql;
use super::{migrate, verify, views};

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
    let events = blocks::event_count(conn)?;
    if events != newest.size {
        let text = format!(
            "{events} events are stored, the newest checkpoint counts {}",
            newest.size
        );
        return Err(StoreError::Tampered(text));
    }
    if !has_all_nodes(conn)? {
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
    let last = newest.size.saturating_sub(LAST_EVENTS);
    blocks::check_layout(conn, last, newest.size)?;
    let mut entries = Cursor::new(conn);
    for seq in last..newest.size {
        let (_, body) = verify::event(&mut entries, &tree, seq)?;
        if body.is_none() && !views::is_erased(conn, seq)? {
            return Err(verify::no_body(seq));
        }
    }
    Ok(newest)
}

/// Returns whether the newest checkpoint has the nodes that its batch created.
fn has_all_nodes(conn: &Connection) -> Result<bool, StoreError> {
    let mut query = conn.prepare("SELECT size, length(nodes) FROM checkpoints ORDER BY size DESC LIMIT 2")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut heads = Vec::new();
    for row in rows {
        let (size, bytes): (i64, i64) = row?;
        heads.push((from_sql(size)?, from_sql(bytes)?));
    }
    Ok(match heads.as_slice() {
        [(size, bytes), (before, _)] => nodes::is_count_right(*before, *size, *bytes),
        [(size, bytes)] => nodes::is_count_right(0, *size, *bytes),
        _ => false,
    })
}
