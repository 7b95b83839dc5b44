//! Data of an event as receivers get it: names, ids, digests and counts.

use serde_json::{Map, Value as Json, json};

use crate::event::EventKind;
use crate::proposal::Proposal;
use crate::replay::{Entry, EventBody};
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::writeback::{AttemptReport, Receipt, ReceiptOutcome};

/// Kinds of events about calls. A webhook gets them only if its `kinds` name them.
pub const READ_KINDS: [EventKind; 4] = [
    EventKind::EvidenceRecorded,
    EventKind::QueryAudited,
    EventKind::ReadRecorded,
    EventKind::CallRefused,
];

/// Names of a proposal that its later events do not repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalSummary {
    pub short_code: String,
    pub capability: String,
    pub source_id: String,
    pub table: String,
}

/// Returns the data of an event. `summary` is that of the event's proposal, if it is known.
pub fn event_data(entry: &Entry, summary: Option<&ProposalSummary>) -> Map<String, Json> {
    let mut data = summary_data(summary);
    let own = match &entry.body {
        EventBody::Proposal(signed) => created(signed),
        EventBody::Decision(signed) => of_proposal_digest(
            signed
                .decode_unverified::<crate::approval::Decision>(ObjectKind::Decision)
                .ok()
                .map(|d| d.proposal_digest),
        ),
        EventBody::Order(signed) => of_proposal_digest(
            signed
                .decode_unverified::<crate::approval::ApplyOrder>(ObjectKind::ApplyOrder)
                .ok()
                .map(|o| o.proposal_digest),
        ),
        EventBody::Attempt(signed) => attempt(signed),
        EventBody::Settled(body) => receipt(&body.receipt),
        EventBody::Started(body) => json!({
            "proposal_hash": body.proposal_digest,
            "proposal_version": 1,
            "writeback_job_id": format!("wbj_{}", body.proposal_id),
            "writer": body.writer,
            "attempt": body.attempt,
        }),
        EventBody::DecisionRefused(body) => json!({ "code": body.code }),
        EventBody::Alarm(body) => json!({ "code": body.code() }),
        EventBody::Repeated(body) => {
            json!({ "evidence_bundle_id": body.evidence_id, "audit_id": body.audit_id })
        }
        EventBody::Audit(audit) => json!({
            "audit_id": audit.id,
            "evidence_bundle_id": audit.evidence_id,
            "result": audit.result,
            // The caller of a refused call chose the name.
            "capability": (entry.event.kind != EventKind::CallRefused).then_some(&audit.capability),
        }),
        EventBody::Read { audit, .. } => json!({
            "audit_id": audit.id,
            "evidence_bundle_id": audit.evidence_id,
            "capability": audit.capability,
            "source_id": audit.source_id,
            "source_table": audit.table,
            "item_count": audit.row_count,
        }),
        EventBody::LedgerStarted(body) => json!({ "version": body.version }),
        EventBody::Erasure(body) => {
            json!({ "erased_bodies": body.count(), "erased_proposals": body.proposals.len() })
        }
        EventBody::Evidence(_)
        | EventBody::Expired
        | EventBody::Withdrawn(_)
        | EventBody::Switch(_)
        | EventBody::Confirmation(_)
        | EventBody::Finding(_)
        | EventBody::ReceiptOrder(_)
        | EventBody::HumanAction(_)
        | EventBody::Discontinuity(_)
        | EventBody::Erased => Json::Null,
    };
    if let Json::Object(own) = own {
        data.extend(own);
    }
    data
}

/// Returns the data of an event whose body is not readable.
pub(super) fn summary_data(summary: Option<&ProposalSummary>) -> Map<String, Json> {
    let mut data = Map::new();
    if let Some(summary) = summary {
        data.insert("short_code".to_owned(), json!(summary.short_code));
        data.insert("capability".to_owned(), json!(summary.capability));
        data.insert("source_id".to_owned(), json!(summary.source_id));
        data.insert("source_table".to_owned(), json!(summary.table));
    }
    data
}

fn created(signed: &DsseEnvelope) -> Json {
    let Ok(proposal) = signed.decode_unverified::<Proposal>(ObjectKind::Proposal) else {
        return Json::Null;
    };
    let digest = signed.digest(ObjectKind::Proposal).ok();
    json!({
        "proposal_hash": digest,
        "proposal_version": 1,
        "source_database_mutated": false,
        "short_code": digest.map(|digest| digest.short_code()),
        "capability": proposal.capability,
        "mode": proposal.mode,
        "source_id": proposal.source.id,
        "source_schema": proposal.target.schema,
        "source_table": proposal.target.table,
        "changed_columns": proposal.set.iter().map(|new| new.column.as_str()).collect::<Vec<_>>(),
        "required_role": proposal.approval.required_role,
        "quorum": proposal.approval.quorum,
        "not_after": proposal.not_after,
    })
}

fn of_proposal_digest(digest: Option<crate::digest::Digest>) -> Json {
    json!({ "proposal_hash": digest, "proposal_version": 1 })
}

fn attempt(signed: &DsseEnvelope) -> Json {
    let Ok(report) = signed.decode_unverified::<AttemptReport>(ObjectKind::Attempt) else {
        return Json::Null;
    };
    json!({
        "proposal_hash": report.proposal_digest,
        "proposal_version": 1,
        "writeback_job_id": format!("wbj_{}", report.proposal_id),
        "writer": report.writer,
        "attempt": report.attempt,
        "result": report.result,
    })
}

fn receipt(signed: &DsseEnvelope) -> Json {
    let Ok(receipt) = signed.decode_unverified::<Receipt>(ObjectKind::Receipt) else {
        return Json::Null;
    };
    json!({
        "proposal_hash": receipt.proposal_digest,
        "proposal_version": 1,
        "writeback_job_id": format!("wbj_{}", receipt.proposal_id),
        "writer": receipt.writer,
        "rows_affected": receipt.rows_affected,
        "source_database_mutated": receipt.outcome == ReceiptOutcome::Applied,
        "reason": receipt.reason,
        "receipt_hash": signed.digest(ObjectKind::Receipt).ok(),
    })
}
