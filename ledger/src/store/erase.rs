//! Erases bodies, in parts that fit one transaction each: ended proposals with their records, and records of calls.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params_from_iter, types::ToSql};
use synapsor_domain::approval::{ErasureSelection, verify_erasure_order_at};
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::event::{ErasedProposal, ErasureBody, EventKind, EventRecord};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::limits::ENVELOPE_BYTES_MAX;
use synapsor_domain::proposal::{ProposalMode, ProposalState};
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::{Position, TrustFile};

use super::blocks::{self, Cursor};
use super::error::StoreError;
use super::events::{self, missing};
use super::log;
use super::record_index::{self, PostingField, SEGMENT_EVENTS};
use super::record_views;
use super::row::{from_sql, to_sql};
use super::step::{NewEvent, WriteTransaction};
use super::views::{Erasures, ParsedBody, RecordView};
use super::writer::StoreTxError;

/// Maximum number of proposals that one transaction erases.
const PROPOSALS_MAX: usize = 64;

/// Maximum number of segments whose record views one transaction derives again; each holds up the ledger.
const SEGMENTS_MAX: usize = 2;

/// Checks the order of each erasure in the log.
pub(crate) fn check_orders(conn: &Connection, trust: &TrustFile) -> Result<(), StoreError> {
    let continued = log::continued(conn, trust.retirements())?;
    for seq in Erasures::positions(conn)? {
        let erased: ErasureBody = canonical::decode_within(&events::body(conn, seq)?, 2 * ENVELOPE_BYTES_MAX)
            .map_err(|_| StoreError::Tampered(format!("event {seq}: the body is no erasure")))?;
        let position = Position::Logged {
            index: seq,
            continues: &|head| continued.contains(head),
        };
        verify_erasure_order_at(&erased.order, trust, &position).map_err(|refusal| {
            StoreError::Tampered(format!("event {seq}: the erasure order: {}", refusal.public))
        })?;
    }
    Ok(())
}

/// What one transaction erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ErasedPart {
    pub(crate) proposals: u64,
    pub(crate) bodies: u64,
    /// Position from which the next part begins; `None` after the last.
    pub(crate) next: Option<u64>,
}

/// What a selection concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ErasureCount {
    pub(crate) proposals: u64,
    /// Evidence and audit records outside these proposals.
    pub(crate) records: u64,
    /// Proposals of the selection that are open or have an open receipt incident.
    pub(crate) kept: u64,
}

/// Order and time of an erasure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Erasing<'a> {
    pub(crate) selection: &'a ErasureSelection,
    pub(crate) order: &'a DsseEnvelope,
    pub(crate) person: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) trace_id: Option<&'a str>,
}

/// Erases the next ended proposals that were created from position `from` on.
pub(crate) fn proposals(
    step: &mut WriteTransaction<'_>,
    erasing: Erasing<'_>,
    from: u64,
) -> Result<ErasedPart, StoreTxError> {
    let conn = step.conn();
    let (mut positions, mut segments, mut kept) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut next = None;
    for proposal in ended(conn, erasing.selection, from, PROPOSALS_MAX + 1)? {
        let own = positions_of(conn, &proposal.proposal_id)?;
        let touched: BTreeSet<u64> = own.iter().map(|seq| seq / SEGMENT_EVENTS).collect();
        let is_full = segments.union(&touched).count() > SEGMENTS_MAX || kept.len() == PROPOSALS_MAX;
        if is_full && !kept.is_empty() {
            next = Some(proposal.created_seq);
            break;
        }
        positions.extend(own);
        segments.extend(touched);
        kept.push(proposal);
    }
    let mut part = finish(step, erasing, kept, &positions)?;
    part.next = next;
    Ok(part)
}

/// Erases the records of one segment that belong to no proposal which stays.
pub(crate) fn records(
    step: &mut WriteTransaction<'_>,
    erasing: Erasing<'_>,
    segment: u64,
) -> Result<ErasedPart, StoreTxError> {
    let positions = records_of(step.conn(), erasing.selection, segment)?;
    finish(step, erasing, Vec::new(), &positions)
}

fn finish(
    step: &mut WriteTransaction<'_>,
    erasing: Erasing<'_>,
    proposals: Vec<ErasedProposal>,
    positions: &BTreeSet<u64>,
) -> Result<ErasedPart, StoreTxError> {
    if positions.is_empty() {
        return Ok(ErasedPart::default());
    }
    let conn = step.conn();
    let ascending: Vec<u64> = positions.iter().copied().collect();
    // What was there must not be readable in free pages either.
    conn.execute_batch("PRAGMA secure_delete = ON")?;
    blocks::erase(conn, &ascending)?;
    let part = ErasedPart {
        proposals: u64::try_from(proposals.len()).expect("a part fits in memory"),
        bodies: u64::try_from(ascending.len()).expect("a part fits in memory"),
        next: None,
    };
    let body = ErasureBody {
        order: erasing.order.clone(),
        proposals,
        ranges: ranges(&ascending),
    };
    let body = canonical::encode(&body)
        .map_err(|error| StoreError::Failed(format!("an erasure has no canonical form: {error}")))?;
    step.append(&NewEvent {
        kind: EventKind::BodiesErased,
        at: erasing.now,
        actor: erasing.person,
        proposal_id: None,
        body: &body,
        read: ParsedBody::No,
        trace_id: erasing.trace_id,
    })?;
    let segments: BTreeSet<u64> = ascending.iter().map(|seq| seq / SEGMENT_EVENTS).collect();
    step.derive_segments(&segments)?;
    conn.execute_batch("PRAGMA secure_delete = OFF")?;
    Ok(part)
}

/// Counts what a selection would erase.
pub(crate) fn count(conn: &Connection, selection: &ErasureSelection) -> Result<ErasureCount, StoreError> {
    let mut counted = ErasureCount::default();
    let mut from = 0;
    loop {
        let found = ended(conn, selection, from, PROPOSALS_MAX)?;
        let Some(last) = found.last() else { break };
        from = last.created_seq + 1;
        counted.proposals += u64::try_from(found.len()).unwrap_or(u64::MAX);
    }
    let (condition, values) = proposal_condition(selection);
    let sql = format!(
        "SELECT count(*) FROM proposals p WHERE erased_seq IS NULL AND {condition} AND NOT ({})",
        is_ended()
    );
    let open: i64 = conn.query_row(&sql, params_from_iter(values), |row| row.get(0))?;
    counted.kept = from_sql(open)?;
    for segment in segments(conn, selection)? {
        counted.records += u64::try_from(records_of(conn, selection, segment)?.len()).unwrap_or(u64::MAX);
    }
    Ok(counted)
}

/// Returns the segments that can have records of the selection.
pub(crate) fn segments(conn: &Connection, selection: &ErasureSelection) -> Result<Vec<u64>, StoreError> {
    let (sql, values): (String, Vec<Box<dyn ToSql>>) = match selection {
        ErasureSelection::Tenant { tenant } => (
            "SELECT segment FROM record_segments WHERE field = 'tenant' AND value = ? ORDER BY segment"
                .to_owned(),
            vec![Box::new(tenant.clone())],
        ),
        ErasureSelection::Object { tables, .. } => (
            format!(
                "SELECT DISTINCT segment FROM record_segments WHERE field = 'table_name' AND value IN ({}) \
                 ORDER BY segment",
                vec!["?"; tables.len()].join(", ")
            ),
            tables
                .iter()
                .map(|table| Box::new(table.clone()) as Box<dyn ToSql>)
                .collect(),
        ),
        ErasureSelection::Before { before } => (
            "SELECT segment FROM record_times WHERE at_min < ? ORDER BY segment".to_owned(),
            vec![Box::new(before.as_unix_millis())],
        ),
    };
    let mut query = conn.prepare_cached(&sql)?;
    let rows = query.query_map(params_from_iter(values), |row| row.get(0))?;
    rows.map(|segment| from_sql(segment?)).collect()
}

/// Returns ended proposals of the selection, oldest first, created from position `from` on.
fn ended(
    conn: &Connection,
    selection: &ErasureSelection,
    from: u64,
    most: usize,
) -> Result<Vec<ErasedProposal>, StoreError> {
    let (condition, mut values) = proposal_condition(selection);
    values.push(Box::new(to_sql(from)));
    values.push(Box::new(i64::try_from(most).unwrap_or(i64::MAX)));
    let sql = format!(
        "SELECT proposal_id, digest, content_digest, state, started, attempts, capability, source_id, table_name, mode, \
         quorum, created_at, not_after, created_seq, changed_seq FROM proposals p \
         WHERE erased_seq IS NULL AND {condition} AND {} AND created_seq >= ? ORDER BY created_seq LIMIT ?",
        is_ended()
    );
    let mut query = conn.prepare_cached(&sql)?;
    let mut rows = query.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(kept_of(row)?);
    }
    Ok(found)
}

fn kept_of(row: &Row<'_>) -> Result<ErasedProposal, StoreError> {
    let damaged = || StoreError::Tampered("the row of a proposal is malformed".to_owned());
    let text = |index| row.get::<_, String>(index);
    let time = |index| Ok::<_, StoreError>(Timestamp::from_unix_millis(row.get(index)?));
    Ok(ErasedProposal {
        proposal_id: text(0)?.parse().map_err(|_| damaged())?,
        digest: Digest::from_bytes(row.get(1)?),
        content_digest: Digest::from_bytes(row.get(2)?),
        state: text(3)?.parse().map_err(|_| damaged())?,
        started: row.get(4)?,
        attempts: row.get(5)?,
        capability: text(6)?,
        source_id: text(7)?,
        table: text(8)?,
        mode: ProposalMode::from_text(&text(9)?).ok_or_else(damaged)?,
        quorum: row.get(10)?,
        created_at: time(11)?,
        not_after: time(12)?,
        created_seq: from_sql(row.get(13)?)?,
        changed_seq: from_sql(row.get(14)?)?,
    })
}

/// Condition on a proposal `p` that ended and whose receipt is in no dispute.
fn is_ended() -> String {
    let states = ProposalState::ALL.into_iter().filter(|state| state.is_terminal());
    let states: Vec<_> = states.map(|state| format!("'{}'", state.as_str())).collect();
    format!(
        "p.state IN ({}) AND NOT EXISTS (SELECT 1 FROM receipt_incidents i \
         WHERE i.proposal_id = p.proposal_id AND i.ended_seq IS NULL)",
        states.join(", ")
    )
}

/// Condition on a proposal `p` of the selection, with its values.
fn proposal_condition(selection: &ErasureSelection) -> (String, Vec<Box<dyn ToSql>>) {
    match selection {
        ErasureSelection::Tenant { tenant } => ("p.tenant = ?".to_owned(), vec![Box::new(tenant.clone())]),
        ErasureSelection::Object { object_id, tables } => {
            let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(object_id.clone())];
            values.extend(
                tables
                    .iter()
                    .map(|table| Box::new(table.clone()) as Box<dyn ToSql>),
            );
            let marks = vec!["?"; tables.len()].join(", ");
            (format!("p.object_id = ? AND p.table_name IN ({marks})"), values)
        }
        // The time of the event that changed it last: how long ago it ended.
        ErasureSelection::Before { before } => (
            "(SELECT c.at FROM event_index c WHERE c.seq = p.changed_seq) < ?".to_owned(),
            vec![Box::new(before.as_unix_millis())],
        ),
    }
}

/// Returns the positions of the erasable bodies of a proposal, with its evidence and audit records.
fn positions_of(conn: &Connection, id: &ProposalId) -> Result<Vec<u64>, StoreError> {
    let mut query =
        conn.prepare_cached("SELECT seq, kind FROM event_index WHERE proposal_id = ?1 ORDER BY seq")?;
    let mut rows = query.query([id.as_str()])?;
    let mut positions = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(1)?;
        if kind.parse().is_ok_and(EventKind::is_erasable) {
            positions.push(from_sql(row.get(0)?)?);
        }
    }
    Ok(positions)
}

/// Returns the positions of the records of one segment that are in the selection and belong to no proposal that stays.
fn records_of(
    conn: &Connection,
    selection: &ErasureSelection,
    segment: u64,
) -> Result<BTreeSet<u64>, StoreError> {
    let end = record_views::end(conn)?.unwrap_or(0);
    let from = segment * SEGMENT_EVENTS;
    let to = (from + SEGMENT_EVENTS).min(end);
    let mut found = BTreeSet::new();
    for (table, condition) in record_conditions(selection) {
        let sql = format!(
            "SELECT r.seq FROM {table} r WHERE r.seq >= ? AND r.seq < ? AND {} \
             AND NOT EXISTS (SELECT 1 FROM event_index i JOIN proposals p ON p.proposal_id = i.proposal_id \
               WHERE i.seq = r.seq AND p.erased_seq IS NULL) \
             AND NOT EXISTS (SELECT 1 FROM evidence e JOIN evidence_links l ON l.evidence_id = e.evidence_id \
               WHERE e.seq = r.seq)",
            condition.0
        );
        let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(to_sql(from)), Box::new(to_sql(to))];
        values.extend(condition.1);
        let mut query = conn.prepare_cached(&sql)?;
        let rows = query.query_map(params_from_iter(values), |row| row.get::<_, i64>(0))?;
        for seq in rows {
            found.insert(from_sql(seq?)?);
        }
    }
    if let ErasureSelection::Object { object_id, .. } = selection {
        let candidates = record_index::positions_of(conn, PostingField::ObjectId, segment, object_id)?;
        found.retain(|seq| candidates.contains(seq));
        return about_object(conn, found, object_id);
    }
    Ok(found)
}

/// Returns the positions whose records are about the object.
fn about_object(
    conn: &Connection,
    candidates: BTreeSet<u64>,
    object_id: &str,
) -> Result<BTreeSet<u64>, StoreError> {
    let mut entries = Cursor::new(conn);
    let mut about = BTreeSet::new();
    for seq in candidates {
        let entry = entries.entry(seq)?.ok_or_else(|| missing(seq))?;
        let event: EventRecord = canonical::decode(&entry.event)
            .map_err(|_| StoreError::Tampered(format!("event {seq} is malformed")))?;
        let kept = entry
            .kept
            .as_ref()
            .ok_or_else(|| blocks::without_body(conn, seq))?;
        let view = RecordView::of(&event, &kept.body, ParsedBody::No)?;
        if view.is_some_and(|view| view.is_about(object_id)) {
            about.insert(seq);
        }
    }
    Ok(about)
}

/// Condition with its values.
type Condition = (String, Vec<Box<dyn ToSql>>);

/// Conditions on evidence and audit records `r`.
fn record_conditions(selection: &ErasureSelection) -> [(&'static str, Condition); 2] {
    let of = |table: &'static str, time: &str| -> Condition {
        match selection {
            ErasureSelection::Tenant { tenant } => {
                ("r.tenant = ?".to_owned(), vec![Box::new(tenant.clone())])
            }
            ErasureSelection::Before { before } => {
                (format!("r.{time} < ?"), vec![Box::new(before.as_unix_millis())])
            }
            // The object itself is compared afterwards.
            ErasureSelection::Object { tables, .. } => {
                let marks = vec!["?"; tables.len()].join(", ");
                let values = tables.iter().map(|name| Box::new(name.clone()) as Box<dyn ToSql>);
                let table_name = match table {
                    "audit" => {
                        "coalesce(r.table_name, (SELECT e.table_name FROM evidence e WHERE e.seq = r.seq))"
                    }
                    _ => "r.table_name",
                };
                (format!("{table_name} IN ({marks})"), values.collect())
            }
        }
    };
    [
        ("evidence", of("evidence", "read_at")),
        ("audit", of("audit", "at")),
    ]
}

/// Joins ascending positions into ranges.
fn ranges(positions: &[u64]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for seq in positions {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *seq => *last = *seq,
            _ => ranges.push((*seq, *seq)),
        }
    }
    ranges
}
