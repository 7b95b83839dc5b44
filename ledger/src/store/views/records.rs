//! Evidence and audit records.

use rusqlite::{Connection, params};
use synapsor_domain::digest::Digest;
use synapsor_domain::event::EventRecord;
use synapsor_domain::evidence::{AuditRecord, Evidence};
use synapsor_domain::ids::{EvidenceId, ProposalId};

use super::super::error::StoreError;
use super::super::row::to_sql;
use super::super::segments::{Field, SegmentCache};

pub(super) fn evidence(
    (conn, segments): (&Connection, &mut SegmentCache),
    event: &EventRecord,
    evidence: &Evidence,
    digest: Digest,
) -> Result<(), StoreError> {
    let table = format!("{}.{}", evidence.target.schema, evidence.target.table);
    conn.prepare_cached(
        "INSERT INTO evidence (evidence_id, seq, digest, tenant, principal, capability, source_id, table_name, read_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        evidence.id.as_str(),
        to_sql(event.seq),
        digest.as_bytes(),
        evidence.requested_by.tenant,
        evidence.requested_by.principal,
        evidence.capability,
        evidence.source.id,
        table,
        evidence.read_at.as_unix_millis(),
    ])?;
    for (field, value) in [
        (Field::Tenant, &evidence.requested_by.tenant),
        (Field::Capability, &evidence.capability),
        (Field::SourceId, &evidence.source.id),
        (Field::TableName, &table),
    ] {
        segments.record(conn, event.seq, field, value)?;
    }
    Ok(())
}

pub(super) fn audit(conn: &Connection, event: &EventRecord, record: &AuditRecord) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO audit (audit_id, seq, capability, tenant, principal, result, evidence_id, proposal_id, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        record.id.as_str(),
        to_sql(event.seq),
        record.capability,
        record.tenant,
        record.principal,
        record.result,
        record.evidence_id.as_ref().map(EvidenceId::as_str),
        record.proposal_id.as_ref().map(ProposalId::as_str),
        record.at.as_unix_millis(),
    ])?;
    Ok(())
}
