//! Payload of an event as 0.1.x printed it: what an event of this kind is about, without business values. It is derived
//! from the body of the event, whose signatures are verified elsewhere.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};
use synapsor_domain::approval::Decision;
use synapsor_domain::digest::Digest;
use synapsor_domain::event::AttemptFinishedBody;
use synapsor_domain::evidence::Evidence;
use synapsor_domain::replay::{Entry, EventBody};
use synapsor_domain::shadow::HumanAction;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::{Receipt, ReceiptOutcome};

/// Returns the payload; empty for a kind that 0.1.x does not have.
pub(super) fn payload(entry: &Entry) -> Json {
    let payload = match &entry.body {
        EventBody::Proposal(envelope) => Some(of_proposal(envelope)),
        EventBody::Evidence(envelope)
        | EventBody::Read {
            evidence: envelope, ..
        } => of_evidence(envelope),
        EventBody::Decision(envelope) => of_decision(envelope),
        EventBody::Settled(settled) => of_receipt(settled),
        EventBody::HumanAction(envelope) => of_human_action(entry.event.seq, envelope),
        _ => None,
    };
    payload.unwrap_or_else(|| Json::Object(Map::new()))
}

fn of_proposal(envelope: &DsseEnvelope) -> Json {
    let digest = Digest::of(ObjectKind::Proposal, &envelope.payload);
    json!({ "proposal_hash": digest, "proposal_version": 1, "source_database_mutated": false })
}

fn of_evidence(envelope: &DsseEnvelope) -> Option<Json> {
    let evidence: Evidence = read(envelope, ObjectKind::Evidence)?;
    Some(json!({ "evidence_bundle_id": evidence.id, "item_count": 1 }))
}

fn of_decision(envelope: &DsseEnvelope) -> Option<Json> {
    let decision: Decision = read(envelope, ObjectKind::Decision)?;
    Some(json!({
        "proposal_hash": decision.proposal_digest,
        "proposal_version": 1,
        "reason": decision.reason,
    }))
}

fn of_receipt(settled: &AttemptFinishedBody) -> Option<Json> {
    let receipt: Receipt = read(&settled.receipt, ObjectKind::Receipt)?;
    Some(json!({
        "writeback_job_id": super::shape::job_id(&receipt.proposal_id),
        "rows_affected": receipt.rows_affected,
        "source_database_mutated": receipt.outcome == ReceiptOutcome::Applied,
        "receipt_hash": Digest::of(ObjectKind::Receipt, &settled.receipt.payload),
    }))
}

fn of_human_action(seq: u64, envelope: &DsseEnvelope) -> Option<Json> {
    let action: HumanAction = read(envelope, ObjectKind::HumanAction)?;
    let columns: Vec<&str> = action.patch.iter().map(|change| change.column.as_str()).collect();
    Some(json!({ "action_id": seq, "patch_columns": columns, "notes": action.notes }))
}

fn read<T: DeserializeOwned>(envelope: &DsseEnvelope, kind: ObjectKind) -> Option<T> {
    envelope.decode_unverified(kind).ok()
}
