//! Format 1: envelope shapes for old clients.

use serde_json::{Value as Json, json};
use synapsor_codes::ErrorCode;

use super::{
    EnvelopeState, FailureResult, ProposalResult, ReadResult, SafeCode, diff_to_json, row_to_json, v2,
    with_truncated,
};

pub(super) fn read(read: &ReadResult<'_>) -> Json {
    let (kind, id) = read.object;
    let envelope = json!({
        "status": "ok",
        "action": read.capability,
        "mode": read.mode.as_str(),
        "business_object": {"type": kind, "id": id},
        "data": row_to_json(read.row),
        "trusted_context": {
            "tenant_id": read.context.tenant,
            "principal": read.context.principal,
            "provenance": read.context.provenance.as_str(),
        },
        "evidence_bundle_id": read.evidence_id,
        "evidence_resource": format!("synapsor://evidence/{}", read.evidence_id),
        "source_database_changed": false,
        "source_database_mutated": false,
    });
    with_truncated(envelope, read.truncated)
}

pub(super) fn proposal(proposal: &ProposalResult<'_>) -> Json {
    let (kind, id) = proposal.object;
    let is_shadow = proposal.state == EnvelopeState::ShadowProposalCreated;
    let envelope = json!({
        "status": proposal.state.as_str(),
        "action": proposal.capability,
        "proposal_id": proposal.proposal_id,
        "proposal_version": 1,
        "proposal_hash": proposal.proposal_digest,
        "target": {"type": kind, "id": id, "tenant_id": proposal.context.tenant},
        "diff": diff_to_json(proposal.diff),
        "evidence_bundle_id": proposal.evidence_id,
        "evidence_resource": format!("synapsor://evidence/{}", proposal.evidence_id),
        "proposal_resource": format!("synapsor://proposals/{}", proposal.proposal_id),
        "replay_resource": format!("synapsor://replay/{}", proposal.proposal_id),
        "approval_required": !is_shadow,
        "writeback": {
            "status": "not_applied",
            "mode": if is_shadow { "read_only" } else { "trusted_worker_required" },
            "executor": proposal.executor,
        },
        "source_database_changed": false,
        "source_database_mutated": false,
    });
    with_truncated(envelope, proposal.truncated)
}

/// Uses the internal code, except where it would disclose too much.
pub(super) fn failure(failure: &FailureResult<'_>) -> Json {
    let safe = failure.refusal.code.safe();
    let code = match safe {
        SafeCode::Internal => ErrorCode::McpToolFailed.as_str(),
        SafeCode::TemporarilyUnavailable => safe.as_str(),
        SafeCode::NotFoundInTenant
        | SafeCode::InvalidArgument
        | SafeCode::PolicyViolation
        | SafeCode::CapabilityNotFound
        | SafeCode::VersionConflict
        | SafeCode::MultiRowBlocked
        | SafeCode::RowTooLarge
        | SafeCode::ValueUnreadable
        | SafeCode::ColumnNotWritable
        | SafeCode::ApprovalRequired => failure.refusal.code.as_str(),
    };
    let error = v2::with_correlation(v2::safe_message(safe, failure), failure);
    json!({"ok": false, "code": code, "error": error})
}
