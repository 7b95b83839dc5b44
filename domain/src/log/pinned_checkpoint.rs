//! Pinned checkpoint: the last tree head that one process verified, and the rule that advances it. Reader,
//! writer and CLI each persist one in a file; file access is outside this module.

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use super::checkpoint::Checkpoint;
use super::tree::{ConsistencyProof, EMPTY_ROOT, TREE_SIZE_MAX, TreeHash, TreeHead};
use crate::canonical;

/// Last tree head that its owner verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedCheckpoint {
    /// Name of the log.
    pub origin: String,
    /// Number of events at that time.
    pub size: u64,
    /// Root of the tree at that time.
    pub root: TreeHash,
}

/// Result of advancing a pinned checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinUpdate {
    /// The head did not change; nothing to persist.
    Unchanged,
    /// The log grew, and the old head is a prefix of the new one. Persist the pinned checkpoint before trusting
    /// the new head.
    Grew,
}

/// Reason why a new head failed verification. The pinned checkpoint never changes in that case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContinuityError {
    /// The head is of another log.
    #[error("checkpoint origin differs from the pinned log")]
    OtherLog,
    /// The log is shorter than before.
    #[error("ledger rollback: tree size {now} is below the pinned size {pinned}")]
    RolledBack {
        /// Pinned number of events.
        pinned: u64,
        /// Current number of events of the ledger.
        now: u64,
    },
    /// The log does not continue the pinned one.
    #[error("ledger fork: tree of size {now} does not continue the pinned tree of size {pinned}")]
    Forked {
        /// Pinned number of events.
        pinned: u64,
        /// Current number of events of the ledger.
        now: u64,
    },
    /// The log grew without a proof, or with a proof for other sizes.
    #[error("no consistency proof from size {pinned} to size {now}")]
    ProofMissing {
        /// Pinned number of events.
        pinned: u64,
        /// Current number of events of the ledger.
        now: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    origin: String,
    root: String,
    size: u64,
}

impl ContinuityError {
    /// Returns the stable error code.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::OtherLog => ErrorCode::WitnessOtherLog,
            Self::RolledBack { .. } => ErrorCode::LedgerRolledBack,
            Self::Forked { .. } => ErrorCode::LedgerForked,
            Self::ProofMissing { .. } => ErrorCode::WitnessProofMissing,
        }
    }
}

impl PinnedCheckpoint {
    /// Returns size and root, without the name.
    pub const fn head(&self) -> TreeHead {
        TreeHead {
            size: self.size,
            root: self.root,
        }
    }

    /// Creates an empty pinned checkpoint for this log.
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            size: 0,
            root: EMPTY_ROOT,
        }
    }

    /// Encodes the pinned checkpoint in canonical form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let form = Stored {
            origin: self.origin.clone(),
            root: hex::encode(self.root),
            size: self.size,
        };
        canonical::encode(&form).expect("an origin, a hash and a size have a canonical form")
    }

    /// Reads a stored pinned checkpoint; `None` unless the bytes are exactly what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let form: Stored = canonical::decode(bytes).ok()?;
        let mut root = EMPTY_ROOT;
        hex::decode_to_slice(&form.root, &mut root).ok()?;
        let pinned = Self {
            origin: form.origin,
            size: form.size,
            root,
        };
        (pinned.size <= TREE_SIZE_MAX && pinned.to_bytes() == bytes).then_some(pinned)
    }

    /// Returns whether advancing to a log of `size` events needs a consistency proof.
    pub fn needs_proof(&self, size: u64) -> bool {
        self.size > 0 && size > self.size
    }

    /// Advances to `new` if it continues the pinned checkpoint. `new` must come from a verified note.
    pub fn advance(
        &mut self,
        new: &Checkpoint,
        proof: Option<&ConsistencyProof>,
    ) -> Result<PinUpdate, ContinuityError> {
        let (pinned, now) = (self.size, new.size);
        if new.origin != self.origin {
            return Err(ContinuityError::OtherLog);
        }
        if now < pinned {
            return Err(ContinuityError::RolledBack { pinned, now });
        }
        if now == pinned {
            if new.root != self.root {
                return Err(ContinuityError::Forked { pinned, now });
            }
            return Ok(PinUpdate::Unchanged);
        }
        if pinned > 0 {
            let proof = proof
                .filter(|p| p.old_size() == pinned && p.new_size() == now)
                .ok_or(ContinuityError::ProofMissing { pinned, now })?;
            proof
                .verify(&self.root, &new.root)
                .map_err(|_| ContinuityError::Forked { pinned, now })?;
        }
        self.size = now;
        self.root = new.root;
        Ok(PinUpdate::Grew)
    }
}
