//! The end of a proposal without effect: what a writer may commit instead of a write, and what proves that it may.

use super::ReceiptOutcome;
use crate::approval::{ApprovalRefusal, ApprovalRule, VerifiedDecision};
use crate::error::PublicError;
use crate::log::Checkpoint;
use crate::proposal::{Proposal, VerifiedProposal};

/// How a proposal can end without a write, besides a conflict or a failure that was seen under the row lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// An operator signed a rejection.
    Rejection,
    /// Nothing that was signed is in force any more.
    Expiry,
    /// A key, a role or a quorum that was counted on no longer counts.
    Abandonment,
}

impl EndedBy {
    /// The outcome of the tombstone.
    pub const fn outcome(self) -> ReceiptOutcome {
        match self {
            Self::Rejection => ReceiptOutcome::Rejected,
            Self::Expiry => ReceiptOutcome::Expired,
            Self::Abandonment => ReceiptOutcome::Abandoned,
        }
    }
}

/// The right to end one proposal without effect. Made only from a verified rejection or from the refusal of
/// [`super::authorize`]; it cannot be copied or read from bytes.
#[derive(Debug)]
pub struct Ending {
    attested: VerifiedProposal,
    by: EndedBy,
    ledger_size: u64,
    ledger_root: [u8; 32],
}

impl Ending {
    /// Ends a proposal by an operator's rejection of exactly this proposal.
    ///
    /// # Errors
    /// `refused:digest` when the decision is about another proposal, `refused:malformed` when it is an approval.
    pub fn rejected(attested: VerifiedProposal, decision: &VerifiedDecision) -> Result<Self, PublicError> {
        if !decision.is_deny() {
            return Err(PublicError::new(
                "refused:malformed",
                "the decision is not a deny",
            ));
        }
        if decision.decision().proposal_digest != attested.digest() {
            return Err(PublicError::new(
                "refused:digest",
                "the decision is about another proposal",
            ));
        }
        Ok(Self {
            attested,
            by: EndedBy::Rejection,
            ledger_size: 0,
            ledger_root: [0; 32],
        })
    }

    pub const fn proposal(&self) -> &Proposal {
        self.attested.proposal()
    }

    pub const fn attested(&self) -> &VerifiedProposal {
        &self.attested
    }

    pub const fn by(&self) -> EndedBy {
        self.by
    }

    /// Size of the log that the writer had verified; 0 for a rejection that reached the writer directly.
    pub const fn ledger_size(&self) -> u64 {
        self.ledger_size
    }

    pub const fn ledger_root(&self) -> &[u8; 32] {
        &self.ledger_root
    }
}

/// Why a write was not authorized.
#[derive(Debug)]
pub(super) struct NotAuthorized {
    refusal: PublicError,
    /// How the proposal can end, when it is the operators' word that no longer permits a write.
    ends_by: Option<EndedBy>,
}

impl NotAuthorized {
    pub(super) fn ending(refusal: PublicError, by: EndedBy) -> Self {
        Self {
            refusal,
            ends_by: Some(by),
        }
    }
}

/// A refusal about anything else than the operators' word: the proposal waits.
impl From<PublicError> for NotAuthorized {
    fn from(refusal: PublicError) -> Self {
        Self {
            refusal,
            ends_by: None,
        }
    }
}

impl From<ApprovalRefusal> for NotAuthorized {
    fn from(refusal: ApprovalRefusal) -> Self {
        let ends_by = match refusal.rule {
            ApprovalRule::Rejected => Some(EndedBy::Rejection),
            ApprovalRule::Expired => Some(EndedBy::Expiry),
            ApprovalRule::Key
            | ApprovalRule::Role
            | ApprovalRule::Quorum
            | ApprovalRule::SeparationOfDuties
            | ApprovalRule::Order => Some(EndedBy::Abandonment),
            ApprovalRule::Malformed
            | ApprovalRule::Digest
            | ApprovalRule::Signature
            | ApprovalRule::Audience
            | ApprovalRule::Future
            | ApprovalRule::Nonce
            | ApprovalRule::Render => None,
        };
        Self {
            refusal: refusal.into(),
            ends_by,
        }
    }
}

/// A write that was not authorized, with the proposal that it was about.
#[derive(Debug)]
pub struct Unauthorized {
    attested: VerifiedProposal,
    reason: NotAuthorized,
    ledger_size: u64,
    ledger_root: [u8; 32],
}

impl Unauthorized {
    pub(super) const fn new(
        attested: VerifiedProposal,
        reason: NotAuthorized,
        checkpoint: &Checkpoint,
    ) -> Self {
        Self {
            attested,
            reason,
            ledger_size: checkpoint.size,
            ledger_root: checkpoint.root,
        }
    }

    pub const fn attested(&self) -> &VerifiedProposal {
        &self.attested
    }

    pub const fn refusal(&self) -> &PublicError {
        &self.reason.refusal
    }

    /// The right to end the proposal, when what operators signed no longer permits a write. Refusals about
    /// anything else than their word end nothing: they wait.
    pub fn into_ending(self) -> Result<Ending, PublicError> {
        match self.reason.ends_by {
            Some(by) => Ok(Ending {
                attested: self.attested,
                by,
                ledger_size: self.ledger_size,
                ledger_root: self.ledger_root,
            }),
            None => Err(self.reason.refusal),
        }
    }
}
