//! What the ledger must show before its word about a proposal is worked with: that everything stands in the
//! one log that the writer and the signers have seen.

use crate::approval::SignerTreeHead;
use crate::error::PublicError;
use crate::event::{EventKind, EventRecord};
use crate::log::{Checkpoint, ConsistencyProof, ProvenEntry, TreeHead};
use crate::signing::DsseEnvelope;

/// The records of one job and the proofs about them. `checkpoint` must come from a verified note that the
/// writer's own witness has accepted.
#[derive(Debug)]
pub struct LedgerProof<'a> {
    pub checkpoint: &'a Checkpoint,
    pub proposal: &'a ProvenEntry,
    /// Approvals and denies.
    pub decisions: &'a [ProvenEntry],
    /// Absent when no apply order is in force.
    pub order: Option<&'a ProvenEntry>,
    /// To `checkpoint`, from every state that a signer had seen.
    pub consistency: &'a [ConsistencyProof],
}

impl LedgerProof<'_> {
    /// The record's envelope, if the record stands in the log as one of `kinds`.
    pub fn envelope(&self, record: &ProvenEntry, kinds: &[EventKind]) -> Result<DsseEnvelope, PublicError> {
        let event: EventRecord = record
            .verify(self.checkpoint)
            .map_err(|e| refused(e.to_string()))?;
        if !kinds.contains(&event.kind) {
            return Err(refused(format!(
                "a record of kind `{}` stands where another is expected",
                event.kind
            )));
        }
        DsseEnvelope::from_bytes(&record.body).map_err(|e| refused(e.to_string()))
    }

    /// Whether one of the proofs shows that this log continues a state at which a key was retired.
    pub fn continues_head(&self, head: &TreeHead) -> bool {
        head.is_of_one_log(&self.checkpoint.head(), self.consistency)
    }

    /// Whether the log that a signer had seen is a prefix of this one.
    pub fn continues(&self, seen: &SignerTreeHead) -> Result<(), PublicError> {
        if seen.origin != self.checkpoint.origin {
            return Err(refused("a signer had seen another log"));
        }
        let mut root = [0; 32];
        hex::decode_to_slice(&seen.root, &mut root)
            .map_err(|_| refused("seen_checkpoint.root is not 64 hex digits"))?;
        if seen.size == 0 {
            return Ok(());
        }
        if seen.size == self.checkpoint.size {
            return if root == self.checkpoint.root {
                Ok(())
            } else {
                Err(refused("a signer had seen another history"))
            };
        }
        let proof = self
            .consistency
            .iter()
            .find(|p| p.old_size() == seen.size && p.new_size() == self.checkpoint.size)
            .ok_or_else(|| refused("no proof that the log which a signer had seen is a part of this one"))?;
        proof
            .verify(&root, &self.checkpoint.root)
            .map_err(|_| refused("a signer had seen another history"))
    }
}

pub(super) fn refused(public: impl Into<String>) -> PublicError {
    PublicError::new("refused:ledger_proof", public)
}
