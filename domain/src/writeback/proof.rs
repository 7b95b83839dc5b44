//! Proofs that the ledger must show before the writer acts on a proposal: all records are in the one log that
//! the writer and the signers verified.

use synapsor_codes::ErrorCode;

use crate::approval::SignerTreeHead;
use crate::error::PublicError;
use crate::event::{EventKind, EventRecord};
use crate::log::{Checkpoint, ConsistencyProof, ProvenEntry, TreeHead};
use crate::signing::DsseEnvelope;

/// Records of one job and their proofs. `checkpoint` must come from a verified note that continues the writer's
/// pinned checkpoint.
#[derive(Debug)]
pub struct LedgerProof<'a> {
    pub checkpoint: &'a Checkpoint,
    pub proposal: &'a ProvenEntry,
    /// Approvals and rejections.
    pub decisions: &'a [ProvenEntry],
    /// Absent when no apply order is in force.
    pub order: Option<&'a ProvenEntry>,
    /// Proofs to `checkpoint`, from every tree head that a signer had pinned.
    pub consistency: &'a [ConsistencyProof],
}

impl LedgerProof<'_> {
    /// Returns the record's envelope, if the log holds the record as one of `kinds`.
    pub fn envelope(&self, record: &ProvenEntry, kinds: &[EventKind]) -> Result<DsseEnvelope, PublicError> {
        let event: EventRecord = record
            .verify(self.checkpoint)
            .map_err(|e| refused(e.to_string()))?;
        if !kinds.contains(&event.kind) {
            return Err(refused(format!("unexpected record kind `{}`", event.kind)));
        }
        DsseEnvelope::from_bytes(&record.body).map_err(|e| refused(e.to_string()))
    }

    /// Returns whether a proof shows that this log continues a tree head at which a key was retired.
    pub fn continues_head(&self, head: &TreeHead) -> bool {
        head.is_of_one_log(&self.checkpoint.head(), self.consistency)
    }

    /// Checks that the log that a signer had pinned is a prefix of this one.
    pub fn continues(&self, seen: &SignerTreeHead) -> Result<(), PublicError> {
        if seen.origin != self.checkpoint.origin {
            return Err(refused("a signer pinned another log"));
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
                Err(refused("a signer pinned another history"))
            };
        }
        let proof = self
            .consistency
            .iter()
            .find(|p| p.old_size() == seen.size && p.new_size() == self.checkpoint.size)
            .ok_or_else(|| refused("no consistency proof from the tree head that a signer pinned"))?;
        proof
            .verify(&root, &self.checkpoint.root)
            .map_err(|_| refused("a signer pinned another history"))
    }
}

pub(super) fn refused(public: impl Into<String>) -> PublicError {
    PublicError::new(ErrorCode::RefusedLedgerProof, public)
}
