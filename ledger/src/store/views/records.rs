//! Views of evidence and audit records. They are not needed to decide about a later request, so that they are written
//! after the batch, for many records at once.

use std::sync::Arc;

use rusqlite::{Connection, params};
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::ids::{AuditId, EvidenceId, ProposalId};
use synapsor_domain::record_fields::{AuditFields, EvidenceFields};
use synapsor_domain::signing::ObjectKind;
use synapsor_domain::timestamp::Timestamp;

use super::super::error::StoreError;
use super::super::row::to_sql;
use super::super::segments::{Field, SegmentCache};
use super::{ParsedBody, envelope, index, wrong_body};

/// Kinds of events that only these views show.
pub(crate) const RECORD_KINDS: [EventKind; 3] = [
    EventKind::EvidenceRecorded,
    EventKind::QueryAudited,
    EventKind::CallRefused,
];

/// Values that the views show of one event.
#[derive(Debug, Clone)]
pub(crate) struct RecordView {
    pub(crate) seq: u64,
    kind: EventKind,
    recorded_at: Timestamp,
    proposal_id: Option<ProposalId>,
    pub(crate) content: RecordContent,
}

#[derive(Debug, Clone)]
pub(crate) enum RecordContent {
    Evidence(Arc<EvidenceView>),
    Audit(Arc<AuditView>),
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
        let content = match event.kind {
            EventKind::EvidenceRecorded => RecordContent::Evidence(match read {
                ParsedBody::Evidence(evidence) => evidence.clone(),
                ParsedBody::No | ParsedBody::Audit(_) | ParsedBody::Proposal(_) => {
                    Arc::new(evidence(event, body)?)
                }
            }),
            EventKind::QueryAudited | EventKind::CallRefused => RecordContent::Audit(match read {
                ParsedBody::Audit(audit) => audit.clone(),
                ParsedBody::No | ParsedBody::Evidence(_) | ParsedBody::Proposal(_) => {
                    Arc::new(audit(event, body)?)
                }
            }),
            _ => return Ok(None),
        };
        Ok(Some(Self {
            seq: event.seq,
            kind: event.kind,
            recorded_at: event.at,
            proposal_id: event.proposal_id.clone(),
            content,
        }))
    }

    /// Writes the rows.
    pub(crate) fn write(&self, conn: &Connection, segments: &mut SegmentCache) -> Result<(), StoreError> {
        // Plain reads are found by the tables of evidence and audit records.
        if self.kind == EventKind::CallRefused || self.proposal_id.is_some() {
            let proposal = self.proposal_id.as_ref();
            index(conn, self.seq, self.kind, self.recorded_at, proposal)?;
        }
        match &self.content {
            RecordContent::Evidence(evidence) => evidence.write(conn, segments, self.seq),
            // If a proposal of the same content was open, the record names the one that the call would have made.
            RecordContent::Audit(audit) => {
                let proposal = self.proposal_id.as_ref().or(audit.proposal_id.as_ref());
                audit.write(conn, self.seq, proposal)
            }
        }
    }
}

fn evidence(event: &EventRecord, body: &[u8]) -> Result<EvidenceView, StoreError> {
    let envelope = envelope(event, body)?;
    let fields = envelope
        .decode_observed(ObjectKind::Evidence, &mut ())
        .map_err(|_| wrong_body(event))?;
    let digest = Digest::of(ObjectKind::Evidence, &envelope.payload);
    Ok(EvidenceView::of(fields, digest))
}

fn audit(event: &EventRecord, body: &[u8]) -> Result<AuditView, StoreError> {
    let fields = canonical::decode_observed(body, &mut ()).map_err(|_| wrong_body(event))?;
    Ok(AuditView::of(fields))
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
