//! Reads events: one, a page, or one with its proof.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use synapsor_domain::canonical;
use synapsor_domain::event::{EventKind, EventRecord, ReadBody};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::signing::DsseEnvelope;

use super::blocks::{self, Cursor};
use super::error::StoreError;
use super::event_times::{self, TimeRange};
use super::row::{from_sql, to_sql};
use super::views::{self, RECORD_KINDS};

/// Maximum number of events that one query of the tail reads.
const TAIL_PAGE: usize = 200;

/// Maximum size of the bodies in one response, in bytes; keeps it below the largest gRPC message.
pub(crate) const ANSWER_BYTES_MAX: usize = 1_500_000;

/// Event as operators see it.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    pub(crate) seq: u64,
    pub(crate) bytes: Vec<u8>,
    /// Empty when it is erased.
    pub(crate) body: Vec<u8>,
}

/// Filter of a tail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TailFilter {
    pub(crate) proposal: Option<ProposalId>,
    pub(crate) kind: Option<EventKind>,
    pub(crate) actor: Option<String>,
    pub(crate) times: TimeRange,
}

/// Part of a tail.
#[derive(Debug)]
pub(crate) struct TailPage {
    pub(crate) events: Vec<EventRow>,
    /// Position at which the rest begins.
    pub(crate) next: u64,
}

impl TailFilter {
    /// Whether the views of evidence and audit records find events of this filter.
    pub(crate) fn finds_records(&self) -> bool {
        match self.kind {
            Some(kind) => RECORD_KINDS.contains(&kind),
            None => self.proposal.is_some(),
        }
    }

    /// Whether an event of the requested kind and proposal meets the other conditions.
    fn is_met_by(&self, seq: u64, event: &[u8]) -> Result<bool, StoreError> {
        if self.actor.is_none() && self.times.is_open() {
            return Ok(true);
        }
        let record: EventRecord = canonical::decode(event).map_err(|_| malformed(seq))?;
        let is_actor = self.actor.as_ref().is_none_or(|actor| *actor == record.actor);
        Ok(is_actor && self.times.contains(record.at.as_unix_millis()))
    }
}

/// Returns matching events of the range, oldest first: at most one page, and fewer when the bodies are large or few events
/// match.
pub(crate) fn tail(
    conn: &Connection,
    (from, to): (u64, u64),
    filter: &TailFilter,
) -> Result<TailPage, StoreError> {
    let from = event_times::skip(conn, (from, to), filter.times)?;
    let (mut events, mut bytes, mut entries) = (Vec::new(), 0, Cursor::new(conn));
    let positions = tail_positions(conn, (from, to), filter)?;
    let mut next = match positions.last() {
        Some(last) if positions.len() == TAIL_PAGE => last + 1,
        Some(_) | None => to,
    };
    for seq in positions {
        let entry = entries.entry(seq)?.ok_or_else(|| missing(seq))?;
        if !filter.is_met_by(seq, &entry.event)? {
            continue;
        }
        let body = match &entry.kept {
            Some(kept) => kept.body.as_slice(),
            None if views::is_erased(conn, seq)? => &[],
            None => return Err(blocks::without_body(conn, seq)),
        };
        bytes += entry.event.len() + body.len();
        if bytes > ANSWER_BYTES_MAX && !events.is_empty() {
            next = seq;
            break;
        }
        events.push(EventRow {
            seq,
            bytes: entry.event.clone(),
            body: body.to_vec(),
        });
    }
    Ok(TailPage { events, next })
}

/// Returns the positions of one page. Reads are found in their tables, other events in the index.
fn tail_positions(
    conn: &Connection,
    (from, to): (u64, u64),
    filter: &TailFilter,
) -> Result<Vec<u64>, StoreError> {
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(to_sql(from)), Box::new(to_sql(to))];
    let sql = match (&filter.proposal, filter.kind) {
        (None, None) => {
            let end = blocks::event_count(conn)?.min(to);
            return Ok((from..end).take(TAIL_PAGE).collect());
        }
        // The event of a read is in both tables.
        (None, Some(EventKind::ReadRecorded)) => {
            "SELECT seq FROM evidence e WHERE seq >= ? AND seq < ? AND EXISTS \
             (SELECT 1 FROM audit a WHERE a.seq = e.seq)"
                .to_owned()
        }
        // A read counts as both.
        (None, Some(EventKind::EvidenceRecorded)) => {
            "SELECT seq FROM evidence WHERE seq >= ? AND seq < ?".to_owned()
        }
        (None, Some(EventKind::QueryAudited)) => format!(
            "SELECT seq FROM audit a WHERE seq >= ? AND seq < ? AND NOT EXISTS \
             (SELECT 1 FROM event_index i WHERE i.seq = a.seq AND i.kind = '{}')",
            EventKind::CallRefused
        ),
        (proposal, kind) => {
            let mut sql = "SELECT seq FROM event_index WHERE seq >= ? AND seq < ?".to_owned();
            if let Some(id) = proposal {
                sql.push_str(" AND proposal_id = ?");
                values.push(Box::new(id.as_str().to_owned()));
            }
            if let Some(kind) = kind {
                sql.push_str(" AND kind = ?");
                values.push(Box::new(kind.as_str()));
            }
            sql
        }
    };
    let mut query = conn.prepare_cached(&format!("{sql} ORDER BY seq LIMIT {TAIL_PAGE}"))?;
    let rows = query.query_map(params_from_iter(values), |row| row.get::<_, i64>(0))?;
    rows.map(|seq| from_sql(seq?)).collect()
}

/// Returns the body of one event.
pub(crate) fn body(conn: &Connection, seq: u64) -> Result<Vec<u8>, StoreError> {
    blocks::body(conn, seq)?.ok_or_else(|| missing(seq))
}

/// Returns the evidence of one event.
pub(crate) fn evidence(conn: &Connection, seq: u64) -> Result<DsseEnvelope, StoreError> {
    let malformed = |_| StoreError::Tampered(format!("the body of event {seq} is not evidence"));
    match kind_and_body(conn, seq)? {
        (EventKind::ReadRecorded, body) => Ok(ReadBody::decode(&body).map_err(malformed)?.evidence),
        (_, body) => DsseEnvelope::from_bytes(&body).map_err(malformed),
    }
}

/// Returns the audit record of one event in canonical form, and the kind of the event.
pub(crate) fn audit(conn: &Connection, seq: u64) -> Result<(EventKind, Vec<u8>), StoreError> {
    let malformed = |_| StoreError::Tampered(format!("the body of event {seq} has no audit record"));
    match kind_and_body(conn, seq)? {
        (EventKind::ReadRecorded, body) => {
            let body = ReadBody::decode(&body).map_err(malformed)?;
            Ok((EventKind::ReadRecorded, body.audit))
        }
        other => Ok(other),
    }
}

fn kind_and_body(conn: &Connection, seq: u64) -> Result<(EventKind, Vec<u8>), StoreError> {
    let entry = blocks::entry(conn, seq)?.ok_or_else(|| missing(seq))?;
    let record: EventRecord = canonical::decode(&entry.event).map_err(|_| malformed(seq))?;
    let kept = entry.kept.ok_or_else(|| blocks::without_body(conn, seq))?;
    Ok((record.kind, kept.body))
}

fn malformed(seq: u64) -> StoreError {
    StoreError::Tampered(format!("event {seq} is malformed"))
}

pub(super) fn missing(seq: u64) -> StoreError {
    StoreError::Tampered(format!("event {seq} or its body is missing"))
}

/// Returns the signed object in the body of one event.
pub(crate) fn envelope(conn: &Connection, seq: u64) -> Result<DsseEnvelope, StoreError> {
    envelope_of(&body(conn, seq)?, seq)
}

/// Returns the signed object in the body of event `seq`.
pub(crate) fn envelope_of(body: &[u8], seq: u64) -> Result<DsseEnvelope, StoreError> {
    DsseEnvelope::from_bytes(body)
        .map_err(|_| StoreError::Tampered(format!("the body of event {seq} is not a signed object")))
}

/// Returns the time at which an event was recorded, in milliseconds since 1970.
pub(crate) fn at_ms(conn: &Connection, seq: u64) -> Result<i64, StoreError> {
    Ok(conn
        .prepare_cached("SELECT at FROM event_index WHERE seq = ?1")?
        .query_row([to_sql(seq)], |row| row.get(0))?)
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
