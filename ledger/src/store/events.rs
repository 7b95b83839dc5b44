//! Reads events: one, a page, or one with its proof.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::log::ProvenEntry;
use synapsor_domain::signing::DsseEnvelope;

use super::error::StoreError;
use super::nodes::Nodes;
use super::row::{from_sql, to_sql};
use super::writer::StoreTxError;

/// Maximum number of events that one query of the tail reads.
const TAIL_PAGE: i64 = 200;

/// Maximum size of the bodies in one response, in bytes; keeps it below the largest gRPC message.
pub(crate) const ANSWER_BYTES_MAX: usize = 1_500_000;

/// Event as operators see it.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    pub(crate) seq: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// Filter of a tail.
#[derive(Debug, Clone, Default)]
pub(crate) struct TailFilter {
    pub(crate) proposal: Option<ProposalId>,
    pub(crate) kind: Option<EventKind>,
}

/// Returns matching events starting at `from`, oldest first: at most one page, and fewer when the bodies are
/// large.
pub(crate) fn tail(conn: &Connection, from: u64, filter: &TailFilter) -> Result<Vec<EventRow>, StoreError> {
    let mut sql = "SELECT e.seq, e.bytes, b.bytes FROM event_index i JOIN events e ON e.seq = i.seq \
                   JOIN bodies b ON b.event_seq = i.seq WHERE i.seq >= ?"
        .to_owned();
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(to_sql(from))];
    if let Some(id) = &filter.proposal {
        sql.push_str(" AND i.proposal_id = ?");
        values.push(Box::new(id.as_str().to_owned()));
    }
    if let Some(kind) = filter.kind {
        sql.push_str(" AND i.kind = ?");
        values.push(Box::new(kind.as_str()));
    }
    sql.push_str(" ORDER BY i.seq LIMIT ?");
    values.push(Box::new(TAIL_PAGE));
    let mut query = conn.prepare_cached(&sql)?;
    let mut rows = query.query(params_from_iter(values))?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let event = EventRow {
            seq: from_sql(row.get(0)?)?,
            bytes: row.get(1)?,
            body: row.get(2)?,
        };
        bytes += event.bytes.len() + event.body.len();
        if bytes > ANSWER_BYTES_MAX && !page.is_empty() {
            break;
        }
        page.push(event);
    }
    Ok(page)
}

/// Returns the body of one event.
pub(crate) fn body(conn: &Connection, seq: u64) -> Result<Vec<u8>, StoreError> {
    conn.prepare_cached("SELECT bytes FROM bodies WHERE event_seq = ?1")?
        .query_row([to_sql(seq)], |row| row.get(0))
        .optional()?
        .ok_or_else(|| StoreError::Tampered(format!("the body of event {seq} is missing")))
}

/// Returns the signed object in the body of one event.
pub(crate) fn envelope(conn: &Connection, seq: u64) -> Result<DsseEnvelope, StoreError> {
    DsseEnvelope::from_bytes(&body(conn, seq)?)
        .map_err(|_| StoreError::Tampered(format!("the body of event {seq} is not a signed object")))
}

/// Returns the time at which an event was recorded, in milliseconds since 1970.
pub(crate) fn at_ms(conn: &Connection, seq: u64) -> Result<i64, StoreError> {
    Ok(conn
        .prepare_cached("SELECT at FROM event_index WHERE seq = ?1")?
        .query_row([to_sql(seq)], |row| row.get(0))?)
}

/// Returns one event with its body and its inclusion proof in the tree of `size` events.
pub(crate) fn logged(conn: &Connection, seq: u64, size: u64) -> Result<ProvenEntry, StoreError> {
    let row = conn
        .prepare_cached(
            "SELECT e.bytes, b.salt, b.bytes FROM events e JOIN bodies b ON b.event_seq = e.seq WHERE e.seq = ?1",
        )?
        .query_row([to_sql(seq)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (event_bytes, body_salt, body) =
        row.ok_or_else(|| StoreError::Tampered(format!("event {seq} is missing")))?;
    let proof = Nodes::new(conn, size).inclusion(seq, size)?;
    Ok(ProvenEntry {
        event_bytes,
        body_salt,
        body,
        proof,
    })
}

/// Returns several events with proofs; fails when they exceed one response.
pub(crate) fn logged_all(
    conn: &Connection,
    seqs: &[u64],
    size: u64,
) -> Result<Vec<ProvenEntry>, StoreTxError> {
    let (mut records, mut bytes) = (Vec::with_capacity(seqs.len()), 0);
    for seq in seqs {
        let record = logged(conn, *seq, size)?;
        bytes += record.body.len() + record.event_bytes.len() + 40 * record.proof.hashes().len();
        if bytes > ANSWER_BYTES_MAX {
            let text = "the records of the proposal exceed one response; read them with `events tail`";
            return Err(PublicError::new(ErrorCode::ReplayTooLarge, text).into());
        }
        records.push(record);
    }
    Ok(records)
}

/// Returns the positions of the newest event of one of these kinds about a proposal.
pub(crate) fn newest_of(conn: &Connection, id: &str, kinds: &[EventKind]) -> Result<Option<u64>, StoreError> {
    let names: Vec<_> = kinds.iter().map(|k| format!("'{k}'")).collect();
    let sql = format!(
        "SELECT seq FROM event_index WHERE proposal_id = ?1 AND kind IN ({}) ORDER BY seq DESC LIMIT 1",
        names.join(", ")
    );
    let seq: Option<i64> = conn
        .prepare_cached(&sql)?
        .query_row(params![id], |row| row.get(0))
        .optional()?;
    seq.map(from_sql).transpose()
}

/// Returns the positions of every event about a proposal, with the evidence and the audit records of the calls
/// that submitted it, oldest first.
pub(crate) fn about_proposal(conn: &Connection, id: &str) -> Result<Vec<u64>, StoreError> {
    let mut query = conn.prepare_cached("SELECT seq FROM event_index WHERE proposal_id = ?1 ORDER BY seq")?;
    let rows = query.query_map([id], |row| row.get::<_, i64>(0))?;
    rows.map(|seq| from_sql(seq?)).collect()
}
