//! Converts proofs and log entries.

use synapsor_domain::error::PublicError;
use synapsor_domain::log::{ConsistencyProof, InclusionProof, LogError, PinnedCheckpoint, ProvenEntry};

use super::{malformed, required};
use crate::common::v1;

fn log_error(field: &'static str) -> impl Fn(LogError) -> PublicError {
    move |error| malformed(field, error)
}

impl From<&InclusionProof> for v1::InclusionProof {
    fn from(proof: &InclusionProof) -> Self {
        let hashes = proof.hashes().iter().map(|h| h.to_vec()).collect();
        Self {
            index: proof.index(),
            size: proof.size(),
            hashes,
        }
    }
}

impl TryFrom<v1::InclusionProof> for InclusionProof {
    type Error = PublicError;

    fn try_from(proof: v1::InclusionProof) -> Result<Self, PublicError> {
        Self::from_wire(proof.index, proof.size, &proof.hashes).map_err(log_error("proof"))
    }
}

impl From<&ConsistencyProof> for v1::ConsistencyProof {
    fn from(proof: &ConsistencyProof) -> Self {
        let hashes = proof.hashes().iter().map(|h| h.to_vec()).collect();
        Self {
            old_size: proof.old_size(),
            new_size: proof.new_size(),
            hashes,
        }
    }
}

impl TryFrom<v1::ConsistencyProof> for ConsistencyProof {
    type Error = PublicError;

    fn try_from(proof: v1::ConsistencyProof) -> Result<Self, PublicError> {
        Self::from_wire(proof.old_size, proof.new_size, &proof.hashes).map_err(log_error("consistency"))
    }
}

impl From<&ProvenEntry> for v1::ProvenEntry {
    fn from(record: &ProvenEntry) -> Self {
        Self {
            event: record.event_bytes.clone(),
            body_salt: record.body_salt.to_vec(),
            body: record.body.clone(),
            proof: Some((&record.proof).into()),
        }
    }
}

impl TryFrom<v1::ProvenEntry> for ProvenEntry {
    type Error = PublicError;

    fn try_from(record: v1::ProvenEntry) -> Result<Self, PublicError> {
        let body_salt = record
            .body_salt
            .try_into()
            .map_err(|_| malformed("body_salt", "must be 32 bytes"))?;
        let proof = required("proof", record.proof)?.try_into()?;
        Ok(Self {
            event_bytes: record.event,
            body_salt,
            body: record.body,
            proof,
        })
    }
}

impl From<&PinnedCheckpoint> for v1::TreeHead {
    fn from(witness: &PinnedCheckpoint) -> Self {
        let root = if witness.size == 0 {
            Vec::new()
        } else {
            witness.root.to_vec()
        };
        Self {
            size: witness.size,
            root,
        }
    }
}
