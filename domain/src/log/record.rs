//! One event as the ledger shows it to somebody who does not trust it: the envelope that the log holds, the
//! body that the envelope commits to, and the proof that the envelope is in the log.

use super::LogError;
use super::checkpoint::Checkpoint;
use super::tree::InclusionProof;
use crate::canonical;
use crate::digest::Digest;
use crate::event::EventRecord;

/// Length of the random salt that keeps a committed body from being guessed.
pub const BODY_SALT_BYTES: usize = 32;

const BODY_TYPE: &str = "body.v1";

/// What an envelope says of its body: a digest over salt and bytes. Without the salt it tells nothing.
pub fn body_commitment(salt: &[u8; BODY_SALT_BYTES], bytes: &[u8]) -> Digest {
    let mut salted = Vec::with_capacity(BODY_SALT_BYTES + bytes.len());
    salted.extend_from_slice(salt);
    salted.extend_from_slice(bytes);
    Digest::of_typed(BODY_TYPE, &salted)
}

/// An event with everything that shows it to be part of the log. All fields are hostile until [`Self::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenEntry {
    /// The canonical envelope, exactly as its leaf was hashed.
    pub event_bytes: Vec<u8>,
    /// The salt of the body's commitment.
    pub body_salt: [u8; BODY_SALT_BYTES],
    /// The body, exactly as it was committed.
    pub body: Vec<u8>,
    /// Where the envelope stands in the tree.
    pub proof: InclusionProof,
}

impl ProvenEntry {
    /// Checks envelope, position, body and inclusion under a verified checkpoint, and gives the envelope.
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
