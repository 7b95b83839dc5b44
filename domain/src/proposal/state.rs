//! The only transition table. Stores save what it returns; nothing else moves a proposal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::writeback::Outcome;

/// Where a proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    PendingReview,
    Approved,
    Rejected,
    Canceled,
    /// An apply order is filed; a writer may hold it.
    PendingWorker,
    Applied,
    Conflict,
    Failed,
    Expired,
    /// A COMMIT was sent and its answer was lost; being resolved.
    InDoubt,
}

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Enough valid approvals are on file.
    Approve,
    Reject,
    OrderApply,
    /// The writer durably announced an attempt.
    Start,
    /// The attempt ended without an outcome: refused or retryable.
    Release,
    Doubt,
    /// A receipt says how it ended.
    Settle(Outcome),
    Expire,
    /// The agent that asked takes it back.
    Withdraw,
}

impl State {
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

    /// Nothing moves it any more.
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

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|s| s.as_str()).collect();
            Refusal::new(
                "UNKNOWN_STATE",
                format!("no such proposal state; one of: {}", all.join(", ")),
            )
        })
    }
}

/// The next state, or why there is none.
///
/// `started` says that a writer has ever announced an attempt: from then on only the target database knows
/// the outcome, so neither a rejection nor a deadline nor the agent may end the proposal without a receipt.
pub fn transition(state: State, started: bool, step: Step) -> Result<State, Refusal> {
    use State::{
        Applied, Approved, Canceled, Conflict, Expired, Failed, InDoubt, PendingReview, PendingWorker,
        Rejected,
    };
    if state.is_terminal() {
        return Err(terminal(state, step));
    }
    match (step, state) {
        (Step::Approve, PendingReview | Approved) => Ok(Approved),
        (Step::Approve, PendingWorker | InDoubt) => Ok(state),
        (Step::Reject, PendingReview | Approved | PendingWorker) if !started => Ok(Rejected),
        (Step::Reject, _) => Err(Refusal::new(
            "WRITEBACK_STARTED",
            "a writer has started on it, so only the writer can still stop it; reject with a reachable writer",
        )),
        (Step::OrderApply, Approved | PendingWorker) => Ok(PendingWorker),
        (Step::OrderApply, InDoubt) => Ok(InDoubt),
        (Step::OrderApply, _) => Err(Refusal::new(
            "PROPOSAL_NOT_APPROVED",
            "the proposal has not enough valid approvals; approve it first",
        )),
        (Step::Start, PendingWorker | InDoubt) => Ok(state),
        (Step::Release, PendingWorker) => Ok(Approved),
        (Step::Release, InDoubt) => Ok(InDoubt),
        (Step::Doubt, PendingWorker | InDoubt) => Ok(InDoubt),
        (Step::Start | Step::Release | Step::Doubt, _) => Err(Refusal::new(
            "PROPOSAL_NOT_LEASED",
            "no writer holds this proposal",
        )),
        (Step::Settle(outcome), PendingReview | Approved | PendingWorker | InDoubt) => Ok(match outcome {
            Outcome::Applied => Applied,
            Outcome::Conflict => Conflict,
            Outcome::Failed | Outcome::Abandoned => Failed,
            Outcome::Denied | Outcome::Cancelled => Canceled,
            Outcome::Expired => Expired,
        }),
        (Step::Expire, PendingReview | Approved | PendingWorker) if !started => Ok(Expired),
        (Step::Withdraw, PendingReview | Approved | PendingWorker) if !started => Ok(Canceled),
        (Step::Expire | Step::Withdraw, _) => {
            Err(Refusal::new("WRITEBACK_STARTED", "a writer has started on it"))
        }
        (_, Rejected | Canceled | Applied | Conflict | Failed | Expired) => Err(terminal(state, step)),
    }
}

fn terminal(state: State, step: Step) -> Refusal {
    let code = match step {
        Step::Approve => "PROPOSAL_NOT_PENDING_REVIEW",
        Step::Reject => "PROPOSAL_NOT_REJECTABLE",
        Step::OrderApply if state != State::Applied => "PROPOSAL_NOT_APPROVED",
        Step::OrderApply
        | Step::Start
        | Step::Release
        | Step::Doubt
        | Step::Settle(_)
        | Step::Expire
        | Step::Withdraw => "PROPOSAL_ENDED",
    };
    Refusal::new(
        code,
        format!("the proposal has ended as `{state}`; make a new one if the change is still wanted"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 15] = [
        Step::Approve,
        Step::Reject,
        Step::OrderApply,
        Step::Start,
        Step::Release,
        Step::Doubt,
        Step::Settle(Outcome::Applied),
        Step::Settle(Outcome::Conflict),
        Step::Settle(Outcome::Failed),
        Step::Settle(Outcome::Denied),
        Step::Settle(Outcome::Cancelled),
        Step::Settle(Outcome::Expired),
        Step::Settle(Outcome::Abandoned),
        Step::Expire,
        Step::Withdraw,
    ];

    #[test]
    fn no_step_leads_out_of_a_terminal_state() {
        for state in State::ALL.into_iter().filter(|s| s.is_terminal()) {
            for step in STEPS {
                for started in [false, true] {
                    assert!(transition(state, started, step).is_err(), "{state} {step:?}");
                }
            }
        }
    }

    #[test]
    fn once_started_only_a_receipt_ends_a_proposal() {
        for state in State::ALL.into_iter().filter(|s| !s.is_terminal()) {
            for step in STEPS {
                let Ok(next) = transition(state, true, step) else {
                    continue;
                };
                assert!(
                    !next.is_terminal() || matches!(step, Step::Settle(_)),
                    "{state} {step:?} {next}"
                );
            }
        }
    }

    #[test]
    fn applied_is_reached_by_an_applied_receipt_only() {
        for state in State::ALL {
            for step in STEPS {
                for started in [false, true] {
                    if transition(state, started, step) == Ok(State::Applied) {
                        assert_eq!(step, Step::Settle(Outcome::Applied));
                    }
                }
            }
        }
    }

    #[test]
    fn an_apply_order_needs_an_approval() {
        assert_eq!(
            transition(State::PendingReview, false, Step::OrderApply)
                .unwrap_err()
                .code,
            "PROPOSAL_NOT_APPROVED"
        );
        assert_eq!(
            transition(State::Approved, false, Step::OrderApply),
            Ok(State::PendingWorker)
        );
    }

    #[test]
    fn a_state_reads_back_from_its_text() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse::<State>().unwrap(), state);
        }
    }
}
