//! States, modes, verdicts and kinds: the enums of the wire and those of the domain.

use synapsor_codes::{AttemptKind, ErrorCode};
use synapsor_domain::agent_view::AgentProposalState;
use synapsor_domain::contract::Mode;
use synapsor_domain::error::PublicError;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::writeback::{DryRunVerdict, ReceiptIncidentKind, ReceiptOutcome, RejectEffect};

use super::malformed;
use crate::executor::v1 as executor;
use crate::ledger::v1 as ledger;

/// Both directions between two enums with the same variants; an unspecified or unknown value is an error.
macro_rules! same_variants {
    ($field:literal, $domain:ty, $wire:ty, [$($name:ident),+ $(,)?]) => {
        impl From<$domain> for $wire {
            fn from(value: $domain) -> Self {
                match value {
                    $(<$domain>::$name => Self::$name,)+
                }
            }
        }

        impl TryFrom<$wire> for $domain {
            type Error = PublicError;

            fn try_from(value: $wire) -> Result<Self, PublicError> {
                match value {
                    $(<$wire>::$name => Ok(Self::$name),)+
                    <$wire>::Unspecified => Err(malformed($field, "is missing or not known to this release")),
                }
            }
        }
    };
}

same_variants!(
    "state",
    ProposalState,
    crate::common::v1::ProposalState,
    [
        PendingReview,
        Approved,
        Rejected,
        Canceled,
        PendingWorker,
        Applied,
        Conflict,
        Failed,
        Expired,
        InDoubt,
    ]
);
same_variants!(
    "state",
    AgentProposalState,
    ledger::AgentProposalState,
    [
        ReviewRequired,
        ShadowProposalCreated,
        Approved,
        InDoubt,
        Applied,
        Conflict,
        Failed,
        Rejected,
        Canceled,
        Expired,
    ]
);
same_variants!(
    "kind",
    ReceiptIncidentKind,
    ledger::ReceiptIncidentKind,
    [EffectLost, OrphanReceipt, RowChangedInCommit, ReceiptUnproven]
);

same_variants!(
    "effect",
    RejectEffect,
    executor::RejectEffect,
    [Tombstoned, AlreadyFinal, CommitInProgress, BlockedLocally]
);

impl From<Mode> for executor::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::ReadOnly => Self::ReadOnly,
            Mode::Shadow => Self::Shadow,
            Mode::Review => Self::Review,
            // No process runs such a contract.
            Mode::Cloud => Self::Unspecified,
        }
    }
}

impl TryFrom<executor::Mode> for Mode {
    type Error = PublicError;

    fn try_from(mode: executor::Mode) -> Result<Self, PublicError> {
        match mode {
            executor::Mode::ReadOnly => Ok(Self::ReadOnly),
            executor::Mode::Shadow => Ok(Self::Shadow),
            executor::Mode::Review => Ok(Self::Review),
            executor::Mode::Unspecified => Err(malformed("mode", "is missing or not known to this release")),
        }
    }
}

impl From<ReceiptOutcome> for executor::ReceiptOutcome {
    fn from(outcome: ReceiptOutcome) -> Self {
        match outcome {
            ReceiptOutcome::Applied => Self::Applied,
            ReceiptOutcome::Conflict => Self::Conflict,
            ReceiptOutcome::Failed => Self::Failed,
            ReceiptOutcome::Rejected => Self::Rejected,
            ReceiptOutcome::Cancelled => Self::Canceled,
            ReceiptOutcome::Expired => Self::Expired,
            ReceiptOutcome::Abandoned => Self::Abandoned,
        }
    }
}

impl TryFrom<executor::ReceiptOutcome> for ReceiptOutcome {
    type Error = PublicError;

    fn try_from(outcome: executor::ReceiptOutcome) -> Result<Self, PublicError> {
        match outcome {
            executor::ReceiptOutcome::Applied => Ok(Self::Applied),
            executor::ReceiptOutcome::Conflict => Ok(Self::Conflict),
            executor::ReceiptOutcome::Failed => Ok(Self::Failed),
            executor::ReceiptOutcome::Rejected => Ok(Self::Rejected),
            executor::ReceiptOutcome::Canceled => Ok(Self::Cancelled),
            executor::ReceiptOutcome::Expired => Ok(Self::Expired),
            executor::ReceiptOutcome::Abandoned => Ok(Self::Abandoned),
            executor::ReceiptOutcome::Unspecified => {
                Err(malformed("outcome", "is missing or not known to this release"))
            }
        }
    }
}

/// Converts a verdict to a response without message and row.
pub fn verdict_to_wire(verdict: DryRunVerdict) -> executor::DryRunResponse {
    let mut response = executor::DryRunResponse::default();
    let wire = match verdict {
        DryRunVerdict::WouldApply => executor::DryRunVerdict::WouldApply,
        DryRunVerdict::AlreadyFinal(outcome) => {
            response.set_outcome(outcome.into());
            executor::DryRunVerdict::AlreadyFinal
        }
        DryRunVerdict::WouldNotApply(code) => {
            response.code = Some(code.to_string());
            match code.attempt_kind() {
                Some(AttemptKind::Conflict) => executor::DryRunVerdict::Conflict,
                Some(AttemptKind::Failed) => executor::DryRunVerdict::Failed,
                Some(AttemptKind::Retryable) => executor::DryRunVerdict::Retryable,
                Some(AttemptKind::Refused) | None => executor::DryRunVerdict::Refused,
            }
        }
        DryRunVerdict::InDoubt => executor::DryRunVerdict::InDoubt,
    };
    response.set_verdict(wire);
    response
}

/// Converts a response to its verdict.
pub fn verdict_from_wire(response: &executor::DryRunResponse) -> Result<DryRunVerdict, PublicError> {
    Ok(match response.verdict() {
        executor::DryRunVerdict::WouldApply => DryRunVerdict::WouldApply,
        executor::DryRunVerdict::AlreadyFinal => DryRunVerdict::AlreadyFinal(response.outcome().try_into()?),
        executor::DryRunVerdict::Conflict
        | executor::DryRunVerdict::Failed
        | executor::DryRunVerdict::Refused
        | executor::DryRunVerdict::Retryable => {
            let code = response.code().parse::<ErrorCode>();
            DryRunVerdict::WouldNotApply(code.map_err(|error| malformed("code", error))?)
        }
        executor::DryRunVerdict::InDoubt => DryRunVerdict::InDoubt,
        executor::DryRunVerdict::Unspecified => {
            return Err(malformed("verdict", "is missing or not known to this release"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_keep_their_meaning_and_unknown_ones_are_rejected() {
        for state in ProposalState::ALL {
            let wire = crate::common::v1::ProposalState::from(state);
            assert_eq!(ProposalState::try_from(wire).unwrap(), state);
            assert!(
                wire.as_str_name().ends_with(&state.as_str().to_ascii_uppercase()),
                "{state}"
            );
        }
        for state in AgentProposalState::ALL {
            let wire = ledger::AgentProposalState::from(state);
            assert_eq!(AgentProposalState::try_from(wire).unwrap(), state);
        }
        // A number of another release arrives as unspecified.
        let unknown = ledger::AgentProposalState::try_from(77).unwrap_or_default();
        assert!(AgentProposalState::try_from(unknown).is_err());
    }

    #[test]
    fn verdict_of_a_dry_run_round_trips() {
        for verdict in [
            DryRunVerdict::WouldApply,
            DryRunVerdict::AlreadyFinal(ReceiptOutcome::Rejected),
            DryRunVerdict::AlreadyFinal(ReceiptOutcome::Cancelled),
            DryRunVerdict::WouldNotApply(ErrorCode::ConflictVersionChanged),
            DryRunVerdict::WouldNotApply(ErrorCode::FailedCollateral),
            DryRunVerdict::WouldNotApply(ErrorCode::RefusedFrozen),
            DryRunVerdict::WouldNotApply(ErrorCode::RetryableOutdated),
            DryRunVerdict::InDoubt,
        ] {
            assert_eq!(verdict_from_wire(&verdict_to_wire(verdict)).unwrap(), verdict);
        }
        let conflict = verdict_to_wire(DryRunVerdict::WouldNotApply(ErrorCode::ConflictVersionChanged));
        for code in [None, Some("NO".to_owned())] {
            let wrong = executor::DryRunResponse {
                code,
                ..conflict.clone()
            };
            assert!(verdict_from_wire(&wrong).is_err());
        }
        let ended = verdict_to_wire(DryRunVerdict::AlreadyFinal(ReceiptOutcome::Applied));
        let wrong = executor::DryRunResponse {
            outcome: None,
            ..ended
        };
        assert!(verdict_from_wire(&wrong).is_err());
    }
}
