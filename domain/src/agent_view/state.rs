//! Maps proposal states to envelope states, with finer states where a record has more information than a call.

use std::fmt;

use crate::event::EventKind;
use crate::proposal::{ProposalMode, ProposalState};
use crate::result_envelope::EnvelopeState;
use crate::writeback::ReceiptOutcome;

/// State of a proposal as its agent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AgentProposalState {
    ReviewRequired,
    ShadowProposalCreated,
    Approved,
    /// A COMMIT was sent and its response was lost; reconciliation is pending.
    InDoubt,
    Applied,
    Conflict,
    Failed,
    Rejected,
    Canceled,
    Expired,
}

/// Event kinds that may change the state of a proposal.
pub const STATE_EVENTS: [EventKind; 12] = [
    EventKind::ProposalCreated,
    EventKind::ProposalApproved,
    EventKind::ProposalRejected,
    EventKind::ApplyRequested,
    EventKind::ProposalExpired,
    EventKind::ProposalWithdrawn,
    EventKind::WritebackReleased,
    EventKind::WritebackInDoubt,
    EventKind::WritebackApplied,
    EventKind::WritebackConflict,
    EventKind::WritebackFailed,
    EventKind::WritebackCanceled,
];

/// Context that determines the state after an event, beyond the event itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventStateContext {
    pub mode: ProposalMode,
    /// The quorum was reached up to and including this event.
    pub is_approved: bool,
    /// An attempt was in doubt at this event or before it.
    pub is_in_doubt: bool,
    /// Outcome of the proposal's receipt, if there is one.
    pub outcome: Option<ReceiptOutcome>,
}

impl AgentProposalState {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::ReviewRequired,
        Self::ShadowProposalCreated,
        Self::Approved,
        Self::InDoubt,
        Self::Applied,
        Self::Conflict,
        Self::Failed,
        Self::Rejected,
        Self::Canceled,
        Self::Expired,
    ];

    /// Returns the state with this name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Maps a ledger state.
    pub const fn of(state: ProposalState, mode: ProposalMode) -> Self {
        match (state, mode) {
            (ProposalState::PendingReview, ProposalMode::Review) => Self::ReviewRequired,
            (ProposalState::PendingReview, ProposalMode::Shadow) => Self::ShadowProposalCreated,
            (ProposalState::Approved | ProposalState::PendingWorker, _) => Self::Approved,
            (ProposalState::InDoubt, _) => Self::InDoubt,
            (ProposalState::Applied, _) => Self::Applied,
            (ProposalState::Conflict, _) => Self::Conflict,
            (ProposalState::Failed, _) => Self::Failed,
            (ProposalState::Rejected, _) => Self::Rejected,
            (ProposalState::Canceled, _) => Self::Canceled,
            (ProposalState::Expired, _) => Self::Expired,
        }
    }

    /// Returns the state after an event of this kind; `None` if it does not change the state.
    pub const fn after(kind: EventKind, standing: EventStateContext) -> Option<Self> {
        let open = match (standing.is_in_doubt, standing.is_approved) {
            (true, _) => Self::InDoubt,
            (false, true) => Self::Approved,
            (false, false) => Self::of(ProposalState::PendingReview, standing.mode),
        };
        match kind {
            EventKind::ProposalCreated => Some(Self::of(ProposalState::PendingReview, standing.mode)),
            EventKind::ProposalApproved | EventKind::ApplyRequested | EventKind::WritebackReleased => {
                Some(open)
            }
            EventKind::ProposalRejected => Some(Self::Rejected),
            EventKind::ProposalExpired => Some(Self::Expired),
            EventKind::ProposalWithdrawn => Some(Self::Canceled),
            EventKind::WritebackInDoubt => Some(Self::InDoubt),
            EventKind::WritebackApplied => Some(Self::Applied),
            EventKind::WritebackConflict => Some(Self::Conflict),
            EventKind::WritebackFailed => Some(Self::Failed),
            EventKind::WritebackCanceled => match standing.outcome {
                Some(outcome) => Some(Self::settled(outcome)),
                None => None,
            },
            EventKind::LedgerStarted
            | EventKind::EvidenceRecorded
            | EventKind::QueryAudited
            | EventKind::ReadRecorded
            | EventKind::CallRefused
            | EventKind::ProposalRepeated
            | EventKind::DecisionRefused
            | EventKind::WritebackStarted
            | EventKind::ReceiptAlarm
            | EventKind::RejectionRecorded
            | EventKind::WritebackFrozen
            | EventKind::FreezeLifted
            | EventKind::SwitchConfirmed
            | EventKind::EffectLost
            | EventKind::OrphanReceipt
            | EventKind::RowChangedInCommit
            | EventKind::ReceiptsOrdered
            | EventKind::BodiesErased
            | EventKind::ShadowHumanActionRecorded
            | EventKind::DiscontinuityRecorded => None,
        }
    }

    /// Maps a receipt's outcome to the final state of its proposal.
    pub const fn settled(outcome: ReceiptOutcome) -> Self {
        match outcome {
            ReceiptOutcome::Applied => Self::Applied,
            ReceiptOutcome::Conflict => Self::Conflict,
            ReceiptOutcome::Failed | ReceiptOutcome::Abandoned => Self::Failed,
            ReceiptOutcome::Rejected | ReceiptOutcome::Cancelled => Self::Canceled,
            ReceiptOutcome::Expired => Self::Expired,
        }
    }

    /// Whether the state is final.
    pub const fn is_final(self) -> bool {
        match self {
            Self::ReviewRequired | Self::ShadowProposalCreated | Self::Approved | Self::InDoubt => false,
            Self::Applied
            | Self::Conflict
            | Self::Failed
            | Self::Rejected
            | Self::Canceled
            | Self::Expired => true,
        }
    }

    /// Name of the state in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReviewRequired => EnvelopeState::ReviewRequired.as_str(),
            Self::ShadowProposalCreated => EnvelopeState::ShadowProposalCreated.as_str(),
            Self::Approved => EnvelopeState::Approved.as_str(),
            Self::InDoubt => "in_doubt",
            Self::Applied => EnvelopeState::Applied.as_str(),
            Self::Conflict => EnvelopeState::Conflict.as_str(),
            Self::Failed => "failed",
            Self::Rejected => EnvelopeState::Rejected.as_str(),
            Self::Canceled => "canceled",
            Self::Expired => "expired",
        }
    }

    /// Next step for the agent.
    pub(super) const fn next(self) -> &'static str {
        match self {
            Self::ReviewRequired => EnvelopeState::ReviewRequired.next_step(),
            Self::ShadowProposalCreated => EnvelopeState::ShadowProposalCreated.next_step(),
            Self::Approved => EnvelopeState::Approved.next_step(),
            Self::InDoubt => "The outcome is being resolved; check again later.",
            Self::Applied => EnvelopeState::Applied.next_step(),
            Self::Conflict => EnvelopeState::Conflict.next_step(),
            Self::Failed => "Nothing was changed; read the row again before you submit a new proposal.",
            Self::Rejected => EnvelopeState::Rejected.next_step(),
            Self::Canceled => "Nothing; it was canceled before anything was changed.",
            Self::Expired => "Expired without a decision; submit a new proposal if still needed.",
        }
    }
}

impl fmt::Display for AgentProposalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: EventStateContext = EventStateContext {
        mode: ProposalMode::Review,
        is_approved: false,
        is_in_doubt: false,
        outcome: None,
    };

    #[test]
    fn only_state_events_change_the_proposal_state() {
        let standing = EventStateContext {
            outcome: Some(ReceiptOutcome::Rejected),
            ..OPEN
        };
        for kind in EventKind::ALL {
            let moves = AgentProposalState::after(kind, standing).is_some();
            assert_eq!(moves, STATE_EVENTS.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn approval_below_quorum_keeps_proposal_in_review() {
        let after = |standing| AgentProposalState::after(EventKind::ProposalApproved, standing);
        assert_eq!(after(OPEN), Some(AgentProposalState::ReviewRequired));
        let approved = EventStateContext {
            is_approved: true,
            ..OPEN
        };
        assert_eq!(after(approved), Some(AgentProposalState::Approved));
        let in_doubt = EventStateContext {
            is_in_doubt: true,
            ..approved
        };
        assert_eq!(after(in_doubt), Some(AgentProposalState::InDoubt));
    }

    #[test]
    fn final_states_match_the_ledger() {
        for state in ProposalState::ALL {
            for mode in [ProposalMode::Review, ProposalMode::Shadow] {
                assert_eq!(
                    AgentProposalState::of(state, mode).is_final(),
                    state.is_terminal(),
                    "{state}"
                );
            }
        }
    }

    #[test]
    fn agent_proposal_state_names_are_distinct() {
        let words: std::collections::BTreeSet<_> =
            AgentProposalState::ALL.iter().map(|s| s.as_str()).collect();
        assert_eq!(words.len(), AgentProposalState::ALL.len());
    }
}
