//! The end of a proposal without effect: what a writer may commit instead of a write, and what proves that it may.

use super::Outcome;
use crate::approval::VerifiedDecision;
use crate::log::Checkpoint;
use crate::proposal::{Attested, Proposal};
use crate::refusal::Refusal;

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
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Rejection => Outcome::Denied,
            Self::Expiry => Outcome::Expired,
            Self::Abandonment => Outcome::Abandoned,
        }
    }
}

/// The right to end one proposal without effect. Made only from a verified rejection or from the refusal of
/// [`super::authorize`]; it cannot be copied or read from bytes.
#[derive(Debug)]
pub struct Ending {
    attested: Attested,
    by: EndedBy,
    ledger_size: u64,
    ledger_root: [u8; 32],
}

impl Ending {
    /// Ends a proposal by an operator's rejection of exactly this proposal.
    ///
    /// # Errors
    /// `refused:digest` when the decision is about another proposal, `refused:malformed` when it is an approval.
    pub fn rejected(attested: Attested, decision: &VerifiedDecision) -> Result<Self, Refusal> {
        if !decision.is_deny() {
            return Err(Refusal::new("refused:malformed", "the decision is not a deny"));
        }
        if decision.decision().proposal_digest != attested.digest() {
            return Err(Refusal::new(
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

    pub const fn attested(&self) -> &Attested {
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

/// Why a write was not authorized, with the proposal that it was about.
#[derive(Debug)]
pub struct Unauthorized {
    attested: Attested,
    refusal: Refusal,
    ledger_size: u64,
    ledger_root: [u8; 32],
}

impl Unauthorized {
    pub(super) const fn new(attested: Attested, refusal: Refusal, checkpoint: &Checkpoint) -> Self {
        Self {
            attested,
            refusal,
            ledger_size: checkpoint.size,
            ledger_root: checkpoint.root,
        }
    }

    pub const fn attested(&self) -> &Attested {
        &self.attested
    }

    pub const fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// The right to end the proposal, when what operators signed no longer permits a write. Refusals about
    /// anything else than their word end nothing: they wait.
    pub fn into_ending(self) -> Result<Ending, Refusal> {
        let by = match self.refusal.code.as_ref() {
            "refused:denied" => EndedBy::Rejection,
            "refused:expired" => EndedBy::Expiry,
            "refused:key" | "refused:role" | "refused:quorum" | "refused:sod" | "refused:order" => {
                EndedBy::Abandonment
            }
            _ => return Err(self.refusal),
        };
        Ok(Ending {
            attested: self.attested,
            by,
            ledger_size: self.ledger_size,
            ledger_root: self.ledger_root,
        })
    }
}
