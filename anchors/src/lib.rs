//! What a process trusts: trust file, contract, signing key and pinned checkpoint.

pub mod pin_file;
pub mod pinned_checkpoint;
pub mod trust;

use synapsor_chassis::run::ExitError;
use synapsor_domain::error::PublicError;

/// Exit error for a rejection at start, which only the operator reads.
pub fn failure(refusal: &PublicError) -> ExitError {
    ExitError::new(refusal.code, &refusal.public)
}
