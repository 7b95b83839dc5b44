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
use synapsor_domain::writeback::ReceiptOutcome;

use super::error::StoreError;
use super::events;
use super::row::{from_sql, to_sql};
use super::segments::{self, Field};
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

/// Filters of the evidence list; `None` means any.
#[derive(Debug, Clone, Default)]
pub(crate) struct EvidenceFilter {
    pub(crate) tenant: Option<String>,
    pub(crate) capability: Option<String>,
    pub(crate) proposal_id: Option<String>,
    pub(crate) source_id: Option<String>,
    pub(crate) table: Option<String>,
}

/// Returns positions of evidence, newest first, before the event `before`.
pub(crate) fn list_evidence(
    conn: &Connection,
    filter: &EvidenceFilter,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    let by_value: Vec<(Field, &str)> = [
        (Field::Tenant, &filter.tenant),
        (Field::Capability, &filter.capability),
        (Field::SourceId, &filter.source_id),
        (Field::TableName, &filter.table),
    ]
    .into_iter()
    .filter_map(|(field, value)| Some((field, value.as_deref()?)))
    .collect();
    if by_value.is_empty() && filter.proposal_id.is_none() {
        return places(conn, "evidence", &[], before, limit);
    }
    match &filter.proposal_id {
        Some(id) => evidence_of_proposal(conn, id, &by_value, before, limit),
        None => segments::list(conn, &by_value, before, limit),
    }
}

/// Returns positions of the evidence that one proposal rests on, newest first.
fn evidence_of_proposal(
    conn: &Connection,
    id: &str,
    filters: &[(Field, &str)],
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    let clauses: String = filters
        .iter()
        .map(|(field, _)| format!(" AND e.{} = ?", field.as_str()))
        .collect();
    let sql = format!(
        "SELECT e.seq FROM evidence_links l CROSS JOIN evidence e ON e.evidence_id = l.evidence_id \
         WHERE l.proposal_id = ? AND e.seq < ?{clauses} ORDER BY e.seq DESC LIMIT ?"
    );
    let before = before.map_or(i64::MAX, to_sql);
    let mut values: Vec<&dyn ToSql> = vec![&id, &before];
    values.extend(filters.iter().map(|(_, value)| value as &dyn ToSql));
    values.push(&limit);
    let mut query = conn.prepare_cached(&sql)?;
    let rows = query.query_map(params_from_iter(values), |row| row.get::<_, i64>(0))?;
    rows.map(|seq| from_sql(seq?)).collect()
}

/// Filter of receipts by outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OutcomeGroup {
    One(ReceiptOutcome),
    /// Every outcome of a tombstone.
    Tombstoned,
}

/// Returns positions of settling events, newest first, before the event `before`.
pub(crate) fn list_receipts(
    conn: &Connection,
    proposal_id: &Option<String>,
    outcome: Option<OutcomeGroup>,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    let (by_outcome, outcome) = match outcome {
        None => ("outcome = ?", None),
        Some(OutcomeGroup::One(outcome)) => ("outcome = ?", Some(outcome.as_str().to_owned())),
        Some(OutcomeGroup::Tombstoned) => ("outcome LIKE ?", Some("tombstoned:%".to_owned())),
    };
    places(
        conn,
        "receipts",
        &[("proposal_id = ?", proposal_id), (by_outcome, &outcome)],
        before,
        limit,
    )
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
    clauses: &[(&str, &Option<String>)],
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    let mut wheres = vec!["seq < ?"];
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(before.map_or(i64::MAX, to_sql))];
    for (clause, value) in clauses {
        if let Some(value) = value {
            wheres.push(clause);
            values.push(Box::new(value.clone()));
        }
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

/// Returns the position of the evidence whose id is or starts with `text`, and the proposals that use it.
pub(crate) fn resolve_evidence(conn: &Connection, text: &str) -> Result<(u64, Vec<String>), StoreTxError> {
    let missing = || {
        PublicError::new(
            ErrorCode::EvidenceNotFound,
            "no such evidence; list evidence with `evidence list`",
        )
    };
    let usable =
        text.len() >= 4 && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !usable {
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
