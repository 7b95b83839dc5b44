//! The three permits. Each opens one transaction and is consumed by it. A permit cannot be copied, stored,
//! read from bytes or returned by a rollback, and each names one proposal.

use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::foreign_code::Acknowledged;
use synapsor_domain::proposal::Proposal;
use synapsor_domain::writeback::{
    ConstraintClass, Ending, ReceiptOutcome, ValidatedProposal, ViolatedConstraint, WriteAuthorization,
};

/// The lease of a proposal; recorded in the receipt, trusted for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRef {
    pub fence: u64,
    /// The attempt as the ledger counts it; 0 outside of a lease.
    pub attempt: u32,
}

/// The permit to lock, update and commit one authorized change, with any outcome.
#[derive(Debug)]
pub struct WritePermit {
    pub(crate) authorization: WriteAuthorization,
    lease: LeaseRef,
}

impl WritePermit {
    /// Converts an authorization into the permit for one transaction.
    pub const fn new(authorization: WriteAuthorization, lease: LeaseRef) -> Self {
        Self { authorization, lease }
    }

    /// Returns the permit to record that this attempt failed, after its transaction was rolled back.
    pub(crate) fn into_failed(self, reason: FailedReason) -> EndPermit {
        EndPermit {
            cause: EndCause::Failed { write: self, reason },
        }
    }
}

/// The permit to commit a receipt without effect.
#[derive(Debug)]
pub struct EndPermit {
    cause: EndCause,
}

#[derive(Debug)]
enum EndCause {
    Ending {
        ending: Ending,
        lease: LeaseRef,
    },
    Failed {
        write: WritePermit,
        reason: FailedReason,
    },
}

impl EndPermit {
    /// Converts a verified rejection, expiry or abandonment into the permit for one transaction.
    pub const fn new(ending: Ending, lease: LeaseRef) -> Self {
        Self {
            cause: EndCause::Ending { ending, lease },
        }
    }

    pub(crate) const fn outcome(&self) -> (ReceiptOutcome, Option<ErrorCode>) {
        match &self.cause {
            EndCause::Ending { ending, .. } => (ending.by().outcome(), ending.by().code()),
            EndCause::Failed { reason, .. } => (ReceiptOutcome::Failed, Some(reason.code())),
        }
    }
}

/// The permit to lock and update without ever committing.
#[derive(Debug)]
pub struct DryRunPermit {
    pub(crate) validated: ValidatedProposal,
}

impl DryRunPermit {
    /// Converts a plan that matches the writer's own files into the permit for one rolled-back transaction.
    pub const fn new(validated: ValidatedProposal) -> Self {
        Self { validated }
    }
}

/// Reasons why a rolled-back write can never succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailedReason {
    /// The UPDATE did not match exactly one row.
    MatchedRows,
    /// The row after the UPDATE is not as requested; `column` is the first that the UPDATE changed too, if it is known.
    PostImage { column: Option<String> },
    /// The version column did not advance although the contract promises it.
    VersionNotAdvanced,
    /// The UPDATE changed more than its row.
    Collateral,
    /// The key matches more than one row.
    NotUnique,
    /// A constraint or a column's type of the target rejected the UPDATE.
    Constraint(ViolatedConstraint),
}

impl FailedReason {
    /// Returns the code of the receipt.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::MatchedRows => ErrorCode::FailedMatchedRows,
            Self::PostImage { .. } => ErrorCode::FailedPostImage,
            Self::VersionNotAdvanced => ErrorCode::FailedVersionNotAdvanced,
            Self::Collateral => ErrorCode::FailedCollateral,
            Self::NotUnique => ErrorCode::FailedNotUnique,
            Self::Constraint(violated) if matches!(violated.class, ConstraintClass::Type) => {
                ErrorCode::FailedType
            }
            Self::Constraint(_) => ErrorCode::FailedConstraint,
        }
    }

    /// Returns the column that the UPDATE changed although the proposal does not, if it is known.
    pub fn unexpected_column(&self) -> Option<&str> {
        match self {
            Self::PostImage { column } => column.as_deref(),
            Self::MatchedRows
            | Self::VersionNotAdvanced
            | Self::Collateral
            | Self::NotUnique
            | Self::Constraint(_) => None,
        }
    }
}

/// Data of a permit for the steps of a transaction.
pub trait Permit: sealed::Sealed + Send {
    /// Returns the proposal of the permit.
    fn proposal(&self) -> &Proposal;
    /// Returns the digest of that proposal's signed bytes.
    fn proposal_digest(&self) -> Digest;
    /// Returns the identity of the database that was judged. `None` for a receipt without effect, which may be
    /// recorded on any timeline of the proposal's database.
    fn verified_identity(&self) -> Option<&str>;
    /// Whether the transaction waits until the clocks agree. A rejection applies regardless of clocks.
    fn needs_agreed_clocks(&self) -> bool {
        true
    }
}

/// A permit that may lock the row and update it.
pub trait MayUpdate: Permit {
    /// Returns the additions of the writer's own contract and table to the proposal.
    fn validated(&self) -> &ValidatedProposal;
    /// Returns the authorization, if the transaction may be committed.
    fn authorization(&self) -> Option<&WriteAuthorization>;
}

/// A permit whose transaction may record a receipt and commit.
pub trait MayCommit: Permit {
    /// Returns the receipt's facts besides the outcome.
    fn terms(&self) -> ReceiptTerms;
    /// Returns the acknowledged side effects of the target's table.
    fn acknowledged(&self) -> Acknowledged;
}

/// Facts of a receipt that come from the permit.
#[derive(Debug, Clone)]
pub struct ReceiptTerms {
    pub(crate) constraint: Option<ViolatedConstraint>,
    pub(crate) order_digest: Option<Digest>,
    pub(crate) lease: LeaseRef,
    pub(crate) ledger_size: u64,
    pub(crate) ledger_root: [u8; 32],
}

impl Permit for WritePermit {
    fn proposal(&self) -> &Proposal {
        self.authorization.proposal()
    }
    fn proposal_digest(&self) -> Digest {
        self.authorization.proposal_digest()
    }
    fn verified_identity(&self) -> Option<&str> {
        Some(self.authorization.validated().database_identity())
    }
}

impl MayUpdate for WritePermit {
    fn validated(&self) -> &ValidatedProposal {
        self.authorization.validated()
    }
    fn authorization(&self) -> Option<&WriteAuthorization> {
        Some(&self.authorization)
    }
}

impl MayCommit for WritePermit {
    fn terms(&self) -> ReceiptTerms {
        ReceiptTerms {
            constraint: None,
            order_digest: Some(self.authorization.order_digest()),
            lease: self.lease,
            ledger_size: self.authorization.ledger_size(),
            ledger_root: *self.authorization.ledger_root(),
        }
    }
    fn acknowledged(&self) -> Acknowledged {
        self.authorization.validated().acknowledged().clone()
    }
}

impl Permit for EndPermit {
    fn proposal(&self) -> &Proposal {
        match &self.cause {
            EndCause::Ending { ending, .. } => ending.proposal(),
            EndCause::Failed { write, .. } => write.proposal(),
        }
    }
    fn proposal_digest(&self) -> Digest {
        match &self.cause {
            EndCause::Ending { ending, .. } => ending.attested().digest(),
            EndCause::Failed { write, .. } => write.proposal_digest(),
        }
    }
    fn verified_identity(&self) -> Option<&str> {
        match &self.cause {
            EndCause::Ending { .. } => None,
            EndCause::Failed { write, .. } => write.verified_identity(),
        }
    }
    fn needs_agreed_clocks(&self) -> bool {
        self.outcome().0 != ReceiptOutcome::Rejected
    }
}

impl MayCommit for EndPermit {
    fn terms(&self) -> ReceiptTerms {
        match &self.cause {
            EndCause::Ending { ending, lease } => ReceiptTerms {
                constraint: None,
                order_digest: ending.order_digest(),
                lease: *lease,
                ledger_size: ending.ledger_size(),
                ledger_root: *ending.ledger_root(),
            },
            EndCause::Failed { write, reason } => ReceiptTerms {
                constraint: match reason {
                    FailedReason::Constraint(violated) => Some(violated.clone()),
                    FailedReason::MatchedRows
                    | FailedReason::PostImage { .. }
                    | FailedReason::VersionNotAdvanced
                    | FailedReason::Collateral
                    | FailedReason::NotUnique => None,
                },
                ..write.terms()
            },
        }
    }
    fn acknowledged(&self) -> Acknowledged {
        Acknowledged::default()
    }
}

impl Permit for DryRunPermit {
    fn proposal(&self) -> &Proposal {
        self.validated.proposal()
    }
    fn proposal_digest(&self) -> Digest {
        self.validated.proposal_digest()
    }
    fn verified_identity(&self) -> Option<&str> {
        Some(self.validated.database_identity())
    }
}

impl MayUpdate for DryRunPermit {
    fn validated(&self) -> &ValidatedProposal {
        &self.validated
    }
    fn authorization(&self) -> Option<&WriteAuthorization> {
        None
    }
}

mod sealed {
    /// Seals the permit traits: only this file implements them.
    pub trait Sealed {}
    impl Sealed for super::WritePermit {}
    impl Sealed for super::EndPermit {}
    impl Sealed for super::DryRunPermit {}
}
