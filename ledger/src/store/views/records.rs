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
use super::super::record_index::{PostingField, RecordIndex, SegmentField};
use super::super::row::to_sql;
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
    object_id: Option<String>,
    query_fingerprint: String,
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
    source_id: Option<String>,
    table: Option<String>,
    /// The first key column that the call names.
    first_key: Option<String>,
    /// All key columns without the tenant, joined, if there are several.
    object_id: Option<String>,
    query_fingerprint: Option<String>,
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

    /// Returns whether evidence or audit record is about this object.
    pub(crate) fn is_about(&self, object_id: &str) -> bool {
        let evidence = self
            .evidence
            .as_ref()
            .and_then(|evidence| evidence.object_id.as_deref());
        let audit = self.audit.as_ref();
        let keys = audit.map(|audit| [audit.object_id.as_deref(), audit.first_key.as_deref()]);
        evidence == Some(object_id) || keys.is_some_and(|keys| keys.contains(&Some(object_id)))
    }

    /// Writes the rows.
    pub(crate) fn write(&self, conn: &Connection, entries: &mut RecordIndex) -> Result<(), StoreError> {
        // Plain reads are found by the tables of evidence and audit records.
        if self.kind == EventKind::CallRefused || self.proposal_id.is_some() {
            let proposal = self.proposal_id.as_ref();
            index(conn, self.seq, self.kind, self.recorded_at, proposal)?;
        }
        if let Some(evidence) = &self.evidence {
            evidence.write(conn, self.seq)?;
        }
        if let Some(audit) = &self.audit {
            // If a proposal of the same content was open, the record names the one that the call would have made.
            let proposal = self.proposal_id.as_ref().or(audit.proposal_id.as_ref());
            audit.write(conn, (self.seq, proposal), self.evidence.is_some())?;
        }
        self.add_to(entries, conn)
    }

    /// Adds the values by which lists are filtered, of evidence and of the audit record.
    fn add_to(&self, entries: &mut RecordIndex, conn: &Connection) -> Result<(), StoreError> {
        let evidence = self.evidence.as_deref().map(EvidenceView::indexed);
        let audit = self.audit.as_deref().map(AuditView::indexed);
        for record in [evidence, audit].into_iter().flatten() {
            let values: Vec<_> = record
                .values
                .into_iter()
                .filter_map(|(field, value)| Some((field, value?)))
                .collect();
            let postings: Vec<_> = record
                .postings
                .into_iter()
                .filter_map(|(field, value)| Some((field, value?)))
                .collect();
            entries.add(conn, (self.seq, record.at), &values, &postings)?;
        }
        Ok(())
    }
}

/// Values of one record in the index.
struct IndexedValues<'a> {
    at: Timestamp,
    values: [(SegmentField, Option<&'a str>); 5],
    postings: [(PostingField, Option<&'a str>); 4],
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
    fn indexed(&self) -> IndexedValues<'_> {
        IndexedValues {
            at: self.read_at,
            values: [
                (SegmentField::Tenant, Some(&self.tenant)),
                (SegmentField::Capability, Some(&self.capability)),
                (SegmentField::SourceId, Some(&self.source_id)),
                (SegmentField::TableName, Some(&self.table)),
                (SegmentField::Result, None),
            ],
            postings: [
                (PostingField::Principal, Some(&self.principal)),
                (PostingField::ObjectId, self.object_id.as_deref()),
                (PostingField::ObjectId, None),
                (PostingField::QueryFingerprint, Some(&self.query_fingerprint)),
            ],
        }
    }

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
            object_id: evidence.target.object_id,
            query_fingerprint: evidence.query_fingerprint.to_string(),
            read_at: evidence.read_at,
        }
    }

    fn write(&self, conn: &Connection, seq: u64) -> Result<(), StoreError> {
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
        Ok(())
    }
}

impl AuditView {
    fn indexed(&self) -> IndexedValues<'_> {
        IndexedValues {
            at: self.at,
            values: [
                (SegmentField::Tenant, self.tenant.as_deref()),
                (SegmentField::Capability, Some(&self.capability)),
                (SegmentField::SourceId, self.source_id.as_deref()),
                (SegmentField::TableName, self.table.as_deref()),
                (SegmentField::Result, Some(&self.result)),
            ],
            postings: [
                (PostingField::Principal, self.principal.as_deref()),
                (PostingField::ObjectId, self.first_key.as_deref()),
                (PostingField::ObjectId, self.object_id.as_deref()),
                (PostingField::QueryFingerprint, self.query_fingerprint.as_deref()),
            ],
        }
    }

    /// Keeps what the views show.
    pub(crate) fn of(record: AuditFields<'_>) -> Self {
        let first_key = record
            .primary_key
            .as_ref()
            .and_then(|key| key.text())
            .map(str::to_owned);
        let tenant = record.tenant.as_deref();
        let keys = record.primary_keys.iter().map(|key| key.text());
        let keys: Option<Vec<&str>> = keys.filter(|key| key.is_none() || *key != tenant).collect();
        let object_id = keys.filter(|keys| !keys.is_empty()).map(|keys| keys.join("/"));
        Self {
            id: record.id,
            capability: record.capability.to_string(),
            tenant: record.tenant.map(|tenant| tenant.to_string()),
            principal: record.principal.map(|principal| principal.to_string()),
            result: record.result.to_string(),
            evidence_id: record.evidence_id,
            proposal_id: record.proposal_id,
            source_id: record.source_id.map(|source| source.to_string()),
            table: record.table.map(|table| table.to_string()),
            first_key,
            object_id,
            query_fingerprint: record.query_fingerprint.map(|digest| digest.to_string()),
            at: record.at,
        }
    }

    /// Writes the row. Source and table of a record with evidence are those of the evidence.
    fn write(
        &self,
        conn: &Connection,
        (seq, proposal): (u64, Option<&ProposalId>),
        has_evidence: bool,
    ) -> Result<(), StoreError> {
        let own = |value: &Option<String>| value.clone().filter(|_| !has_evidence);
        conn.prepare_cached(
            "INSERT INTO audit (audit_id, seq, capability, tenant, principal, result, evidence_id, proposal_id, at, \
             source_id, table_name) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
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
            own(&self.source_id),
            own(&self.table),
        ])?;
        Ok(())
    }
}
