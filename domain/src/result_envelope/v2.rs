//! Format 2: one shape for all results, with every key always present.

use serde_json::{Value as Json, json};
use synapsor_codes::ErrorCode;

use super::{
    EnvelopeState, FailureResult, ProposalResult, ReadResult, SafeCode, diff_to_json, row_to_json,
    with_truncated,
};
use crate::context::TrustedContext;
use crate::contract::ToolKind;

pub(crate) const EVIDENCE_NOTE: &str = "An audit handle for people; not business data.";

/// Maximum length of the summary of a read, in bytes: a model pays for each, and the row follows.
const SUMMARY_BYTES_MAX: usize = 35;

pub(super) fn read(read: &ReadResult<'_>) -> Json {
    let (kind, id) = read.object;
    let envelope = json!({
        "ok": true,
        "summary": read_summary(kind, id),
        "action": read.capability,
        "kind": ToolKind::Read.as_str(),
        "data": row_to_json(read.row),
        "proposal": null,
        "error": null,
        "evidence": {"bundle_id": read.evidence_id, "note": EVIDENCE_NOTE},
        "source_database_changed": false,
        "_meta": meta(read.capability, Some(read.context)),
    });
    with_truncated(envelope, read.truncated)
}

/// Names the row only in few words: the result has its values, and the call its key.
fn read_summary(kind: &str, id: &str) -> String {
    let summary = one_line(&format!("Read {kind} {id}."));
    if summary.len() <= SUMMARY_BYTES_MAX {
        summary
    } else {
        "Read one row.".to_owned()
    }
}

pub(super) fn proposal(proposal: &ProposalResult<'_>) -> Json {
    let (kind, id) = proposal.object;
    let is_shadow = proposal.state == EnvelopeState::ShadowProposalCreated;
    let envelope = json!({
        "ok": true,
        "summary": one_line(&format!(
            "Proposal {} about {kind} {id} is filed; the source database is unchanged.",
            proposal.proposal_id
        )),
        "action": proposal.capability,
        "kind": ToolKind::Proposal.as_str(),
        "data": null,
        "proposal": {
            "id": proposal.proposal_id,
            "state": proposal.state.as_str(),
            "target": format!("{kind}:{id}"),
            "diff": diff_to_json(proposal.diff),
            "approval_required": !is_shadow,
            "writeback": {
                "mode": if proposal.is_direct { "direct_update" } else { "app_handler" },
                "applied": false,
            },
            "next": proposal.state.next_step(),
        },
        "error": null,
        "evidence": {"bundle_id": proposal.evidence_id, "note": EVIDENCE_NOTE},
        "source_database_changed": false,
        "_meta": meta(proposal.capability, Some(proposal.context)),
    });
    with_truncated(envelope, proposal.truncated)
}

pub(super) fn failure(failure: &FailureResult<'_>) -> Json {
    let code = failure.refusal.code.safe();
    let message = safe_message(code, failure);
    let mut meta = meta(failure.capability, failure.context);
    meta["correlation_id"] = failure.correlation_id.into();
    json!({
        "ok": false,
        "summary": one_line(message),
        "action": failure.capability,
        "kind": failure.kind.map(ToolKind::as_str),
        "data": null,
        "proposal": null,
        "error": {
            "code": code.as_str(),
            "message": with_correlation(message, failure),
            "retryable": code.retryable(),
        },
        "evidence": null,
        "source_database_changed": false,
        "_meta": meta,
    })
}

/// Returns the refusal's own message if the caller can act on it; otherwise a fixed sentence that discloses
/// nothing.
pub(super) fn safe_message<'a>(code: SafeCode, failure: &FailureResult<'a>) -> &'a str {
    let own = failure.refusal.public.as_str();
    match code {
        SafeCode::InvalidArgument
        | SafeCode::PolicyViolation
        | SafeCode::ApprovalRequired
        | SafeCode::VersionConflict
        | SafeCode::RowTooLarge
        | SafeCode::ValueUnreadable
        | SafeCode::ColumnNotWritable => {
            if own.is_empty() {
                code.sentence()
            } else {
                own
            }
        }
        // One constant text per kind of object, whether it is missing or another tenant's.
        SafeCode::NotFoundInTenant if failure.refusal.code == ErrorCode::RecordNotFound => {
            "You have no proposal with this id; pass it exactly as the result of the proposal call has it."
        }
        SafeCode::NotFoundInTenant => code.sentence(),
        SafeCode::TemporarilyUnavailable => unavailable_sentence(failure.refusal.code),
        SafeCode::CapabilityNotFound | SafeCode::MultiRowBlocked | SafeCode::Internal => code.sentence(),
    }
}

/// Distinguishes a service that is busy or slow from one that cannot be reached: an agent waits for the first.
const fn unavailable_sentence(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ExecutorBusy | ErrorCode::SourceBusy | ErrorCode::StoreBusy => {
            "The server is busy; make the same call again in a few seconds."
        }
        ErrorCode::SourceTimeout => "The database did not answer in time; make the same call again later.",
        ErrorCode::TokenKeysUnavailable | ErrorCode::TokenKeysUnreadable => {
            "Access tokens cannot be verified now; make the same call again later."
        }
        _ => SafeCode::TemporarilyUnavailable.sentence(),
    }
}

/// Appends the id under which the operator finds the call: many agents show their users the text only.
pub(super) fn with_correlation(message: &str, failure: &FailureResult<'_>) -> String {
    let end = if message.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{message}{end} Correlation id: {}.", failure.correlation_id)
}

/// A key may hold any characters; a summary must stay one line.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn meta(capability: &str, context: Option<&TrustedContext>) -> Json {
    let mut meta = serde_json::Map::new();
    if let Some(context) = context {
        meta.insert("tenant_id".to_owned(), context.tenant.clone().into());
        meta.insert("principal".to_owned(), context.principal.clone().into());
        meta.insert("provenance".to_owned(), context.provenance.as_str().into());
    }
    meta.insert("canonical_capability".to_owned(), capability.into());
    Json::Object(meta)
}
