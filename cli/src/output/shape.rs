//! Formats signed records as JSON, and short phrases for text output.

use serde_json::{Value as Json, json};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::{ProposalState, VerifiedProposal, change_set_view};
use synapsor_domain::replay::Entry;
use synapsor_domain::result_envelope::value_to_json;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::{ColumnValue, Value};
use synapsor_domain::writeback::{AttemptResult, ReceiptOutcome};

use super::event_payload;
use crate::workflows::{ApplyOutcome, ProposalView, SignedReceipt};

/// Maximum number of rows of a list.
pub(crate) const LIST_ROWS_MAX: i64 = 200;

/// Common members of every response about one proposal.
pub(crate) fn proposal_head(attested: &VerifiedProposal) -> serde_json::Map<String, Json> {
    let proposal = attested.proposal();
    let mut head = serde_json::Map::new();
    head.insert("proposal_id".to_owned(), json!(proposal.id));
    head.insert("proposal_digest".to_owned(), json!(attested.digest()));
    head.insert("short_code".to_owned(), json!(attested.digest().short_code()));
    head
}

/// Returns the members of a stored proposal of 0.1.x.
pub(crate) fn stored_proposal(
    attested: &VerifiedProposal,
    state: ProposalState,
    updated_at: Timestamp,
) -> serde_json::Map<String, Json> {
    let (proposal, digest) = (attested.proposal(), attested.digest());
    let stored = json!({
        "proposal_id": proposal.id,
        "proposal_version": 1,
        "proposal_hash": digest,
        "action": proposal.capability,
        "capability": proposal.capability,
        "state": state,
        "tenant_id": proposal.requested_by.tenant,
        "principal": proposal.requested_by.principal,
        "business_object": proposal.target.table,
        "object_id": proposal.target.object_id(),
        "source_kind": format!("external_{}", proposal.source.engine),
        "source_id": proposal.source.id,
        "source_schema": proposal.target.schema,
        "source_table": proposal.target.table,
        "source_database_mutated": is_written(state),
        "change_set": change_set_view(proposal, &digest, state),
        "created_at": proposal.created_at,
        "updated_at": updated_at,
    });
    match stored {
        Json::Object(members) => members,
        _ => serde_json::Map::new(),
    }
}

/// Whether the database has the change; `None` while an attempt may have written it without a receipt.
const fn is_written(state: ProposalState) -> Option<bool> {
    match state {
        ProposalState::Applied => Some(true),
        ProposalState::PendingWorker | ProposalState::InDoubt => None,
        ProposalState::PendingReview
        | ProposalState::Approved
        | ProposalState::Rejected
        | ProposalState::Canceled
        | ProposalState::Expired
        | ProposalState::Conflict
        | ProposalState::Failed => Some(false),
    }
}

/// Formats a receipt as an execution receipt of 0.1.x, with its signed members, signature and key.
pub(crate) fn receipt(signed: &SignedReceipt) -> Json {
    let receipt = &signed.receipt;
    let version = |version: &Option<Value>| version.as_ref().map(value_to_json);
    let status = match receipt.outcome {
        ReceiptOutcome::Applied => "applied",
        ReceiptOutcome::Conflict => "conflict",
        ReceiptOutcome::Failed => "failed",
        ReceiptOutcome::Rejected
        | ReceiptOutcome::Cancelled
        | ReceiptOutcome::Expired
        | ReceiptOutcome::Abandoned => "canceled",
    };
    let mut object = json!({
        "schema_version": "synapsor.execution-receipt.v1",
        "writeback_job_id": job_id(&receipt.proposal_id),
        "proposal_id": receipt.proposal_id,
        "runner_id": receipt.writer,
        "status": status,
        "rows_affected": receipt.rows_affected,
        // The key under which the database keeps its own receipt.
        "idempotency_key": receipt.proposal_id,
        "previous_version": version(&receipt.previous_version),
        "new_version": version(&receipt.new_version),
        "source_database_mutated": receipt.outcome == ReceiptOutcome::Applied,
        "executed_at": receipt.created_at,
        "receipt_hash": signed.digest,
        "receipt_digest": signed.digest,
        "writer_key": signed.writer_key,
        "receipt": receipt,
    });
    if let Some(code) = AttemptResult::of_receipt(receipt).code() {
        object["safe_error_code"] = json!(code);
    }
    object
}

/// Returns the id that 0.1.x gives to the writeback job of a proposal.
pub(crate) fn job_id(proposal: &ProposalId) -> String {
    format!("wbj_{proposal}")
}

/// Formats columns as one object.
pub(crate) fn columns(columns: &[ColumnValue]) -> serde_json::Map<String, Json> {
    let entry = |c: &ColumnValue| (c.column.clone(), value_to_json(&c.value));
    columns.iter().map(entry).collect()
}

/// Formats an event of the log, also with the names of 0.1.x.
pub(crate) fn event(entry: &Entry) -> Json {
    let event = &entry.event;
    let mut object = json!(event);
    object["event_id"] = json!(event.seq);
    object["created_at"] = json!(event.at);
    object["payload"] = event_payload::payload(entry);
    object
}

/// Formats a stored proposal: the signed object, with the members of 0.1.x beside it.
pub(crate) fn proposal(attested: &VerifiedProposal, state: ProposalState, updated_at: Timestamp) -> Json {
    let mut proposal = json!(attested.proposal());
    if let Json::Object(members) = &mut proposal {
        members.extend(stored_proposal(attested, state, updated_at));
    }
    proposal
}

/// Formats the result of an apply.
pub(crate) fn applied(view: &ProposalView, applied: &ApplyOutcome) -> Json {
    let mut object = proposal_head(&view.attested);
    object.insert("status".to_owned(), json!(applied.status.as_str()));
    object.insert("result".to_owned(), json!(applied.result));
    object.insert("message".to_owned(), json!(applied.message));
    object.insert("fix".to_owned(), json!(applied.fix));
    object.insert("cause".to_owned(), json!(applied.cause));
    object.insert("order_digest".to_owned(), json!(applied.order_digest));
    object.insert("order_valid_until".to_owned(), json!(applied.order_valid_until));
    object.insert(
        "receipt".to_owned(),
        applied.receipt.as_ref().map_or(Json::Null, receipt),
    );
    object.extend(earlier_result(view, applied));
    Json::Object(object)
}

/// Returns the members of a result of 0.1.x that [`applied`] does not have by other names. Like there, a member without a
/// value is absent.
fn earlier_result(view: &ProposalView, applied: &ApplyOutcome) -> serde_json::Map<String, Json> {
    let mut members = serde_json::Map::new();
    members.insert("protocol_version".to_owned(), json!("1.0"));
    members.insert("job_id".to_owned(), json!(job_id(&view.attested.proposal().id)));
    if let Some(signed) = &applied.receipt {
        let receipt = &signed.receipt;
        members.insert("runner_id".to_owned(), json!(receipt.writer));
        members.insert("affected_rows".to_owned(), json!(receipt.rows_affected));
        members.insert("result_hash".to_owned(), json!(signed.digest));
        members.insert("completed_at".to_owned(), json!(receipt.created_at));
        if let Some(version) = receipt.new_version.as_ref().and_then(Value::as_text) {
            members.insert("result_version".to_owned(), json!(version));
        }
    }
    if let Some(code) = applied.code {
        members.insert("error_code".to_owned(), json!(code));
    }
    members
}

/// Formats the time until `end` in at most two units.
pub(crate) fn time_left(now: Timestamp, end: Timestamp) -> String {
    let seconds = (end - now).as_seconds();
    if seconds <= 0 {
        return "none".to_owned();
    }
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_in_doubt_is_not_called_unwritten() {
        assert_eq!(is_written(ProposalState::InDoubt), None);
        assert_eq!(is_written(ProposalState::PendingWorker), None);
        assert_eq!(is_written(ProposalState::Applied), Some(true));
        assert_eq!(is_written(ProposalState::Conflict), Some(false));
    }

    #[test]
    fn time_left_has_at_most_two_units() {
        let at = |s: i64| Timestamp::from_unix_millis(s * 1000);
        assert_eq!(time_left(at(0), at(59)), "59 s");
        assert_eq!(time_left(at(0), at(3599)), "59 min");
        assert_eq!(time_left(at(0), at(3660)), "1 h 1 min");
        assert_eq!(time_left(at(0), at(90_000)), "1 d 1 h");
        assert_eq!(time_left(at(9), at(9)), "none");
    }
}
