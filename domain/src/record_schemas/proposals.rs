//! Schemas of a proposal and of what belongs to it: receipt, replay, activity.

use serde_json::{Value as Json, json};

use super::{
    count, digest, evidence_bundle_schema, list, optional_text, part, published, query_audit_schema, record,
    scalar, text, time, with_optional,
};
use crate::event::EventKind;
use crate::proposal::{ProposalState, change_set_schema};

/// Returns the published schema of a receipt, as `receipts show --json` prints it.
pub fn execution_receipt_schema() -> Json {
    let receipt = record(&json!({
        "schema_version": {"const": "synapsor.execution-receipt.v1"},
        "writeback_job_id": text(),
        "proposal_id": text(),
        "runner_id": text(),
        "status": {"enum": ["applied", "conflict", "failed", "canceled", "already_applied"]},
        "rows_affected": count(),
        "idempotency_key": text(),
        "previous_version": scalar(),
        "new_version": scalar(),
        "source_database_mutated": {"type": "boolean"},
        "executed_at": time(),
        "receipt_hash": digest(),
        "writer_key": text(),
        "receipt": {"type": "object"},
    }));
    let receipt = with_optional(receipt, &json!({"safe_error_code": text()}));
    published(receipt, "execution-receipt:v1", "Execution receipt")
}

/// Returns the published schema of a stored proposal: `proposal` of `proposals show --json` and of `replay show --json`.
pub fn stored_proposal_schema() -> Json {
    let stored = record(&json!({
        "proposal_id": text(),
        "proposal_version": {"type": "integer", "minimum": 1},
        "proposal_hash": digest(),
        "action": text(),
        "capability": text(),
        "state": {"enum": ProposalState::ALL},
        "tenant_id": text(),
        "principal": text(),
        "business_object": text(),
        "object_id": optional_text(),
        "source_kind": text(),
        "source_id": text(),
        "source_schema": text(),
        "source_table": text(),
        // Null while an attempt may have written it without a receipt.
        "source_database_mutated": {"type": ["boolean", "null"]},
        "change_set": part(change_set_schema()),
        "created_at": time(),
        "updated_at": time(),
    }));
    published(stored, "proposal:v1", "Stored proposal")
}

/// Returns the published schema of `replay show --json`.
pub fn replay_schema() -> Json {
    let kinds: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let event = record(&json!({
        "event_id": count(),
        "proposal_id": optional_text(),
        "kind": {"enum": kinds},
        "actor": text(),
        "payload": {"type": "object"},
        "created_at": time(),
    }));
    let replay = record(&json!({
        "replay_id": text(),
        "proposal": part(stored_proposal_schema()),
        "events": list(&event),
        "receipts": list(&part(execution_receipt_schema())),
        "query_audit": list(&part(query_audit_schema())),
        "evidence": list(&part(evidence_bundle_schema())),
        "generated_at": time(),
        "replay": {"type": "object"},
        "findings": list(&text()),
        "verified_at_size": count(),
    }));
    published(replay, "replay:v1", "Replay of a proposal")
}

/// Returns the published schema of `activity search --json`.
pub fn activity_schema() -> Json {
    let interaction = record(&json!({
        "kind": {"enum": ["proposal", "evidence", "read", "refused", "receipt"]},
        "created_at": time(),
        "capability": text(),
        "tenant": text(),
        "principal": text(),
        "object": text(),
        "proposal": optional_text(),
        "evidence": optional_text(),
        "audit_record": optional_text(),
        "status": text(),
        "replay": optional_text(),
    }));
    let activity = record(&json!({
        "interactions": list(&interaction),
        "has_more": {"type": "boolean"},
    }));
    published(activity, "activity:v1", "Activity")
}
