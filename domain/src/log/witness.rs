//! The memory of a witness: the last head of the log that one process believed, and the rule by which it moves.
//! Reader, writer and CLI each keep one in a file; reading and writing that file is theirs.

use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoint;
use super::tree::{ConsistencyProof, EMPTY_ROOT, TREE_SIZE_MAX, TreeHash, TreeHead};
use crate::canonical;

/// The last head of the log that its owner believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedCheckpoint {
    /// Name of the log.
    pub origin: String,
    /// Number of events then.
    pub size: u64,
    /// Root of the tree then.
    pub root: TreeHash,
}

/// What a new head meant to the witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinUpdate {
    /// The same head as before; nothing to store.
    Unchanged,
    /// The log grew, and the old head is a prefix of the new one; store the witness before trusting the new head.
    Grew,
}

/// Why a new head is not believed. The witness keeps its old state in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContinuityError {
    /// The head belongs to another log.
    #[error("the ledger speaks for another log than the one witnessed here")]
    OtherLog,
    /// The log is shorter than it was.
    #[error("the ledger was rolled back: it has {now} events, {witnessed} were witnessed here")]
    RolledBack {
        /// Events witnessed before.
        witnessed: u64,
        /// Events that the ledger has now.
        now: u64,
    },
    /// The log is not a continuation of what it was.
    #[error("the ledger was forked: its {now} events do not continue the {witnessed} witnessed here")]
    Forked {
        /// Events witnessed before.
        witnessed: u64,
        /// Events that the ledger has now.
        now: u64,
    },
    /// The log grew and no proof came with it, or a proof about other sizes.
    #[error("the ledger gave no proof from {witnessed} to {now} events")]
    ProofMissing {
        /// Events witnessed before.
        witnessed: u64,
        /// Events that the ledger has now.
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
    /// The stable code for people and programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::OtherLog => "WITNESS_OTHER_LOG",
            Self::RolledBack { .. } => "LEDGER_ROLLED_BACK",
            Self::Forked { .. } => "LEDGER_FORKED",
            Self::ProofMissing { .. } => "WITNESS_PROOF_MISSING",
        }
    }
}

impl PinnedCheckpoint {
    /// Size and root, without the name.
    pub const fn head(&self) -> TreeHead {
        TreeHead {
            size: self.size,
            root: self.root,
        }
    }

    /// A witness that has seen nothing of this log yet.
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            size: 0,
            root: EMPTY_ROOT,
        }
    }

    /// The canonical bytes to remember this witness by.
    pub fn to_bytes(&self) -> Vec<u8> {
        let form = Stored {
            origin: self.origin.clone(),
            root: hex::encode(self.root),
            size: self.size,
        };
        canonical::encode(&form).expect("an origin, a hash and a size have a canonical form")
    }

    /// Reads a remembered witness; `None` for anything but the bytes that [`Self::to_bytes`] gives.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let form: Stored = canonical::decode(bytes).ok()?;
        let mut root = EMPTY_ROOT;
        hex::decode_to_slice(&form.root, &mut root).ok()?;
        let witness = Self {
            origin: form.origin,
            size: form.size,
            root,
        };
        (witness.size <= TREE_SIZE_MAX && witness.to_bytes() == bytes).then_some(witness)
    }

    /// Whether moving to a log of `size` events needs a consistency proof.
    pub fn needs_proof(&self, size: u64) -> bool {
        self.size > 0 && size > self.size
    }

    /// Believes `new` if it continues what was witnessed. `new` must come from a verified note.
    pub fn advance(
        &mut self,
        new: &Checkpoint,
        proof: Option<&ConsistencyProof>,
    ) -> Result<PinUpdate, ContinuityError> {
        let (witnessed, now) = (self.size, new.size);
        if new.origin != self.origin {
            return Err(ContinuityError::OtherLog);
        }
        if now < witnessed {
            return Err(ContinuityError::RolledBack { witnessed, now });
        }
        if now == witnessed {
            if new.root != self.root {
                return Err(ContinuityError::Forked { witnessed, now });
            }
            return Ok(PinUpdate::Unchanged);
        }
        if witnessed > 0 {
            let proof = proof
                .filter(|p| p.old_size() == witnessed && p.new_size() == now)
                .ok_or(ContinuityError::ProofMissing { witnessed, now })?;
            proof
                .verify(&self.root, &new.root)
                .map_err(|_| ContinuityError::Forked { witnessed, now })?;
        }
        self.size = now;
        self.root = new.root;
        Ok(PinUpdate::Grew)
    }
}
