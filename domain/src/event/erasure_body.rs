//! Body of [`EventKind::BodiesErased`](super::EventKind::BodiesErased): which bodies an operator had erased, and what is
//! kept of proposals without theirs.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::ProposalId;
use crate::proposal::{ProposalMode, ProposalState};
use crate::signing::DsseEnvelope;
use crate::timestamp::Timestamp;

/// Positions of erased bodies, and the ended proposals among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureBody {
    /// The order, signed by an operator. Erasing by one order can take several events.
    pub order: DsseEnvelope,
    /// Erased proposals, oldest first.
    pub proposals: Vec<ErasedProposal>,
    /// Ranges of positions, both ends included, in ascending order, without overlap.
    pub ranges: Vec<(u64, u64)>,
}

impl ErasureBody {
    /// Returns the number of erased bodies.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Returns whether the ranges ascend without overlap and lie before `end`.
    pub fn is_in_order(&self, end: u64) -> bool {
        let mut next = 0;
        self.ranges.iter().all(|(first, last)| {
            let is_next = *first >= next && last >= first && *last < end;
            next = last.saturating_add(1);
            is_next
        })
    }
}

/// What is kept of an ended proposal: what keeps its id taken and its receipt known. Tenant, principal and object are
/// not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasedProposal {
    pub attempts: u32,
    pub capability: String,
    pub changed_seq: u64,
    /// Digest of the content that makes two proposals identical.
    pub content_digest: Digest,
    pub created_at: Timestamp,
    pub created_seq: u64,
    /// Digest of the signed proposal, to which its receipt refers.
    pub digest: Digest,
    pub mode: ProposalMode,
    pub not_after: Timestamp,
    pub proposal_id: ProposalId,
    pub quorum: u32,
    pub source_id: String,
    pub started: bool,
    /// How it ended.
    pub state: ProposalState,
    pub table: String,
}
