//! Log entry as the ledger returns it to a verifier: the event, the body that the event commits to, and the
//! proof that the event is in the log.

use super::LogError;
use super::checkpoint::Checkpoint;
use super::tree::InclusionProof;
use crate::canonical;
use crate::digest::Digest;
use crate::event::EventRecord;

/// Length of the random salt that makes a committed body impossible to guess, in bytes.
pub const BODY_SALT_BYTES: usize = 32;

const BODY_TYPE: &str = "body.v1";

/// Computes the commitment to a body: a digest over salt and bytes. Without the salt it reveals nothing.
pub fn body_commitment(salt: &[u8; BODY_SALT_BYTES], bytes: &[u8]) -> Digest {
    let mut salted = Vec::with_capacity(BODY_SALT_BYTES + bytes.len());
    salted.extend_from_slice(salt);
    salted.extend_from_slice(bytes);
    Digest::of_typed(BODY_TYPE, &salted)
}

/// Event with everything that proves its inclusion in the log. All fields are untrusted until [`Self::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenEntry {
    /// Canonical event, exactly as its leaf was hashed.
    pub event_bytes: Vec<u8>,
    /// Salt of the commitment to the body.
    pub body_salt: [u8; BODY_SALT_BYTES],
    /// Body, exactly as it was committed.
    pub body: Vec<u8>,
    /// Proof that the tree includes the event.
    pub proof: InclusionProof,
}

impl ProvenEntry {
    /// Verifies event, position, body and inclusion under a verified checkpoint, and returns the event.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<EventRecord, LogError> {
        let event: EventRecord =
            canonical::decode(&self.event_bytes).map_err(|_| LogError::EventMalformed)?;
        if event.seq != self.proof.index() {
            return Err(LogError::SeqMismatch);
        }
        if body_commitment(&self.body_salt, &self.body) != event.body_digest {
            return Err(LogError::BodyMismatch);
        }
        checkpoint.includes(&self.event_bytes, &self.proof)?;
        Ok(event)
    }
}
