//! Proposal view with its events and receipts.

use serde_json::{Map, Value as Json, json};

use super::{AgentProposalState, Visible, is_visible, object_id};
use crate::contract;
use crate::digest::Digest;
use crate::event::EventKind;
use crate::proposal::{Proposal, ProposalMode, ProposalState};
use crate::result_envelope::value_to_json;
use crate::timestamp::Timestamp;
use crate::value::{ColumnValue, find};
use crate::writeback::{Receipt, ReceiptOutcome};

/// Maximum number of events in one response; the newest are shown.
pub const EVENTS_SHOWN_MAX: usize = 100;

/// Event kinds that agents may see.
pub const SHOWN_EVENTS: [EventKind; 13] = [
    EventKind::ProposalCreated,
    EventKind::ProposalApproved,
    EventKind::ProposalRejected,
    EventKind::ApplyRequested,
    EventKind::ProposalExpired,
    EventKind::ProposalWithdrawn,
    EventKind::WritebackStarted,
    EventKind::WritebackReleased,
    EventKind::WritebackInDoubt,
    EventKind::WritebackApplied,
    EventKind::WritebackConflict,
    EventKind::WritebackFailed,
    EventKind::WritebackCanceled,
];

/// An event, of one of [`SHOWN_EVENTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSummary {
    pub kind: EventKind,
    pub at: Timestamp,
}

/// What the ledger holds about one proposal.
#[derive(Clone, Copy, Debug)]
pub struct ProposalSnapshot<'a> {
    pub proposal: &'a Proposal,
    /// Digest of the signed proposal.
    pub digest: Digest,
    pub state: ProposalState,
    pub updated_at: Timestamp,
    /// Oldest first, at most [`EVENTS_SHOWN_MAX`].
    pub events: &'a [EventSummary],
    /// Whether older events were left out.
    pub events_omitted: bool,
    pub receipt: Option<&'a Receipt>,
    /// Reason that an operator signed with a rejection.
    pub rejection_reason: Option<&'a str>,
}

impl ProposalSnapshot<'_> {
    pub(super) const fn record_state(&self) -> AgentProposalState {
        AgentProposalState::of(self.state, self.proposal.mode)
    }

    /// Returns the reason of the rejection that ended the proposal; reasons of approvals are for operators.
    fn shown_reason(&self) -> Option<&str> {
        let is_shown = matches!(
            self.record_state(),
            AgentProposalState::Rejected | AgentProposalState::Canceled
        );
        self.rejection_reason.filter(|_| is_shown)
    }

    fn is_applied(&self) -> bool {
        self.receipt.is_some_and(|r| r.outcome == ReceiptOutcome::Applied)
    }
}

/// The resource `synapsor://proposals/{proposal_id}`.
pub fn proposal_view(facts: &ProposalSnapshot<'_>, visible: Visible<'_>) -> Json {
    json!({
        "proposal": body(facts, visible),
        "events": events(facts),
        "events_omitted": facts.events_omitted,
        "receipts": receipts(facts),
    })
}

pub(super) fn body(facts: &ProposalSnapshot<'_>, visible: Visible<'_>) -> Json {
    let proposal = facts.proposal;
    let by = &proposal.requested_by;
    let target = &proposal.target;
    let state = facts.record_state();
    let is_shadow = proposal.mode == ProposalMode::Shadow;
    let is_direct = proposal.executor == contract::DIRECT;
    let evidence = proposal.evidence.first().map(|e| e.id.as_str());
    json!({
        "proposal_id": proposal.id,
        "proposal_version": 1,
        "proposal_hash": facts.digest,
        "action": proposal.capability,
        "state": state.as_str(),
        "rejection_reason": facts.shown_reason(),
        "mode": proposal.mode.as_str(),
        "target": {
            "type": target.table,
            "id": object_id(visible, target),
            "tenant_id": by.tenant,
        },
        "principal": by.principal,
        "diff": diff(proposal, visible),
        "evidence_bundle_id": evidence,
        "evidence_resource": evidence.map(|id| format!("synapsor://evidence/{id}")),
        "replay_resource": format!("synapsor://replay/{}", proposal.id),
        "approval_required": !is_shadow,
        "writeback": {
            "mode": if is_direct { "direct_update" } else { "app_handler" },
            "applied": facts.is_applied(),
        },
        "source_database_changed": facts.is_applied(),
        "created_at": proposal.created_at,
        "not_after": proposal.not_after,
        "updated_at": facts.updated_at,
        "next": state.next(),
    })
}

/// Builds the requested change, as the call's own result has it. The before value of a column is shown only if the
/// column is visible; a version column that the writer advances was not requested.
fn diff(proposal: &Proposal, visible: Visible<'_>) -> Json {
    let is_asked = |new: &&ColumnValue| visible.is_some() && !proposal.guard.advances(&new.column);
    let change = |new: &ColumnValue| {
        let before = find(&proposal.before, &new.column).filter(|_| is_visible(visible, &new.column));
        let before = before.map_or(Json::Null, value_to_json);
        (
            new.column.clone(),
            json!({"before": before, "proposed": value_to_json(&new.value)}),
        )
    };
    let entries: Map<String, Json> = proposal.set.iter().filter(is_asked).map(change).collect();
    Json::Object(entries)
}

pub(super) fn events(facts: &ProposalSnapshot<'_>) -> Json {
    let event = |event: &EventSummary| json!({"kind": event.kind, "at": event.at});
    facts.events.iter().map(event).collect()
}

pub(super) fn receipts(facts: &ProposalSnapshot<'_>) -> Json {
    let receipt = |receipt: &Receipt| {
        json!({
            "status": AgentProposalState::settled(receipt.outcome).as_str(),
            "reason": receipt.reason,
            "rows_affected": receipt.rows_affected,
            "source_database_changed": receipt.outcome == ReceiptOutcome::Applied,
            "created_at": receipt.created_at,
        })
    };
    facts.receipt.into_iter().map(receipt).collect()
}
