//! Views of evidence and audit records. They are not needed to decide about a later request, so that they are written
//! after the batch, for many records at once.

use std::sync::Arc;

use rusqlite::{Connection, params};
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::event::{EventKind, EventRecord, ReadBody};
use synapsor_domain::ids::{AuditId, EvidenceId, ProposalId};
use synapsor_domain::record_fields::{AuditFields, EvidenceFields};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;

use super::super::error::StoreError;
use super::super::row::to_sql;
use super::super::segments::{Field, SegmentCache};
use super::{ParsedBody, envelope, index, wrong_body};

/// Kinds of events that only these views show.
pub(crate) const RECORD_KINDS: [EventKind; 4] = [
    EventKind::EvidenceRecorded,
    EventKind::QueryAudited,
    EventKind::ReadRecorded,
    EventKind::CallRefused,
];

/// Values that the views show of one event.
#[derive(Debug, Clone)]
pub(crate) struct RecordView {
    pub(crate) seq: u64,
    kind: EventKind,
    recorded_at: Timestamp,
    proposal_id: Option<ProposalId>,
    pub(crate) evidence: Option<Arc<EvidenceView>>,
    pub(crate) audit: Option<Arc<AuditView>>,
}

/// Values that the views show of evidence.
#[derive(Debug)]
pub(crate) struct EvidenceView {
    pub(crate) id: EvidenceId,
    pub(crate) digest: Digest,
    tenant: String,
    principal: String,
    capability: String,
    source_id: String,
    table: String,
    read_at: Timestamp,
}

/// Values that the views show of an audit record.
#[derive(Debug)]
pub(crate) struct AuditView {
    pub(crate) id: AuditId,
    capability: String,
    tenant: Option<String>,
    principal: Option<String>,
    result: String,
    pub(crate) evidence_id: Option<EvidenceId>,
    /// The proposal that the record names.
    pub(crate) proposal_id: Option<ProposalId>,
    at: Timestamp,
}

impl RecordView {
    /// Returns the view of an event of [`RECORD_KINDS`], `None` for another one. `read` must match `body`.
    pub(crate) fn of(
        event: &EventRecord,
        body: &[u8],
        read: ParsedBody<'_>,
    ) -> Result<Option<Self>, StoreError> {
        let (evidence, audit) = match (event.kind, read) {
            (kind, _) if !RECORD_KINDS.contains(&kind) => return Ok(None),
            (_, ParsedBody::Records { evidence, audit }) => (evidence.cloned(), audit.cloned()),
            (EventKind::EvidenceRecorded, _) => (Some(evidence(event, &envelope(event, body)?)?), None),
            (EventKind::ReadRecorded, _) => {
                let body = ReadBody::decode(body).map_err(|_| wrong_body(event))?;
                let evidence = evidence(event, &body.evidence)?;
                (Some(evidence), Some(audit(event, &body.audit)?))
            }
            _ => (None, Some(audit(event, body)?)),
        };
        Ok(Some(Self {
            seq: event.seq,
            kind: event.kind,
            recorded_at: event.at,
            proposal_id: event.proposal_id.clone(),
            evidence,
            audit,
        }))
    }

    /// Writes the rows.
    pub(crate) fn write(&self, conn: &Connection, segments: &mut SegmentCache) -> Result<(), StoreError> {
        // Plain reads are found by the tables of evidence and audit records.
        if self.kind == EventKind::CallRefused || self.proposal_id.is_some() {
            let proposal = self.proposal_id.as_ref();
            index(conn, self.seq, self.kind, self.recorded_at, proposal)?;
        }
        if let Some(evidence) = &self.evidence {
            evidence.write(conn, segments, self.seq)?;
        }
        if let Some(audit) = &self.audit {
            // If a proposal of the same content was open, the record names the one that the call would have made.
            let proposal = self.proposal_id.as_ref().or(audit.proposal_id.as_ref());
            audit.write(conn, self.seq, proposal)?;
        }
        Ok(())
    }
}

fn evidence(event: &EventRecord, envelope: &DsseEnvelope) -> Result<Arc<EvidenceView>, StoreError> {
    let fields = envelope
        .decode_observed(ObjectKind::Evidence, &mut ())
        .map_err(|_| wrong_body(event))?;
    let digest = Digest::of(ObjectKind::Evidence, &envelope.payload);
    Ok(Arc::new(EvidenceView::of(fields, digest)))
}

fn audit(event: &EventRecord, bytes: &[u8]) -> Result<Arc<AuditView>, StoreError> {
    let fields = canonical::decode_observed(bytes, &mut ()).map_err(|_| wrong_body(event))?;
    Ok(Arc::new(AuditView::of(fields)))
}

impl EvidenceView {
    /// Keeps what the views show; `digest` is that of the signed payload.
    pub(crate) fn of(evidence: EvidenceFields<'_>, digest: Digest) -> Self {
        Self {
            id: evidence.id,
            digest,
            tenant: evidence.requested_by.tenant.to_string(),
            principal: evidence.requested_by.principal.to_string(),
            capability: evidence.capability.to_string(),
            source_id: evidence.source.id.to_string(),
            table: format!("{}.{}", &*evidence.target.schema, &*evidence.target.table),
            read_at: evidence.read_at,
        }
    }

    fn write(&self, conn: &Connection, segments: &mut SegmentCache, seq: u64) -> Result<(), StoreError> {
        conn.prepare_cached(
            "INSERT INTO evidence (evidence_id, seq, digest, tenant, principal, capability, source_id, table_name, read_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            self.id.as_str(),
            to_sql(seq),
            self.digest.as_bytes(),
            self.tenant,
            self.principal,
            self.capability,
            self.source_id,
            self.table,
            self.read_at.as_unix_millis(),
        ])?;
        for (field, value) in [
            (Field::Tenant, &self.tenant),
            (Field::Capability, &self.capability),
            (Field::SourceId, &self.source_id),
            (Field::TableName, &self.table),
        ] {
            segments.record(conn, seq, field, value)?;
        }
        Ok(())
    }
}

impl AuditView {
    /// Keeps what the views show.
    pub(crate) fn of(record: AuditFields<'_>) -> Self {
        Self {
            id: record.id,
            capability: record.capability.to_string(),
            tenant: record.tenant.map(|tenant| tenant.to_string()),
            principal: record.principal.map(|principal| principal.to_string()),
            result: record.result.to_string(),
            evidence_id: record.evidence_id,
            proposal_id: record.proposal_id,
            at: record.at,
        }
    }

    fn write(&self, conn: &Connection, seq: u64, proposal: Option<&ProposalId>) -> Result<(), StoreError> {
        conn.prepare_cached(
            "INSERT INTO audit (audit_id, seq, capability, tenant, principal, result, evidence_id, proposal_id, at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            self.id.as_str(),
            to_sql(seq),
            self.capability,
            self.tenant,
            self.principal,
            self.result,
            self.evidence_id.as_ref().map(EvidenceId::as_str),
            proposal.map(ProposalId::as_str),
            self.at.as_unix_millis(),
        ])?;
        Ok(())
    }
}
