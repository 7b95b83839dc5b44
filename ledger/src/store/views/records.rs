//! Views of evidence and audit records. They are not needed to decide about a later request, so that they are written
//! after the batch, for many records at once.

use rusqlite::{Connection, params};
use synapsor_domain::digest::Digest;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::evidence::{AuditRecord, Evidence};
use synapsor_domain::ids::{AuditId, EvidenceId, ProposalId};
use synapsor_domain::signing::ObjectKind;
use synapsor_domain::timestamp::Timestamp;

use super::super::error::StoreError;
use super::super::row::to_sql;
use super::super::segments::{Field, SegmentCache};
use super::{ParsedBody, envelope, index, object, wrong_body};

/// Kinds of events that only these views show.
pub(crate) const RECORD_KINDS: [EventKind; 3] = [
    EventKind::EvidenceRecorded,
    EventKind::QueryAudited,
    EventKind::CallRefused,
];

/// Values that the views show of one record.
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
    Evidence(EvidenceView),
    Audit(AuditView),
}

#[derive(Debug, Clone)]
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

#[derive(Debug, Clone)]
pub(crate) struct AuditView {
    pub(crate) id: AuditId,
    capability: String,
    tenant: Option<String>,
    principal: Option<String>,
    result: String,
    evidence_id: Option<EvidenceId>,
    proposal_id: Option<ProposalId>,
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
            EventKind::EvidenceRecorded => RecordContent::Evidence(evidence(event, body, read)?),
            EventKind::QueryAudited | EventKind::CallRefused => match read {
                ParsedBody::Audit(record) => RecordContent::Audit(AuditView::of(event, record)),
                ParsedBody::No | ParsedBody::Evidence(..) | ParsedBody::Proposal(_) => {
                    RecordContent::Audit(AuditView::of(event, &object(event, body)?))
                }
            },
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
            RecordContent::Audit(audit) => audit.write(conn, self.seq),
        }
    }
}

fn evidence(event: &EventRecord, body: &[u8], read: ParsedBody<'_>) -> Result<EvidenceView, StoreError> {
    if let ParsedBody::Evidence(evidence, digest) = read {
        return Ok(EvidenceView::of(evidence, digest));
    }
    let envelope = envelope(event, body)?;
    let evidence = envelope
        .decode_unverified(ObjectKind::Evidence)
        .map_err(|_| wrong_body(event))?;
    let digest = Digest::of(ObjectKind::Evidence, &envelope.payload);
    Ok(EvidenceView::of(&evidence, digest))
}

impl EvidenceView {
    fn of(evidence: &Evidence, digest: Digest) -> Self {
        Self {
            id: evidence.id.clone(),
            digest,
            tenant: evidence.requested_by.tenant.clone(),
            principal: evidence.requested_by.principal.clone(),
            capability: evidence.capability.clone(),
            source_id: evidence.source.id.clone(),
            table: format!("{}.{}", evidence.target.schema, evidence.target.table),
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
    fn of(event: &EventRecord, record: &AuditRecord) -> Self {
        // If a proposal of the same content was open, the record names the one that the call would have made.
        let proposal_id = event.proposal_id.as_ref().or(record.proposal_id.as_ref());
        Self {
            id: record.id.clone(),
            capability: record.capability.clone(),
            tenant: record.tenant.clone(),
            principal: record.principal.clone(),
            result: record.result.clone(),
            evidence_id: record.evidence_id.clone(),
            proposal_id: proposal_id.cloned(),
            at: record.at,
        }
    }

    fn write(&self, conn: &Connection, seq: u64) -> Result<(), StoreError> {
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
            self.proposal_id.as_ref().map(ProposalId::as_str),
            self.at.as_unix_millis(),
        ])?;
        Ok(())
    }
}
