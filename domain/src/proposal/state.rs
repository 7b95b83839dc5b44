//! State machine of proposals, with the only transition table. Stores persist its results; no other code changes
//! a state.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use crate::error::PublicError;
use crate::writeback::ReceiptOutcome;

/// State of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalState {
    PendingReview,
    Approved,
    Rejected,
    Canceled,
    /// An apply order is recorded; a writer may hold the proposal.
    PendingWorker,
    Applied,
    Conflict,
    Failed,
    Expired,
    /// A COMMIT was sent and its response was lost; being resolved.
    InDoubt,
}

/// Event that can change the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProposalTransition {
    /// Enough valid approvals are recorded.
    Approve,
    Reject,
    OrderApply,
    /// The writer durably announced an attempt.
    Start,
    /// The attempt ended without an outcome: refused or retryable.
    ReturnToApproved,
    MarkInDoubt,
    /// A receipt states the outcome.
    Settle(ReceiptOutcome),
    Expire,
    /// The agent that asked withdraws it.
    Withdraw,
}

impl ProposalState {
    pub const ALL: [Self; 10] = [
        Self::PendingReview,
        Self::Approved,
        Self::Rejected,
        Self::Canceled,
        Self::PendingWorker,
        Self::Applied,
        Self::Conflict,
        Self::Failed,
        Self::Expired,
        Self::InDoubt,
    ];

    /// Returns whether no transition leaves this state.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::PendingReview | Self::Approved | Self::PendingWorker | Self::InDoubt => false,
            Self::Rejected
            | Self::Canceled
            | Self::Applied
            | Self::Conflict
            | Self::Failed
            | Self::Expired => true,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PendingReview => "pending_review",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Canceled => "canceled",
            Self::PendingWorker => "pending_worker",
            Self::Applied => "applied",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::InDoubt => "in_doubt",
        }
    }
}

impl fmt::Display for ProposalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProposalState {
    type Err = PublicError;

    fn from_str(text: &str) -> Result<Self, PublicError> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|s| s.as_str()).collect();
            PublicError::new(
                ErrorCode::UnknownState,
                format!("unknown proposal state; use one of: {}", all.join(", ")),
            )
        })
    }
}

/// Returns the next state, or an error if the transition is not allowed.
///
/// `started` means that a writer has announced an attempt at some time. From then on only the source database
/// knows the outcome. A rejection, a deadline or the agent therefore cannot end the proposal without a receipt.
pub fn transition(
    state: ProposalState,
    started: bool,
    step: ProposalTransition,
) -> Result<ProposalState, PublicError> {
    use ProposalState::{
        Applied, Approved, Canceled, Conflict, Expired, Failed, InDoubt, PendingReview, PendingWorker,
        Rejected,
    };
    if state.is_terminal() {
        return Err(terminal(state, step));
    }
    match (step, state) {
        (ProposalTransition::Approve, PendingReview | Approved) => Ok(Approved),
        (ProposalTransition::Approve, PendingWorker | InDoubt) => Ok(state),
        (ProposalTransition::Reject, PendingReview | Approved | PendingWorker) if !started => Ok(Rejected),
        (ProposalTransition::Reject, _) => Err(PublicError::new(
            ErrorCode::WritebackStarted,
            "a writer has started an attempt, so only the writer can stop it; reject with a reachable writer",
        )),
        (ProposalTransition::OrderApply, Approved | PendingWorker) => Ok(PendingWorker),
        (ProposalTransition::OrderApply, InDoubt) => Ok(InDoubt),
        (ProposalTransition::OrderApply, _) => Err(PublicError::new(
            ErrorCode::ProposalNotApproved,
            "the proposal has too few valid approvals; approve it first",
        )),
        (ProposalTransition::Start, PendingWorker | InDoubt) => Ok(state),
        (ProposalTransition::ReturnToApproved, PendingWorker) => Ok(Approved),
        (ProposalTransition::ReturnToApproved, InDoubt) => Ok(InDoubt),
        (ProposalTransition::MarkInDoubt, PendingWorker | InDoubt) => Ok(InDoubt),
        (
            ProposalTransition::Start
            | ProposalTransition::ReturnToApproved
            | ProposalTransition::MarkInDoubt,
            _,
        ) => Err(PublicError::new(
            ErrorCode::ProposalNotLeased,
            "no writer holds this proposal",
        )),
        (ProposalTransition::Settle(outcome), PendingReview | Approved | PendingWorker | InDoubt) => {
            Ok(match outcome {
                ReceiptOutcome::Applied => Applied,
                ReceiptOutcome::Conflict => Conflict,
                ReceiptOutcome::Failed | ReceiptOutcome::Abandoned => Failed,
                ReceiptOutcome::Rejected | ReceiptOutcome::Cancelled => Canceled,
                ReceiptOutcome::Expired => Expired,
            })
        }
        (ProposalTransition::Expire, PendingReview | Approved | PendingWorker) if !started => Ok(Expired),
        (ProposalTransition::Withdraw, PendingReview | Approved | PendingWorker) if !started => Ok(Canceled),
        (ProposalTransition::Expire | ProposalTransition::Withdraw, _) => Err(PublicError::new(
            ErrorCode::WritebackStarted,
            "a writer has started an attempt",
        )),
        (_, Rejected | Canceled | Applied | Conflict | Failed | Expired) => Err(terminal(state, step)),
    }
}

fn terminal(state: ProposalState, step: ProposalTransition) -> PublicError {
    let code = match step {
        ProposalTransition::Approve => ErrorCode::ProposalNotPendingReview,
        ProposalTransition::Reject => ErrorCode::ProposalNotRejectable,
        ProposalTransition::OrderApply if state != ProposalState::Applied => ErrorCode::ProposalNotApproved,
        ProposalTransition::OrderApply
        | ProposalTransition::Start
        | ProposalTransition::ReturnToApproved
        | ProposalTransition::MarkInDoubt
        | ProposalTransition::Settle(_)
        | ProposalTransition::Expire
        | ProposalTransition::Withdraw => ErrorCode::ProposalEnded,
    };
    PublicError::new(
        code,
        format!("the proposal has ended as `{state}`; submit a new one if the change is still needed"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [ProposalTransition; 15] = [
        ProposalTransition::Approve,
        ProposalTransition::Reject,
        ProposalTransition::OrderApply,
        ProposalTransition::Start,
        ProposalTransition::ReturnToApproved,
        ProposalTransition::MarkInDoubt,
        ProposalTransition::Settle(ReceiptOutcome::Applied),
        ProposalTransition::Settle(ReceiptOutcome::Conflict),
        ProposalTransition::Settle(ReceiptOutcome::Failed),
        ProposalTransition::Settle(ReceiptOutcome::Rejected),
        ProposalTransition::Settle(ReceiptOutcome::Cancelled),
        ProposalTransition::Settle(ReceiptOutcome::Expired),
        ProposalTransition::Settle(ReceiptOutcome::Abandoned),
        ProposalTransition::Expire,
        ProposalTransition::Withdraw,
    ];

    #[test]
    fn terminal_states_have_no_transition() {
        for state in ProposalState::ALL.into_iter().filter(|s| s.is_terminal()) {
            for step in STEPS {
                for started in [false, true] {
                    assert!(transition(state, started, step).is_err(), "{state} {step:?}");
                }
            }
        }
    }

    #[test]
    fn started_proposal_ends_only_by_receipt() {
        for state in ProposalState::ALL.into_iter().filter(|s| !s.is_terminal()) {
            for step in STEPS {
                let Ok(next) = transition(state, true, step) else {
                    continue;
                };
                assert!(
                    !next.is_terminal() || matches!(step, ProposalTransition::Settle(_)),
                    "{state} {step:?} {next}"
                );
            }
        }
    }

    #[test]
    fn applied_state_requires_applied_receipt() {
        for state in ProposalState::ALL {
            for step in STEPS {
                for started in [false, true] {
                    if transition(state, started, step) == Ok(ProposalState::Applied) {
                        assert_eq!(step, ProposalTransition::Settle(ReceiptOutcome::Applied));
                    }
                }
            }
        }
    }

    #[test]
    fn apply_order_requires_approval() {
        assert_eq!(
            transition(
                ProposalState::PendingReview,
                false,
                ProposalTransition::OrderApply
            )
            .unwrap_err()
            .code,
            ErrorCode::ProposalNotApproved
        );
        assert_eq!(
            transition(ProposalState::Approved, false, ProposalTransition::OrderApply),
            Ok(ProposalState::PendingWorker)
        );
    }

    #[test]
    fn state_string_parses_to_same_state() {
        for state in ProposalState::ALL {
            assert_eq!(state.as_str().parse::<ProposalState>().unwrap(), state);
        }
    }
}
