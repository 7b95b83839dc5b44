//! The trust anchors of an executor process: its trust file, its contract, its signing key and the checkpoint of the
//! log that it pinned.

pub mod pinned_checkpoint;
pub mod trust;

use synapsor_chassis::run::ExitError;
use synapsor_domain::error::PublicError;

/// A refusal at start, which only the operator reads.
pub fn failure(refusal: &PublicError) -> ExitError {
    ExitError::new(refusal.code.clone(), &refusal.public)
}
