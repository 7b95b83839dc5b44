//! Checking the ledger's log: proofs, signed checkpoints, committed bodies, and the memory of a witness.
//! Pure: where nodes, notes and witnesses are kept belongs to the processes.

mod checkpoint;
mod record;
mod tree;
mod witness;

#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, NOTE_BYTES_MAX, sign_checkpoint, verify_checkpoint};
pub use record::{BODY_SALT_BYTES, ProvenEntry, body_commitment};
pub use tree::{
    ConsistencyProof, EMPTY_ROOT, InclusionProof, PROOF_HASHES_MAX, TREE_SIZE_MAX, TreeHash, TreeHead,
    leaf_hash,
};
pub use witness::{ContinuityError, PinUpdate, PinnedCheckpoint};

/// Why something that the ledger said about its log is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// An index or size lies outside its tree, or the tree is larger than any log may be.
    #[error("an index or a tree size is out of range")]
    SizeOutOfRange,
    /// More hashes than a tree of any permitted size can need.
    #[error("the proof carries too many hashes")]
    ProofTooLong,
    /// A hash is not 32 bytes long.
    #[error("a hash of the proof is not 32 bytes long")]
    HashLength,
    /// The hashes do not lead to the expected root.
    #[error("the proof does not lead to the checkpoint's root")]
    ProofRefused,
    /// The proof speaks of another tree than the checkpoint.
    #[error("the proof and the checkpoint speak of different tree sizes")]
    OtherTree,
    /// The note is not exactly one signed checkpoint in its only permitted spelling.
    #[error("the checkpoint is not a well-formed signed note")]
    NoteMalformed,
    /// The checkpoint belongs to another log.
    #[error("the checkpoint names another log")]
    OtherOrigin,
    /// The ledger key of the signature is retired, and this is not the head of the log that it was retired at.
    #[error("the checkpoint is signed by a ledger key that is retired")]
    NoteRetired,
    /// The signature is not the pinned ledger key's.
    #[error("the checkpoint is not signed by the ledger key of the trust file")]
    NoteSignature,
    /// The origin cannot name a log: empty, or with white space, plus signs or control characters.
    #[error("the log's origin is not usable as a name")]
    OriginMalformed,
    /// The event bytes are not an event envelope in canonical form.
    #[error("the event is not a canonical envelope")]
    EventMalformed,
    /// The event's `seq` is not the index of its leaf.
    #[error("the event's sequence number is not the index of its leaf")]
    SeqMismatch,
    /// The body is not the one that the event commits to.
    #[error("the body is not the one that the event commits to")]
    BodyMismatch,
}

impl LogError {
    /// The stable code for people and programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::SizeOutOfRange => "LOG_SIZE_OUT_OF_RANGE",
            Self::ProofTooLong => "LOG_PROOF_TOO_LONG",
            Self::HashLength => "LOG_HASH_LENGTH",
            Self::ProofRefused => "LOG_PROOF_REFUSED",
            Self::OtherTree => "LOG_OTHER_TREE",
            Self::NoteMalformed => "CHECKPOINT_MALFORMED",
            Self::OtherOrigin => "CHECKPOINT_OTHER_ORIGIN",
            Self::NoteSignature => "CHECKPOINT_SIGNATURE",
            Self::NoteRetired => "CHECKPOINT_KEY_RETIRED",
            Self::OriginMalformed => "LOG_ORIGIN_MALFORMED",
            Self::EventMalformed => "EVENT_MALFORMED",
            Self::SeqMismatch => "EVENT_SEQ_MISMATCH",
            Self::BodyMismatch => "EVENT_BODY_MISMATCH",
        }
    }
}
