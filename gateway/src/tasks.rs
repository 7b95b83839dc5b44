//! MCP tasks for proposals that wait for approvers (tasks extension). The task is the proposal: it has the
//! proposal's id and the ledger's state, is durable before the client sees it, and survives a gateway restart.

use rmcp::model::{
    CallToolResult, CreateTaskResult, DetailedTask, ErrorData, JsonObject, MetaObject, Task, TaskPayload,
    TaskStatus,
};
use serde_json::Value as Json;
use synapsor_domain::agent_view::settled_envelope;
use synapsor_domain::contract::ResultFormat;
use synapsor_domain::result_envelope::{EnvelopeState, REVIEW_NEXT_STEP};
use synapsor_domain::timestamp::Timestamp;
use synapsor_proto::ledger::v1::AgentProposalState;
use synapsor_proto::ledger::v1::AgentRecordServiceGetProposalResponse as Record;

use crate::tool_result;

/// Decisions take minutes, not seconds; subscriptions notify at once.
const POLL_INTERVAL_MS: u64 = 5_000;
/// Metadata key of a new task: the result envelope that the call would return without tasks.
const ENVELOPE: &str = "synapsor.envelope";

/// Returns the id of a new proposal that waits for approvers; `None` for every other result.
pub(crate) fn waiting_proposal(result: &CallToolResult) -> Option<&str> {
    let envelope = result.structured_content.as_ref()?;
    let (id, state) = match envelope.get("proposal") {
        Some(proposal) => (proposal.get("id"), proposal.get("state")),
        None => (envelope.get("proposal_id"), envelope.get("status")),
    };
    let is_waiting = result.is_error != Some(true)
        && state.and_then(Json::as_str) == Some(EnvelopeState::ReviewRequired.as_str());
    id.and_then(Json::as_str).filter(|_| is_waiting)
}

/// Builds the response to the call that created the proposal.
pub(crate) fn created(id: &str, record: &Record, result: CallToolResult) -> CreateTaskResult {
    let mut meta = result.meta.unwrap_or_else(|| MetaObject::from(JsonObject::new()));
    if let Some(envelope) = result.structured_content {
        meta.insert(ENVELOPE.to_owned(), envelope);
    }
    CreateTaskResult::new(task(id, record)).with_meta(meta)
}

/// Builds the current state of a task.
pub(crate) fn detailed(id: &str, record: &Record, format: ResultFormat) -> Result<DetailedTask, ErrorData> {
    let payload = match (record.is_final, record.state()) {
        (false, _) => TaskPayload::Working,
        (true, AgentProposalState::Canceled) => TaskPayload::Cancelled,
        (true, _) => TaskPayload::Completed {
            result: result(record, format).ok_or_else(unreadable)?,
        },
    };
    Ok(DetailedTask::new(task(id, record), payload))
}

/// Builds the current result of the call. A proposal that ends without being applied is not an error of the call.
fn result(record: &Record, format: ResultFormat) -> Option<JsonObject> {
    let json: Json = serde_json::from_slice(&record.record_json).ok()?;
    let envelope = settled_envelope(&json, format)?;
    match serde_json::to_value(tool_result::result(envelope, format, false)).ok()? {
        Json::Object(result) => Some(result),
        _ => None,
    }
}

fn task(id: &str, record: &Record) -> Task {
    let at = |ms: i64| Timestamp::from_unix_millis(ms).to_string();
    let status = if record.is_final {
        TaskStatus::Completed
    } else {
        TaskStatus::Working
    };
    let lives_ms = record.not_after_ms.saturating_sub(record.created_at_ms);
    Task::new(id, status, at(record.created_at_ms), at(record.updated_at_ms))
        .with_ttl_ms(u64::try_from(lives_ms).unwrap_or_default())
        .with_poll_interval_ms(POLL_INTERVAL_MS)
        .with_status_message(message(record.state()))
}

const fn message(state: AgentProposalState) -> &'static str {
    match state {
        AgentProposalState::ReviewRequired => REVIEW_NEXT_STEP,
        AgentProposalState::Approved => "Approved; not applied yet.",
        AgentProposalState::InDoubt => "The outcome is being resolved.",
        AgentProposalState::Applied => "It has been applied.",
        AgentProposalState::Conflict => "It was not applied: the row has changed since it was read.",
        AgentProposalState::Rejected => "An approver has rejected it.",
        AgentProposalState::Canceled => "Withdrawn before any change was made.",
        AgentProposalState::Expired => "Expired without a decision.",
        AgentProposalState::Failed
        | AgentProposalState::ShadowProposalCreated
        | AgentProposalState::Unspecified => "It was not applied.",
    }
}

/// Same error for missing tasks and those of other callers.
pub(crate) fn unknown() -> ErrorData {
    ErrorData::invalid_params("no such task", None)
}

fn unreadable() -> ErrorData {
    ErrorData::internal_error("the record of the task is invalid", None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_proposal_that_waits_for_approvers_becomes_a_task() {
        let of = |envelope: Json| {
            let result = CallToolResult::structured(envelope);
            waiting_proposal(&result).map(str::to_owned)
        };
        assert_eq!(
            of(json!({"proposal": {"id": "wrp_1", "state": "review_required"}})),
            Some("wrp_1".to_owned())
        );
        assert_eq!(
            of(json!({"proposal_id": "wrp_1", "status": "review_required"})),
            Some("wrp_1".to_owned())
        );
        assert_eq!(
            of(json!({"proposal": {"id": "wrp_1", "state": "shadow_proposal_created"}})),
            None
        );
        assert_eq!(of(json!({"data": {"id": "wrp_1"}, "proposal": null})), None);
        let failed =
            CallToolResult::structured_error(json!({"proposal": {"id": "w", "state": "review_required"}}));
        assert_eq!(waiting_proposal(&failed), None);
    }
}
