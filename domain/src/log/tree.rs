//! RFC 6962 hashing and the two kinds of proof. Building proofs needs stored nodes, so the ledger does it.
//! Verification needs only the bytes and is done here.

use tlog_tiles::tlog;

use super::LogError;

/// SHA-256 hash of a leaf, node or root of the tree.
pub type TreeHash = [u8; 32];

/// Size and root of one state of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHead {
    /// Number of leaves.
    pub size: u64,
    /// Root of the tree over all leaves.
    pub root: TreeHash,
}

impl TreeHead {
    /// Returns whether `other` is provably a state of the same log. True when both are equal, or when a proof
    /// leads from the smaller to the larger. The empty tree is a prefix of every log.
    pub fn is_of_one_log(&self, other: &Self, proofs: &[ConsistencyProof]) -> bool {
        let (old, new) = if self.size <= other.size {
            (self, other)
        } else {
            (other, self)
        };
        if old.size == new.size {
            return old.root == new.root;
        }
        if old.size == 0 {
            return old.root == EMPTY_ROOT;
        }
        let leads = |p: &&ConsistencyProof| p.old_size() == old.size && p.new_size() == new.size;
        proofs
            .iter()
            .filter(leads)
            .any(|proof| proof.verify(&old.root, &new.root).is_ok())
    }
}

/// Largest tree size in a proof or checkpoint: sizes are canonical integers.
pub const TREE_SIZE_MAX: u64 = (1 << 53) - 1;

/// Maximum number of hashes in a proof. A tree of [`TREE_SIZE_MAX`] leaves is 53 levels high, and a consistency
/// proof needs at most one hash more than there are levels.
pub const PROOF_HASHES_MAX: usize = 54;

/// Root of the empty tree.
pub const EMPTY_ROOT: TreeHash = tlog::EMPTY_HASH.0;

/// Hashes the leaf of one event: `SHA-256(0x00 || event_bytes)`.
pub fn leaf_hash(event_bytes: &[u8]) -> TreeHash {
    tlog::record_hash(event_bytes).0
}

/// Proof that a leaf is at `index` in the tree of `size` leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    index: u64,
    size: u64,
    hashes: Vec<TreeHash>,
}

impl InclusionProof {
    /// Rejects an index outside the tree, a tree beyond [`TREE_SIZE_MAX`] and more than [`PROOF_HASHES_MAX`]
    /// hashes.
    pub fn new(index: u64, size: u64, hashes: Vec<TreeHash>) -> Result<Self, LogError> {
        if index >= size || size > TREE_SIZE_MAX {
            return Err(LogError::SizeOutOfRange);
        }
        bounded(hashes.len())?;
        Ok(Self { index, size, hashes })
    }

    /// Converts from wire form; the number of hashes is checked before anything is copied.
    pub fn from_wire<B: AsRef<[u8]>>(index: u64, size: u64, hashes: &[B]) -> Result<Self, LogError> {
        Self::new(index, size, hashes_from_wire(hashes)?)
    }

    /// Returns the zero-based position of the leaf, which is the event's `seq`.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Returns the number of leaves of the proof's tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the audit path, lowest level first.
    pub fn hashes(&self) -> &[TreeHash] {
        &self.hashes
    }

    /// Verifies that `leaf` is at this index under `root`.
    pub fn verify(&self, leaf: &TreeHash, root: &TreeHash) -> Result<(), LogError> {
        let path = to_tlog(&self.hashes);
        tlog::check_record(&path, self.size, tlog::Hash(*root), self.index, tlog::Hash(*leaf))
            .map_err(|_| LogError::ProofRefused)
    }
}

/// Proof that the tree of `old_size` leaves is a prefix of the tree of `new_size` leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    old_size: u64,
    new_size: u64,
    hashes: Vec<TreeHash>,
}

impl ConsistencyProof {
    /// Rejects `old_size` 0 (an empty tree is a prefix of every tree and needs no proof), `old_size > new_size`,
    /// sizes beyond [`TREE_SIZE_MAX`] and more than [`PROOF_HASHES_MAX`] hashes.
    pub fn new(old_size: u64, new_size: u64, hashes: Vec<TreeHash>) -> Result<Self, LogError> {
        if old_size == 0 || old_size > new_size || new_size > TREE_SIZE_MAX {
            return Err(LogError::SizeOutOfRange);
        }
        bounded(hashes.len())?;
        Ok(Self {
            old_size,
            new_size,
            hashes,
        })
    }

    /// Converts from wire form; the number of hashes is checked before anything is copied.
    pub fn from_wire<B: AsRef<[u8]>>(old_size: u64, new_size: u64, hashes: &[B]) -> Result<Self, LogError> {
        Self::new(old_size, new_size, hashes_from_wire(hashes)?)
    }

    /// Returns the size of the older tree.
    pub fn old_size(&self) -> u64 {
        self.old_size
    }

    /// Returns the size of the newer tree.
    pub fn new_size(&self) -> u64 {
        self.new_size
    }

    /// Returns the proof's hashes, lowest level first.
    pub fn hashes(&self) -> &[TreeHash] {
        &self.hashes
    }

    /// Verifies that the tree under `old_root` is a prefix of the tree under `new_root`.
    pub fn verify(&self, old_root: &TreeHash, new_root: &TreeHash) -> Result<(), LogError> {
        let path = to_tlog(&self.hashes);
        let (new, old) = (tlog::Hash(*new_root), tlog::Hash(*old_root));
        tlog::check_tree(&path, self.new_size, new, self.old_size, old)
            .map_err(|_| LogError::ProofRefused)?;
        // For equal sizes the proof is empty, and the check above compares only the given roots.
        if self.old_size == self.new_size && old_root != new_root {
            return Err(LogError::ProofRefused);
        }
        Ok(())
    }
}

fn bounded(count: usize) -> Result<(), LogError> {
    if count > PROOF_HASHES_MAX {
        Err(LogError::ProofTooLong)
    } else {
        Ok(())
    }
}

fn hashes_from_wire<B: AsRef<[u8]>>(hashes: &[B]) -> Result<Vec<TreeHash>, LogError> {
    bounded(hashes.len())?;
    hashes
        .iter()
        .map(|h| TreeHash::try_from(h.as_ref()).map_err(|_| LogError::HashLength))
        .collect()
}

fn to_tlog(hashes: &[TreeHash]) -> Vec<tlog::Hash> {
    hashes.iter().map(|h| tlog::Hash(*h)).collect()
}
