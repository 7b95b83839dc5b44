//! End of a proposal without effect: what a writer may commit in place of a write, and the proof that permits
//! it.

use synapsor_codes::ErrorCode;

use super::ReceiptOutcome;
use crate::approval::{ApprovalRefusal, ApprovalRule, VerifiedDecision};
use crate::digest::Digest;
use crate::error::PublicError;
use crate::log::Checkpoint;
use crate::proposal::{Proposal, VerifiedProposal};

/// Reason to end a proposal without a write, other than a conflict or failure detected under the row lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// An operator signed a rejection.
    Rejection,
    /// No signed object is in force any more.
    Expiry,
    /// A key, role or quorum that an approval relied on no longer counts.
    Abandonment,
    /// The target's table was altered after the proposal was made, and everything else permits the write.
    SchemaDrift,
}

impl EndedBy {
    /// Returns the outcome of the tombstone.
    pub const fn outcome(self) -> ReceiptOutcome {
        match self {
            Self::Rejection => ReceiptOutcome::Rejected,
            Self::Expiry => ReceiptOutcome::Expired,
            Self::Abandonment => ReceiptOutcome::Abandoned,
            Self::SchemaDrift => ReceiptOutcome::Failed,
        }
    }

    /// Returns the code of the receipt; `None` where the outcome is the whole reason.
    pub const fn code(self) -> Option<ErrorCode> {
        match self {
            Self::Rejection | Self::Expiry | Self::Abandonment => None,
            Self::SchemaDrift => Some(ErrorCode::FailedSchemaDrift),
        }
    }
}

/// Right to end one proposal without effect. Created only from a verified rejection or from a refusal of
/// [`super::authorize`]; it cannot be copied or decoded from bytes.
#[derive(Debug)]
pub struct Ending {
    attested: VerifiedProposal,
    by: EndedBy,
    order_digest: Option<Digest>,
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
                ErrorCode::RefusedMalformed,
                "the decision is not a rejection",
            ));
        }
        if decision.decision().proposal_digest != attested.digest() {
            return Err(PublicError::new(
                ErrorCode::RefusedDigest,
                "the decision is about another proposal",
            ));
        }
        Ok(Self {
            attested,
            by: EndedBy::Rejection,
            order_digest: None,
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

    /// Returns the digest of the order under which the writer saw the cause; `None` for a tombstone.
    pub const fn order_digest(&self) -> Option<Digest> {
        self.order_digest
    }

    /// Returns the size of the log that the writer had verified; 0 for a rejection sent directly to the writer.
    pub const fn ledger_size(&self) -> u64 {
        self.ledger_size
    }

    pub const fn ledger_root(&self) -> &[u8; 32] {
        &self.ledger_root
    }
}

/// Reason why a write was not authorized.
#[derive(Debug)]
pub(super) struct NotAuthorized {
    refusal: PublicError,
    /// How the proposal can end, when the operators' signatures no longer permit a write, or the target never will.
    ends_by: Option<EndedBy>,
    /// The verified order, for an end by the target.
    order_digest: Option<Digest>,
}

impl NotAuthorized {
    pub(super) fn ending(refusal: PublicError, by: EndedBy) -> Self {
        Self {
            refusal,
            ends_by: Some(by),
            order_digest: None,
        }
    }

    /// Ends a verified and ordered proposal by the altered table.
    pub(super) fn by_schema_drift(refusal: PublicError, order: Digest) -> Self {
        Self {
            order_digest: Some(order),
            ..Self::ending(refusal, EndedBy::SchemaDrift)
        }
    }
}

/// Converts a refusal that does not concern the operators' signatures: the proposal waits.
impl From<PublicError> for NotAuthorized {
    fn from(refusal: PublicError) -> Self {
        Self {
            refusal,
            ends_by: None,
            order_digest: None,
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
            order_digest: None,
        }
    }
}

/// Write that was not authorized, with its proposal.
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

    /// Returns whether the writer saw the cause in the target, under a verified proposal and order: it can never be
    /// written.
    pub fn is_by_target(&self) -> bool {
        self.reason.ends_by == Some(EndedBy::SchemaDrift)
    }

    /// Returns the right to end the proposal, when the operators' signatures no longer permit a write, or the target
    /// never will. Any other refusal ends nothing: the proposal waits.
    pub fn into_ending(self) -> Result<Ending, PublicError> {
        match self.reason.ends_by {
            Some(by) => Ok(Ending {
                attested: self.attested,
                by,
                order_digest: self.reason.order_digest,
                ledger_size: self.ledger_size,
                ledger_root: self.ledger_root,
            }),
            None => Err(self.reason.refusal),
        }
    }
}
