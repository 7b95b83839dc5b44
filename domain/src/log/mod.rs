//! Verification of the ledger's log: proofs, signed checkpoints, committed bodies, and pinned checkpoints.
//! Without I/O: the processes store nodes, notes and pinned checkpoints.

mod checkpoint;
mod log_verifier;
mod note_keys;
mod pinned_checkpoint;
mod record;
mod tree;

#[cfg(test)]
mod tests;

use synapsor_codes::ErrorCode;

pub use checkpoint::{Checkpoint, NOTE_BYTES_MAX, sign_checkpoint, verify_checkpoint};
pub use log_verifier::LogVerifier;
pub use note_keys::NoteKeys;
pub use pinned_checkpoint::{ContinuityError, PinUpdate, PinnedCheckpoint};
pub use record::{BODY_SALT_BYTES, ProvenEntry, body_commitment};
pub use tree::{
    ConsistencyProof, EMPTY_ROOT, InclusionProof, PROOF_HASHES_MAX, TREE_SIZE_MAX, TreeHash, TreeHead,
    leaf_hash,
};

/// Reason why a statement of the ledger about its log failed verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// An index or size is outside its tree, or the tree exceeds the maximum size.
    #[error("index or tree size out of range")]
    SizeOutOfRange,
    /// The proof has more hashes than a tree of any permitted size can need.
    #[error("too many hashes in the proof")]
    ProofTooLong,
    /// A hash does not have 32 bytes.
    #[error("proof hash is not 32 bytes long")]
    HashLength,
    /// The computed root differs from the expected one.
    #[error("proof does not match the checkpoint root")]
    ProofRefused,
    /// The proof is for another tree size than the checkpoint.
    #[error("proof and checkpoint have different tree sizes")]
    OtherTree,
    /// The note is not exactly one signed checkpoint in canonical spelling.
    #[error("checkpoint is not a well-formed signed note")]
    NoteMalformed,
    /// The checkpoint is of another log.
    #[error("checkpoint names another log")]
    OtherOrigin,
    /// The ledger key of the signature is retired, and this is not the tree head at which it was retired.
    #[error("checkpoint is signed by a retired ledger key")]
    NoteRetired,
    /// The signature is not by a ledger key of the trust file.
    #[error("checkpoint is not signed by the ledger key of the trust file")]
    NoteSignature,
    /// The origin is not a valid log name: empty, or with white space, plus signs or control characters.
    #[error("invalid log origin")]
    OriginMalformed,
    /// The event bytes are not an event envelope in canonical form.
    #[error("event is not a canonical envelope")]
    EventMalformed,
    /// The event's `seq` is not the index of its leaf.
    #[error("event sequence number differs from its leaf index")]
    SeqMismatch,
    /// The body does not match the event's commitment.
    #[error("body does not match the event's commitment")]
    BodyMismatch,
    /// The body is missing, and no order of an operator erased it.
    #[error("body is missing without an order that erased it")]
    BodyMissing,
}

impl LogError {
    /// Returns the stable error code.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::SizeOutOfRange => ErrorCode::LogSizeOutOfRange,
            Self::ProofTooLong => ErrorCode::LogProofTooLong,
            Self::HashLength => ErrorCode::LogHashLength,
            Self::ProofRefused => ErrorCode::LogProofRefused,
            Self::OtherTree => ErrorCode::LogOtherTree,
            Self::NoteMalformed => ErrorCode::CheckpointMalformed,
            Self::OtherOrigin => ErrorCode::CheckpointOtherOrigin,
            Self::NoteSignature => ErrorCode::CheckpointSignature,
            Self::NoteRetired => ErrorCode::CheckpointKeyRetired,
            Self::OriginMalformed => ErrorCode::LogOriginMalformed,
            Self::EventMalformed => ErrorCode::EventMalformed,
            Self::SeqMismatch => ErrorCode::EventSeqMismatch,
            Self::BodyMismatch => ErrorCode::EventBodyMismatch,
            Self::BodyMissing => ErrorCode::EventBodyMissing,
        }
    }
}
