//! Final result of a task: the envelope of a proposal call after the proposal has ended. Built from the ledger's
//! record, which is already restricted.

use serde_json::{Value as Json, json};

use super::AgentProposalState;
use crate::contract::ResultFormat;
use crate::result_envelope::{EVIDENCE_NOTE, EnvelopeState};

/// The envelope in the given format; `None` if `record` is not the resource of a proposal.
pub fn settled_envelope(record: &Json, format: ResultFormat) -> Option<Json> {
    let proposal = record.get("proposal")?;
    let text = |name: &str| proposal.get(name).and_then(Json::as_str);
    let (id, state, action) = (text("proposal_id")?, text("state")?, text("action")?);
    let known = AgentProposalState::from_text(state)?;
    let kind = proposal.pointer("/target/type").and_then(Json::as_str)?;
    let key = proposal
        .pointer("/target/id")
        .and_then(Json::as_str)
        .unwrap_or_default();
    let is_changed = proposal.get("source_database_changed") == Some(&Json::Bool(true));
    let source = if is_changed { "has changed" } else { "is unchanged" };
    let evidence = text("evidence_bundle_id").map(|id| json!({"bundle_id": id, "note": EVIDENCE_NOTE}));
    Some(match format {
        ResultFormat::V1 => {
            let mut envelope = proposal.clone();
            let object = envelope.as_object_mut()?;
            object.insert("status".to_owned(), envelope_state(known).as_str().into());
            object.insert(
                "proposal_resource".to_owned(),
                format!("synapsor://proposals/{id}").into(),
            );
            object.insert("source_database_mutated".to_owned(), is_changed.into());
            envelope
        }
        ResultFormat::V2 => json!({
            "ok": true,
            "summary": format!("Proposal {id} about {kind} {key} has ended: {state}; the source database {source}.")
                .replace(char::is_control, " "),
            "action": action,
            "kind": "proposal",
            "data": null,
            "proposal": {
                "id": id,
                "state": result_state(known),
                "target": format!("{kind}:{key}"),
                "diff": proposal.get("diff")?,
                "approval_required": proposal.get("approval_required")?,
                "writeback": proposal.get("writeback")?,
                "next": proposal.get("next")?,
            },
            "error": null,
            "evidence": evidence,
            "source_database_changed": is_changed,
            "_meta": {
                "tenant_id": proposal.pointer("/target/tenant_id")?,
                "principal": proposal.get("principal")?,
                "canonical_capability": action,
            },
        }),
    })
}

/// Name of the state in format 2; the schema has no name for an outcome in doubt, which is not the end of a task.
const fn result_state(state: AgentProposalState) -> &'static str {
    match state {
        AgentProposalState::InDoubt => EnvelopeState::Approved.as_str(),
        state => state.as_str(),
    }
}

/// Maps to the fewer states of format 1: an end without a change and without a rejection is a conflict.
const fn envelope_state(state: AgentProposalState) -> EnvelopeState {
    match state {
        AgentProposalState::ReviewRequired => EnvelopeState::ReviewRequired,
        AgentProposalState::ShadowProposalCreated => EnvelopeState::ShadowProposalCreated,
        AgentProposalState::Approved | AgentProposalState::InDoubt => EnvelopeState::Approved,
        AgentProposalState::Applied => EnvelopeState::Applied,
        AgentProposalState::Conflict | AgentProposalState::Failed => EnvelopeState::Conflict,
        AgentProposalState::Rejected | AgentProposalState::Canceled | AgentProposalState::Expired => {
            EnvelopeState::Rejected
        }
    }
}
