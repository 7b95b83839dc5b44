//! Finds decisions, orders, evidence and receipts.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::AttemptFinishedBody;
use synapsor_domain::ids::{AuditId, EvidenceId, ProposalId};
use synapsor_domain::limits::ENVELOPE_BYTES_MAX;
use synapsor_domain::table_filter::TableFilter;
use synapsor_domain::writeback::ReceiptOutcome;

use super::error::StoreError;
use super::events;
use super::record_index::{self, ListedTable, PostingField, RecordQuery, SegmentField};
use super::row::{from_sql, to_sql};
use super::writer::StoreTxError;

/// A recorded decision.
#[derive(Debug, Clone)]
pub(crate) struct DecisionRow {
    pub(crate) digest: Digest,
    pub(crate) seq: u64,
    pub(crate) kind: DecisionKind,
}

/// Returns the decisions about a proposal, oldest first.
pub(crate) fn decisions(conn: &Connection, id: &ProposalId) -> Result<Vec<DecisionRow>, StoreError> {
    let mut query = conn
        .prepare_cached("SELECT digest, seq, verdict FROM decisions WHERE proposal_id = ?1 ORDER BY seq")?;
    let mut rows = query.query([id.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(DecisionRow {
            digest: Digest::from_bytes(row.get(0)?),
            seq: from_sql(row.get(1)?)?,
            kind: DecisionKind::from_text(&row.get::<_, String>(2)?)
                .ok_or_else(|| StoreError::Tampered("the kind of a decision is malformed".to_owned()))?,
        });
    }
    Ok(found)
}

/// Returns the position of the order with this digest.
pub(crate) fn order(conn: &Connection, digest: &Digest) -> Result<Option<u64>, StoreError> {
    let seq: Option<i64> = conn
        .prepare_cached("SELECT seq FROM apply_orders WHERE digest = ?1")?
        .query_row([digest.as_bytes()], |row| row.get(0))
        .optional()?;
    seq.map(from_sql).transpose()
}

/// Returns digest and position of the receipt of a proposal.
pub(crate) fn receipt(conn: &Connection, id: &ProposalId) -> Result<Option<(Digest, u64)>, StoreError> {
    let found = conn
        .prepare_cached("SELECT digest, seq FROM receipts WHERE proposal_id = ?1")?
        .query_row([id.as_str()], |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    found
        .map(|(digest, seq)| Ok((Digest::from_bytes(digest), from_sql(seq)?)))
        .transpose()
}

/// Returns attempt report and receipt of one settling event.
pub(crate) fn settle_body(conn: &Connection, seq: u64) -> Result<AttemptFinishedBody, StoreError> {
    canonical::decode_within(&events::body(conn, seq)?, 2 * ENVELOPE_BYTES_MAX)
        .map_err(|_| StoreError::Tampered(format!("the body of event {seq} has no receipt")))
}

/// Returns the open attempt with this fence.
pub(crate) fn running_attempt(
    conn: &Connection,
    id: &ProposalId,
    fence: u64,
) -> Result<Option<u32>, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT attempt FROM attempts WHERE proposal_id = ?1 AND fence = ?2 AND result IS NULL",
        )?
        .query_row(rusqlite::params![id.as_str(), to_sql(fence)], |row| row.get(0))
        .optional()?)
}

/// Returns whether an attempt was started whose result is not recorded.
pub(crate) fn has_open_attempt(conn: &Connection, id: &ProposalId) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM attempts WHERE proposal_id = ?1 AND (result IS NULL OR result = 'in_doubt'))",
        )?
        .query_row([id.as_str()], |row| row.get(0))?)
}

/// Returns the fence of the newest attempt.
pub(crate) fn newest_fence(conn: &Connection, id: &ProposalId) -> Result<u64, StoreError> {
    let fence: Option<i64> = conn
        .prepare_cached("SELECT max(fence) FROM attempts WHERE proposal_id = ?1")?
        .query_row([id.as_str()], |row| row.get(0))?;
    fence.map_or(Ok(0), from_sql)
}

/// Filters of a list of evidence or audit records; `None` means any.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordFilter {
    pub(crate) tenant: Option<String>,
    pub(crate) principal: Option<String>,
    pub(crate) capability: Option<String>,
    pub(crate) source_id: Option<String>,
    pub(crate) table: TableFilter,
    pub(crate) object_id: Option<String>,
    pub(crate) query_fingerprint: Option<String>,
    /// Result of an audit record.
    pub(crate) result: Option<String>,
    pub(crate) proposal_id: Option<String>,
    /// Evidence that an audit record names.
    pub(crate) evidence_id: Option<String>,
    /// Only audit records of calls that created no proposal.
    pub(crate) without_proposal: bool,
    pub(crate) from_ms: Option<i64>,
    pub(crate) to_ms: Option<i64>,
}

impl RecordFilter {
    fn query(&self, tables: Vec<String>) -> RecordQuery {
        let own = |text: &Option<String>| text.clone();
        let values = [
            (SegmentField::Tenant, own(&self.tenant)),
            (SegmentField::Capability, own(&self.capability)),
            (SegmentField::SourceId, own(&self.source_id)),
            (SegmentField::Result, own(&self.result)),
        ];
        let postings = [
            (PostingField::Principal, own(&self.principal)),
            (PostingField::ObjectId, own(&self.object_id)),
            (PostingField::QueryFingerprint, own(&self.query_fingerprint)),
        ];
        RecordQuery {
            values: values
                .into_iter()
                .filter_map(|(field, value)| Some((field, value?)))
                .collect(),
            tables,
            without_proposal: self.without_proposal,
            postings: postings
                .into_iter()
                .filter_map(|(field, value)| Some((field, value?)))
                .collect(),
            from_ms: self.from_ms,
            to_ms: self.to_ms,
        }
    }
}

/// Returns positions of evidence, newest first, before the event `before`.
pub(crate) fn list_evidence(
    conn: &Connection,
    filter: &RecordFilter,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    list_records(conn, ListedTable::Evidence, filter, before, limit)
}

/// Returns positions of audit records, newest first, before the event `before`.
pub(crate) fn list_audit(
    conn: &Connection,
    filter: &RecordFilter,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    list_records(conn, ListedTable::Audit, filter, before, limit)
}

fn list_records(
    conn: &Connection,
    table: ListedTable,
    filter: &RecordFilter,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    let Some(tables) = record_index::tables(conn, &filter.table)? else {
        return Ok(Vec::new());
    };
    let query = filter.query(tables);
    let candidates = match (table, &filter.proposal_id, &filter.evidence_id) {
        (_, None, None) if query.is_empty() => return places(conn, table.name(), Vec::new(), before, limit),
        (_, None, None) => return query.list(conn, table, before, limit),
        (ListedTable::Evidence, Some(id), _) => evidence_of_proposal(conn, id)?,
        (ListedTable::Evidence, None, Some(id)) => evidence_seq(conn, id)?.into_iter().collect(),
        (ListedTable::Audit, Some(id), None) => events::about_proposal(conn, id)?,
        (ListedTable::Audit, Some(id), Some(evidence)) => {
            let of_proposal = events::about_proposal(conn, id)?;
            let of_evidence = audits_of_evidence(conn, evidence)?;
            of_proposal
                .into_iter()
                .filter(|seq| of_evidence.contains(seq))
                .collect()
        }
        (ListedTable::Audit, None, Some(id)) => audits_of_evidence(conn, id)?,
    };
    query.select(conn, table, &candidates, before, limit)
}

/// Returns positions of the evidence that one proposal rests on.
fn evidence_of_proposal(conn: &Connection, id: &str) -> Result<Vec<u64>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT e.seq FROM evidence_links l CROSS JOIN evidence e ON e.evidence_id = l.evidence_id \
         WHERE l.proposal_id = ?1",
    )?;
    let rows = query.query_map([id], |row| row.get::<_, i64>(0))?;
    rows.map(|seq| from_sql(seq?)).collect()
}

fn evidence_seq(conn: &Connection, id: &str) -> Result<Option<u64>, StoreError> {
    let seq: Option<i64> = conn
        .prepare_cached("SELECT seq FROM evidence WHERE evidence_id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    seq.map(from_sql).transpose()
}

/// Returns positions of the audit records that name evidence. A call records both together.
fn audits_of_evidence(conn: &Connection, id: &str) -> Result<Vec<u64>, StoreError> {
    let Some(seq) = evidence_seq(conn, id)? else {
        return Ok(Vec::new());
    };
    let mut query =
        conn.prepare_cached("SELECT seq FROM audit WHERE seq >= ?1 AND seq <= ?2 AND evidence_id = ?3")?;
    let last = to_sql(seq + CALL_EVENTS_MAX);
    let rows = query.query_map(rusqlite::params![to_sql(seq), last, id], |row| {
        row.get::<_, i64>(0)
    })?;
    rows.map(|seq| from_sql(seq?)).collect()
}

/// Maximum distance of the audit record of a call from its evidence, in events.
const CALL_EVENTS_MAX: u64 = 2;

/// Filter of receipts by outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OutcomeGroup {
    One(ReceiptOutcome),
    /// Every outcome of a tombstone.
    Tombstoned,
}

/// Filters of receipts; `None` means any.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReceiptFilter {
    pub(crate) proposal_id: Option<String>,
    pub(crate) outcome: Option<OutcomeGroup>,
    pub(crate) from_ms: Option<i64>,
    pub(crate) to_ms: Option<i64>,
}

/// Returns positions of settling events, newest first, before the event `before`.
pub(crate) fn list_receipts(
    conn: &Connection,
    filter: &ReceiptFilter,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    let mut clauses: Vec<(&str, Box<dyn ToSql>)> = Vec::new();
    if let Some(id) = &filter.proposal_id {
        clauses.push(("proposal_id = ?", Box::new(id.clone())));
    }
    match filter.outcome {
        None => {}
        Some(OutcomeGroup::One(outcome)) => clauses.push(("outcome = ?", Box::new(outcome.as_str()))),
        Some(OutcomeGroup::Tombstoned) => clauses.push(("outcome LIKE ?", Box::new("tombstoned:%"))),
    }
    for (clause, bound) in [
        ("created_at >= ?", filter.from_ms),
        ("created_at < ?", filter.to_ms),
    ] {
        if let Some(bound) = bound {
            clauses.push((clause, Box::new(bound)));
        }
    }
    places(conn, "receipts", clauses, before, limit)
}

/// Returns the digest of the signed payload of the evidence with this id, if it is recorded.
pub(crate) fn evidence_digest(conn: &Connection, id: &EvidenceId) -> Result<Option<Digest>, StoreError> {
    Ok(conn
        .prepare_cached("SELECT digest FROM evidence WHERE evidence_id = ?1")?
        .query_row([id.as_str()], |row| Ok(Digest::from_bytes(row.get(0)?)))
        .optional()?)
}

/// Returns the position of the audit record with this id, if it is recorded.
pub(crate) fn audit_seq(conn: &Connection, id: &AuditId) -> Result<Option<u64>, StoreError> {
    let seq: Option<i64> = conn
        .prepare_cached("SELECT seq FROM audit WHERE audit_id = ?1")?
        .query_row([id.as_str()], |row| row.get(0))
        .optional()?;
    seq.map(from_sql).transpose()
}

fn places(
    conn: &Connection,
    table: &str,
    clauses: Vec<(&str, Box<dyn ToSql>)>,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    let mut wheres = vec!["seq < ?"];
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(before.map_or(i64::MAX, to_sql))];
    for (clause, value) in clauses {
        wheres.push(clause);
        values.push(value);
    }
    values.push(Box::new(limit));
    let sql = format!(
        "SELECT seq FROM {table} WHERE {} ORDER BY seq DESC LIMIT ?",
        wheres.join(" AND ")
    );
    let mut query = conn.prepare_cached(&sql)?;
    let rows = query.query_map(params_from_iter(values), |row| row.get::<_, i64>(0))?;
    rows.map(|seq| from_sql(seq?)).collect()
}

/// Returns the position of the audit record whose id is or starts with `text`, or that is at this position of the log.
pub(crate) fn resolve_audit(conn: &Connection, text: &str) -> Result<u64, StoreTxError> {
    let missing = || {
        PublicError::new(
            ErrorCode::AuditRecordNotFound,
            "no such audit record; list audit records with `query-audit list`",
        )
    };
    if let Ok(seq) = text.parse::<u64>() {
        let is_one: bool = conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM audit WHERE seq = ?1)")?
            .query_row([i64::try_from(seq).unwrap_or(-1)], |row| row.get(0))?;
        return if is_one { Ok(seq) } else { Err(missing().into()) };
    }
    if !is_id_prefix(text) {
        return Err(missing().into());
    }
    let mut query =
        conn.prepare_cached("SELECT seq FROM audit WHERE audit_id >= ?1 AND audit_id < ?1 || '~' LIMIT 2")?;
    let rows = query.query_map([text], |row| row.get::<_, i64>(0))?;
    match rows.collect::<Result<Vec<_>, _>>()?.as_slice() {
        [seq] => Ok(from_sql(*seq)?),
        [] => Err(missing().into()),
        _ => Err(PublicError::new(
            ErrorCode::AmbiguousAuditRecord,
            "ambiguous audit record id prefix; use more characters",
        )
        .into()),
    }
}

/// Whether a text can be the first characters of a record's id.
fn is_id_prefix(text: &str) -> bool {
    text.len() >= 4 && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Returns the position of the evidence whose id is or starts with `text`, and the proposals that use it.
pub(crate) fn resolve_evidence(conn: &Connection, text: &str) -> Result<(u64, Vec<String>), StoreTxError> {
    let missing = || {
        PublicError::new(
            ErrorCode::EvidenceNotFound,
            "no such evidence; list evidence with `evidence list`",
        )
    };
    if !is_id_prefix(text) {
        return Err(missing().into());
    }
    let mut query = conn.prepare_cached(
        "SELECT evidence_id, seq FROM evidence WHERE evidence_id >= ?1 AND evidence_id < ?1 || '~' LIMIT 2",
    )?;
    let rows = query.query_map([text], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    let found = rows.collect::<Result<Vec<_>, _>>()?;
    let (id, seq) = match found.as_slice() {
        [(id, seq)] => (id, from_sql(*seq)?),
        [] => return Err(missing().into()),
        _ => {
            return Err(PublicError::new(
                ErrorCode::AmbiguousEvidence,
                "ambiguous evidence id prefix; use more characters",
            )
            .into());
        }
    };
    let mut links = conn.prepare_cached(
        "SELECT proposal_id FROM evidence_links WHERE evidence_id = ?1 ORDER BY 1 LIMIT 200",
    )?;
    let proposals = links
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok((seq, proposals))
}
