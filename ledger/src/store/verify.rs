//! Full check: recomputes every leaf, node, body commitment, root and signature, and derives the views again.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;
use synapsor_domain::canonical;
use synapsor_domain::event::EventRecord;
use synapsor_domain::log::{NoteKeys, TreeHash, body_commitment, leaf_hash};
use synapsor_domain::signing::PublicKey;
use tlog_tiles::tlog;

use super::blocks::{self, Cursor};
use super::error::StoreError;
use super::event_times::SegmentTimes;
use super::head::{self, SignedTreeHead};
use super::nodes::{self, Nodes};
use super::record_index::RecordIndex;
use super::row::from_sql;
use super::views::{self, Erasures, ParsedBody, RecordView};
use super::{check, connection, migrate, record_views};

/// Result of a full check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Number of events, with their bodies.
    pub events: u64,
    /// Number of signed checkpoints.
    pub checkpoints: u64,
    /// Root of the whole log.
    pub root: TreeHash,
    /// Newest signed checkpoint.
    pub note: String,
}

/// Recomputes everything in the file, read-only. The error is the first value that differs from the written one.
pub fn verify_file(path: &Path, origin: &str, key: &PublicKey) -> Result<VerifyReport, StoreError> {
    verify_under(path, origin, &key.into())
}

/// Verifies a store whose older checkpoints may be signed by ledger keys that are now retired.
pub fn verify_under(path: &Path, origin: &str, keys: &NoteKeys) -> Result<VerifyReport, StoreError> {
    verify_open(path, origin, keys, 0)
}

/// Like [`verify_under`], for the store of this process, whose views of records are complete up to `views_end` at least:
/// a lower stored position would hide their rows from the comparison.
pub(super) fn verify_open(
    path: &Path,
    origin: &str,
    keys: &NoteKeys,
    views_end: u64,
) -> Result<VerifyReport, StoreError> {
    let conn = connection::open_reader(path, connection::ReadAs::Shared)?;
    if migrate::version(&conn)? == 0 {
        return Err(StoreError::Tampered("the file contains no store".to_owned()));
    }
    // One read transaction, because the log may grow while this runs.
    conn.execute_batch("BEGIN DEFERRED")?;
    structure(&conn)?;
    let newest = check::newest_head(&conn, origin, keys)?;
    let views_end = record_views::end(&conn)?.filter(|end| (views_end..=newest.size).contains(end));
    let views_end = views_end.ok_or_else(|| differs("record_views_end"))?;
    let derived = derive(&conn, newest.size, views_end)?;
    let checkpoints = checkpoints(&conn, &newest, origin, keys)?;
    compare_views(&conn, &derived)?;
    leases(&conn)?;
    Ok(VerifyReport {
        events: newest.size,
        checkpoints,
        root: newest.root,
        note: newest.note,
    })
}

fn structure(conn: &Connection) -> Result<(), StoreError> {
    let found: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(StoreError::Tampered("the database file is damaged".to_owned()));
    }
    let dangling = conn.prepare("PRAGMA foreign_key_check")?.exists([])?;
    if dangling {
        return Err(StoreError::Tampered("a row refers to a missing row".to_owned()));
    }
    Ok(())
}

/// Recomputes one event: its leaf in the tree, its position, and its body unless that is erased.
pub(crate) fn event(
    entries: &mut Cursor<'_>,
    tree: &Nodes<'_>,
    seq: u64,
) -> Result<(EventRecord, Option<Vec<u8>>), StoreError> {
    let tampered = |what: &str| StoreError::Tampered(format!("event {seq}: {what}"));
    let entry = entries
        .entry(seq)?
        .ok_or_else(|| tampered("the event or its body is missing"))?;
    if leaf_hash(&entry.event) != tree.leaf(seq)? {
        return Err(tampered("the bytes do not hash to their leaf in the tree"));
    }
    let record: EventRecord =
        canonical::decode(&entry.event).map_err(|_| tampered("is not an event record"))?;
    if record.seq != seq {
        return Err(tampered("has a different position than its record states"));
    }
    let Some(kept) = &entry.kept else {
        return Ok((record, None));
    };
    if body_commitment(&kept.salt, &kept.body) != record.body_digest {
        return Err(tampered("the body differs from the event's commitment"));
    }
    Ok((record, Some(kept.body.clone())))
}

/// Error for a body that is missing although no order erased it.
pub(crate) fn no_body(seq: u64) -> StoreError {
    StoreError::Tampered(format!("event {seq}: the body is missing"))
}

/// Collects what the events at these positions erased.
pub(crate) fn erasures(
    conn: &Connection,
    tree: &Nodes<'_>,
    positions: Vec<u64>,
) -> Result<Erasures, StoreError> {
    let (mut erasures, mut entries) = (Erasures::default(), Cursor::new(conn));
    for seq in positions {
        let (record, body) = event(&mut entries, tree, seq)?;
        erasures.add(&record, &body.ok_or_else(|| no_body(seq))?)?;
    }
    Ok(erasures)
}

/// Recomputes all events, the whole tree, and the views into a new database. The views of records, which the ledger
/// writes later than the records, end at `views_end`.
fn derive(conn: &Connection, size: u64, views_end: u64) -> Result<Connection, StoreError> {
    blocks::check_layout(conn, 0, size)?;
    let stored = Nodes::new(conn, size);
    // The list is part of a view, which is compared in the end.
    let erasures = erasures(conn, &stored, Erasures::positions(conn)?)?;
    // An unnamed database is in memory and moves to a temporary file when it grows.
    let derived = Connection::open("")?;
    migrate::migrate(&derived)?;
    derived.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; BEGIN")?;
    let (mut next_node, mut entries) = (0, Cursor::new(conn));
    let (mut index, mut times) = (RecordIndex::default(), SegmentTimes::default());
    for seq in 0..size {
        let (record, body) = event(&mut entries, &stored, seq)?;
        let made = tlog::stored_hashes_for_record_hash(seq, tlog::Hash(stored.leaf(seq)?), &stored)
            .map_err(|_| StoreError::Tampered("nodes of the tree are missing".to_owned()))?;
        for hash in made {
            if stored.node(next_node)? != hash.0 {
                return Err(StoreError::Tampered(format!(
                    "node {next_node} of the tree is not the hash of its children"
                )));
            }
            next_node += 1;
        }
        times.add(&derived, seq, record.at)?;
        derive_views(&derived, (&record, body), &erasures, (&mut index, views_end))?;
    }
    index.flush(&derived)?;
    derived.execute_batch("COMMIT")?;
    Ok(derived)
}

/// Derives the views of one event. Those of records end at `views_end`.
pub(super) fn derive_views(
    derived: &Connection,
    (event, body): (&EventRecord, Option<Vec<u8>>),
    erasures: &Erasures,
    (index, views_end): (&mut RecordIndex, u64),
) -> Result<(), StoreError> {
    let Some(body) = body else {
        if !erasures.covers(event) {
            return Err(no_body(event.seq));
        }
        return views::without_body(derived, event, erasures);
    };
    if erasures.covers(event) {
        let text = format!("event {}: the body was erased, and is there", event.seq);
        return Err(StoreError::Tampered(text));
    }
    match RecordView::of(event, &body, ParsedBody::No)? {
        Some(view) if event.seq < views_end => view.write(derived, index),
        Some(_) => Ok(()),
        None => views::apply(derived, event, &body, ParsedBody::No),
    }
}

fn checkpoints(
    conn: &Connection,
    newest: &SignedTreeHead,
    origin: &str,
    keys: &NoteKeys,
) -> Result<u64, StoreError> {
    let tree = Nodes::new(conn, newest.size);
    let mut query = conn.prepare("SELECT size, root, note, length(nodes) FROM checkpoints ORDER BY size")?;
    let mut rows = query.query([])?;
    let (mut count, mut before) = (0, 0);
    while let Some(row) = rows.next()? {
        let stored = SignedTreeHead {
            size: from_sql(row.get(0)?)?,
            root: row.get(1)?,
            note: row.get(2)?,
        };
        head::check(&stored, origin, keys)?;
        if tree.root(stored.size)? != stored.root {
            return Err(StoreError::Tampered(format!(
                "checkpoint {} is not the root of its events",
                stored.size
            )));
        }
        if count == 0 && stored.size != 0 {
            return Err(StoreError::Tampered(
                "the checkpoint of the empty log is missing".to_owned(),
            ));
        }
        if !nodes::is_count_right(before, stored.size, from_sql(row.get(3)?)?) {
            return Err(StoreError::Tampered(format!(
                "checkpoint {} has too many or too few nodes",
                stored.size
            )));
        }
        before = stored.size;
        count += 1;
    }
    Ok(count)
}

fn compare_views(stored: &Connection, derived: &Connection) -> Result<(), StoreError> {
    for (table, key) in views::TABLES {
        let sql = format!("SELECT * FROM {table} ORDER BY {key}");
        let (mut left, mut right) = (stored.prepare(&sql)?, derived.prepare(&sql)?);
        let columns = left.column_count();
        let (mut left, mut right) = (left.query([])?, right.query([])?);
        loop {
            match (left.next()?, right.next()?) {
                (None, None) => break,
                (Some(a), Some(b)) => {
                    for column in 0..columns {
                        if a.get::<_, Value>(column)? != b.get::<_, Value>(column)? {
                            return Err(differs(table));
                        }
                    }
                }
                (Some(_), None) | (None, Some(_)) => return Err(differs(table)),
            }
        }
    }
    Ok(())
}

/// Checks the fences: a fence below the one in an event has been reset.
fn leases(conn: &Connection) -> Result<(), StoreError> {
    let behind: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM attempts a LEFT JOIN leases l USING (proposal_id) \
         WHERE l.fence IS NOT NULL AND l.fence < a.fence)",
        [],
        |row| row.get(0),
    )?;
    if behind { Err(differs("leases")) } else { Ok(()) }
}

fn differs(table: &str) -> StoreError {
    StoreError::Tampered(format!("the table {table} differs from the events"))
}
